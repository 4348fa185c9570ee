"""Films as OpenAI and its alikes have them: POST /videos makes a job, GET /videos/… tells how it stands."""

from typing import Final
from urllib.parse import quote

from routing.adapters.base import HttpRequest, Target
from routing.adapters.bodies import inside, malformed, read_object, text
from routing.adapters.exchanges import Refusals, bearer, post_json
from routing.canonical import Json
from routing.operations.base import cannot
from routing.operations.videos import Job, State, VideoRequest

STATES: Final[dict[str, State]] = {
    "queued": "pending",
    "pending": "pending",
    "in_progress": "in_progress",
    "processing": "in_progress",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "failed",
    "expired": "failed",
}
SIZES: Final = {
    ("720p", "9:16"): "720x1280",
    ("720p", "16:9"): "1280x720",
    ("1080p", "9:16"): "1024x1792",
    ("1080p", "16:9"): "1792x1024",
}
ID_LENGTH: Final = 200


class OpenAIVideos(Refusals):
    """Words in; frames are not taken."""

    def build(self, request: VideoRequest, *, target: Target) -> HttpRequest:
        """The job's beginning."""
        if request.first_frame is not None or request.last_frame is not None:
            raise cannot("This provider makes films from words, not from pictures.")
        body: dict[str, Json] = {"model": target.upstream, "prompt": request.prompt, "seconds": str(request.seconds)}
        size = request.size or SIZES.get((request.resolution or "720p", request.aspect_ratio or "16:9"))
        if size is None:
            raise cannot("This provider has no such resolution and shape of film.")
        return post_json(target, "/videos", body | {"size": size})

    def build_look(self, upstream_id: str, *, target: Target) -> HttpRequest:
        """The question how a job stands."""
        return self._get(target, upstream_id, "", "application/json")

    def build_fetch(self, upstream_id: str, *, target: Target) -> HttpRequest:
        """The request for the film itself."""
        return self._get(target, upstream_id, "/content", "*/*")

    def parse_answer(self, body: bytes) -> Job:
        """`{"id", "status", "error": {"message"}}`."""
        data = read_object(body, "job")
        upstream_id, state = text(data, "id"), STATES.get(text(data, "status"))
        if not upstream_id or len(upstream_id) > ID_LENGTH or state is None:
            raise malformed("The provider's job has no id, or a state that is not known.")
        return Job(upstream_id, state, text(inside(data, "error"), "message")[:500])

    def _get(self, target: Target, upstream_id: str, rest: str, accept: str) -> HttpRequest:
        url = f"{target.base_url.rstrip('/')}/videos/{quote(upstream_id, safe='')}{rest}"
        return HttpRequest(url, (("accept", accept), *bearer(target)), b"", method="GET")


VIDEOS: Final = OpenAIVideos()
