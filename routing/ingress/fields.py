"""Reading one field of a caller's JSON: its type and bounds, or a 400 that names it."""

import math
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from marketplace.lib.errors import InvalidRequest
from routing.canonical import Json

SCHEMES: Final = frozenset({"http", "https", "data"})
# Files that a provider keeps for whoever holds its key: here the operator.
STORES: Final = frozenset({"generativelanguage.googleapis.com"})


def wrong(where: str, what: str) -> InvalidRequest:
    """The error for a field, to be raised: `'top_p' must be …`."""
    return InvalidRequest(f"'{where}' {what}.", metadata={"field": where})


def text(data: Mapping[str, Json], name: str, *, most: int = 1_000, where: str | None = None) -> str | None:
    """A string of at most `most` characters, or None where it is absent or null."""
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise wrong(where or name, "must be a string")
    if len(value) > most:
        raise wrong(where or name, f"is longer than {most} characters")
    return value


def texts(data: Mapping[str, Json], name: str, *, most: int, where: str | None = None) -> tuple[str, ...]:
    """An array of at most `most` strings; empty where it is absent or null."""
    value = data.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise wrong(where or name, "must be an array of strings")
    if len(value) > most:
        raise wrong(where or name, f"has more than {most} entries")
    return tuple(value)


def flag(data: Mapping[str, Json], name: str, *, where: str | None = None) -> bool | None:
    """True or false, or None where it is absent or null."""
    value = data.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise wrong(where or name, "must be true or false")


def refuse_stream(data: Mapping[str, Json], what: str) -> None:
    """Raise InvalidRequest where a stream is asked for and there is none; a form writes "true"."""
    if data.get("stream") in (True, "true", "True", "1"):
        raise wrong("stream", f"cannot be true: {what}")


def integer(
    data: Mapping[str, Json], name: str, *, least: int | None = None, most: int | None = None, where: str | None = None
) -> int | None:
    """A whole number within its bounds, or None where it is absent or null. 5.0 counts as 5."""
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(where or name, "must be a whole number")
    if least is not None and value < least:
        raise wrong(where or name, f"must be at least {least}")
    if most is not None and value > most:
        raise wrong(where or name, f"must be at most {most}")
    return value


def number(
    data: Mapping[str, Json], name: str, *, least: float, most: float, where: str | None = None
) -> int | float | None:
    """A number within its bounds, as it was written, or None where it is absent or null."""
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise wrong(where or name, "must be a number")
    if not least <= value <= most:
        raise wrong(where or name, f"must be between {least:g} and {most:g}")
    return value


def address(url: str, *, where: str) -> str:
    """A medium's address as it came. Raises InvalidRequest for one that not everybody can open.

    A bucket's or a file store's address opens what the operator of an endpoint may read, not what the caller may.
    """
    if not _is_anybodys(url):
        raise wrong(
            where,
            "must be an http(s) address that anybody can open, or a data URL; "
            f"'{url[:64]}' is neither. Upload files by POST /api/v1/files",
        )
    return url


def _is_anybodys(url: str) -> bool:
    scheme = url[:8].partition(":")[0].lower()
    if scheme == "data":
        return True
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return scheme in SCHEMES and host.rstrip(".") not in STORES
