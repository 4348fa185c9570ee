"""How long a chat ran on a host of our own: what the request says, and GET /v1/runs/<name> of the chat door. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from routing.adapters.base import HttpRequest, Target
from routing.adapters.errors import from_status
from routing.canonical import UpstreamError


class Run(BaseModel):
    """A host's word: from when the request was sent to the instance until the newest piece of its answer."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    milliseconds: Annotated[int, Field(ge=0, le=86_400_000)]


def named(request: HttpRequest, *, run: str, most_ms: int) -> HttpRequest:
    """The request as a run that can be asked after, and that ends after so many milliseconds."""
    headers = (*request.headers, ("turnpike-run", run), ("turnpike-most-ms", str(most_ms)))
    return replace(request, headers=headers)


class RunReader:
    """Asks, and reads the answer."""

    def build(self, run: str, *, target: Target) -> HttpRequest:
        """The question."""
        headers = (("authorization", f"Bearer {target.credentials.get('api_key', '')}"),)
        return HttpRequest(f"{target.base_url}/runs/{run}", headers, b"", method="GET")

    def parse_answer(self, body: bytes) -> Run:
        """The host's word. Raises UpstreamError(kind malformed)."""
        try:
            return Run.model_validate_json(body)
        except ValidationError:
            raise UpstreamError("The host does not say how long it took.", kind="malformed", retryable=True) from None

    def error(self, *, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """A refusal."""
        return from_status(status=status, message="", code=None, headers=headers)


RUNS: Final = RunReader()
