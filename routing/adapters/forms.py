"""multipart/form-data, written: fields, then one file."""

import hashlib
from collections.abc import Iterable


def write(fields: Iterable[tuple[str, str]], *, name: str, file: bytes, media_type: str) -> tuple[str, bytes]:
    """(content type, body) of a form whose file is called `file`; the same fields give the same bytes."""
    fields = list(fields)
    # Nobody who does not know all of the content can put the boundary into it.
    boundary = hashlib.sha256(repr(fields).encode() + file).hexdigest()
    parts = [
        f'--{boundary}\r\ncontent-disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in fields
    ]
    head = f'content-disposition: form-data; name="file"; filename="{_quoted(name)}"\r\ncontent-type: {media_type}'
    body = b"".join([*parts, f"--{boundary}\r\n{head}\r\n\r\n".encode(), file, f"\r\n--{boundary}--\r\n".encode()])
    return f"multipart/form-data; boundary={boundary}", body


def _quoted(name: str) -> str:
    return "".join("_" if char in '"\\\r\n\0' else char for char in name)
