"""What exchanges share: JSON by POST with a bearer key, and refusals in the shapes that OpenAI-alikes use."""

from collections.abc import Mapping, Sequence

import orjson

from routing.adapters import errors
from routing.adapters.base import HttpRequest, Target
from routing.adapters.bodies import malformed
from routing.adapters.openai_compat import read_error
from routing.canonical import Json, UpstreamError


def post_json(target: Target, path: str, body: Mapping[str, Json], *, accept: str = "application/json") -> HttpRequest:
    """A POST of JSON to `path` under the provider's base URL."""
    headers = (("content-type", "application/json"), ("accept", accept), *bearer(target))
    return HttpRequest(target.base_url.rstrip("/") + path, headers, orjson.dumps(body))


def bearer(target: Target) -> tuple[tuple[str, str], ...]:
    """The provider's key as a header; none where there is no key."""
    key = target.credentials.get("api_key")
    return (("authorization", f"Bearer {key}"),) if key else ()


class Refusals:
    """Reads refusals: nested, flat, a string, a list of details (Cohere's `{"id", "message"}` among them)."""

    def error(self, *, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """A refused request, understood."""
        message, code = read_error(body)
        return errors.from_status(status=status, message=message, code=code, headers=headers)


def in_order(rows: Sequence[Mapping[str, Json]], *, of: str) -> list[Mapping[str, Json]]:
    """Rows by their `index` (their place where they have none). Raises UpstreamError for places given twice."""
    placed = {row.get("index", place): row for place, row in enumerate(rows)}
    if len(placed) != len(rows) or set(placed) != set(range(len(rows))):
        raise malformed(f"The provider's {of} are not numbered from 0 without gaps.")
    return [placed[place] for place in range(len(rows))]


def numbers(value: Json, *, of: str) -> list[float]:
    """A list of numbers. Raises UpstreamError(kind malformed)."""
    if not isinstance(value, list) or not all(type(item) in (int, float) for item in value):
        raise malformed(f"The provider's {of} is not an array of numbers.")
    return value
