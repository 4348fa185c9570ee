"""Keeping made pictures for callers who want links instead of data."""

import base64
import datetime as dt
import io
import mimetypes
from collections.abc import Sequence
from typing import Final

from execution.services import files
from routing.operations.images import Picture

LIFE: Final = dt.timedelta(hours=1)


def links(pictures: Sequence[Picture], *, account_id: int, base: str) -> list[str]:
    """Signed links, good for an hour, under which the pictures can be fetched without a key."""
    return [_link(one, account_id, base) for one in pictures]


def _link(picture: Picture, account_id: int, base: str) -> str:
    content = io.BytesIO(base64.b64decode(picture.data))
    name = f"picture{mimetypes.guess_extension(picture.media_type) or ''}"
    row = files.store(account_id=account_id, content=content, name=name, content_type=picture.media_type, life=LIFE)
    return files.link(row, base=base)
