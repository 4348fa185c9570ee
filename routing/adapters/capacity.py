"""What a host of our own says of its chats: GET /v1/capacity of `execution/agent/chat_door.py`. Pure."""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from routing.adapters.base import HttpRequest, Target
from routing.adapters.errors import from_status
from routing.canonical import UpstreamError

Count = Annotated[int, Field(ge=0, le=100_000)]
Seconds = Annotated[float, Field(ge=0, le=3_600)]
START_SECONDS: Final = 20.0  # of a version that has not been started there yet


class Chats(BaseModel):
    """Chats of one version: `slots` at once on the started instances, `taken` of them; `at_once` on a further one."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, frozen=True)

    slots: Count = 0
    taken: Count = 0
    at_once: Count = 1
    start_seconds: Seconds = START_SECONDS


class Capacity(BaseModel):
    """A host: how many instances it could start, and the versions that it has started before."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    free: Count
    versions: dict[str, Chats] = {}

    def of(self, version: str) -> tuple[int, int, float]:
        """(chats at once, those taken, seconds of a start ahead of the next) of a version.

        Where nothing is started, it is what a start would bring; a host that has no place for one serves none.
        """
        said = self.versions.get(version, Chats())
        if said.slots:
            return said.slots, said.taken, 0.0
        return (max(1, said.at_once) if self.free else 0), said.taken, said.start_seconds


class CapacityReader:
    """Asks, and reads the answer."""

    def build(self, target: Target) -> HttpRequest:
        """The question."""
        headers = (("authorization", f"Bearer {target.credentials.get('api_key', '')}"),)
        return HttpRequest(f"{target.base_url}/capacity", headers, b"", method="GET")

    def parse_answer(self, body: bytes) -> Capacity:
        """The host's word. Raises UpstreamError(kind malformed)."""
        try:
            return Capacity.model_validate_json(body)
        except ValidationError:
            raise UpstreamError("The host does not say its capacity.", kind="malformed", retryable=True) from None

    def error(self, *, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """A refusal."""
        return from_status(status=status, message="", code=None, headers=headers)


CAPACITY: Final = CapacityReader()
