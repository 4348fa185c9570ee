"""A PDF page by page, as words or as pictures: read in a process of its own, with little time and memory.

Files that callers send are read by a large C++ library; what it does with a hostile one ends with that process.
Run as a program, this module is that process.
"""

import base64
import contextlib
import io
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

MAX_PICTURES: Final = 20
MAX_CHARACTERS: Final = 250_000
LONG_SIDE: Final = 1_568  # pixels of a page's longer side: as much as vision models look at
SECONDS: Final = 20
MEMORY: Final = 1024 * 1024 * 1024


class Unreadable(Exception):
    """The document cannot be read, or not within the limits; the message may be shown to who sent it."""


@dataclass(frozen=True, slots=True)
class Page:
    """What one page holds: its words, and where it has none such as a scan, its picture as base64 of a JPEG."""

    number: int
    words: str
    picture: str = ""


def pages(content: bytes, *, with_pictures: bool) -> list[Page]:
    """The pages that are not empty; the pictures of those without words only `with_pictures`. Blocks.

    At most 250,000 characters, 20 pictures, 20 seconds of a processor and 1 GiB of memory. Raises Unreadable.
    """
    command = [sys.executable, "-I", __file__, "pictures" if with_pictures else "words"]
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=2 * SECONDS, env={}, check=False)
        found = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise Unreadable("reading it takes too long") from None
    except ValueError:  # it died
        raise Unreadable("it is damaged, or takes more memory or time than a document may") from None
    if "error" in found:
        raise Unreadable(found["error"])
    return [Page(**one) for one in found["pages"]]


def _read(content: bytes, *, with_pictures: bool) -> list[dict[str, Any]]:
    import pypdfium2

    _limit()
    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        is_locked = "password" in str(error).lower()
        raise Unreadable("it asks for a password" if is_locked else "it is damaged") from None
    found: list[dict[str, Any]] = []
    for one in _pages(document, with_pictures=with_pictures):
        found.append(one)
        if sum(len(page["words"]) for page in found) > MAX_CHARACTERS:
            raise Unreadable(f"it has more than {MAX_CHARACTERS:,} characters")
        if sum("picture" in page for page in found) > MAX_PICTURES:
            raise Unreadable(f"more than {MAX_PICTURES} of its pages hold pictures only")
    return found


def _limit() -> None:
    with contextlib.suppress(ValueError, OSError):  # macOS knows no limit of memory
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _pages(document: Any, *, with_pictures: bool) -> Iterator[dict[str, Any]]:
    for number, page in enumerate(document, start=1):
        words = page.get_textpage().get_text_bounded().strip()
        if words:
            yield {"number": number, "words": words}
        elif next(iter(page.get_objects(max_depth=1)), None) is not None:
            yield {"number": number, "words": ""} | ({"picture": _picture(page)} if with_pictures else {})


def _picture(page: Any) -> str:
    scale = LONG_SIDE / max(*page.get_size(), 1)
    held = io.BytesIO()
    page.render(scale=min(scale, 4)).to_pil().convert("RGB").save(held, "JPEG", quality=85)
    return base64.b64encode(held.getvalue()).decode()


if __name__ == "__main__":
    try:
        answer: dict[str, Any] = {
            "pages": _read(sys.stdin.buffer.read(), with_pictures=sys.argv[1] == "pictures"),
        }
    except Unreadable as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer))
