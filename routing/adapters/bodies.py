"""JSON that a provider sent, read with suspicion."""

from collections.abc import Mapping
from typing import Final

import orjson

from routing.canonical import Json, UpstreamError

MESSAGE_MAX: Final = 2_000  # characters of a provider's error text
TOKENS_MAX: Final = 2**40


def malformed(what: str) -> UpstreamError:
    """The provider sent what its dialect does not allow."""
    return UpstreamError(what, kind="malformed", retryable=True)


def read_object(data: bytes | str, what: str) -> Mapping[str, Json]:
    """The JSON object in `data`; `what` names it in the error. Raises UpstreamError(kind malformed)."""
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise malformed(f"The provider's {what} is not valid JSON.") from None
    if not isinstance(found, dict):
        raise malformed(f"The provider's {what} is not a JSON object.")
    return found


def inside(data: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    """The object under `name`; empty where there is none."""
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def objects(data: Mapping[str, Json], name: str) -> list[Mapping[str, Json]]:
    """The objects in the list under `name`; empty where there is none."""
    found = data.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def text(data: Mapping[str, Json], name: str) -> str:
    """The string under `name`; empty where there is none."""
    found = data.get(name)
    return found if isinstance(found, str) else ""


def count(data: Mapping[str, Json], name: str) -> int | None:
    """The number of tokens under `name`; None where there is none or it makes no sense."""
    found = data.get(name)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= TOKENS_MAX:
        return None
    return found
