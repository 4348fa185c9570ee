"""POST and GET videos: jobs that make films."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpResponse
from django.http.response import HttpResponseBase

from execution.api import files as hosting
from execution.api.shapes import base_of
from execution.services import webhooks
from marketplace.api.described import Described
from marketplace.lib import pool
from marketplace.lib.errors import InvalidRequest, Unprocessable
from routing.api.base import View, answer, plain
from routing.ingress import videos as ingress
from routing.operations.videos import MAX_PROMPT, MAX_SECONDS
from routing.services import renderings, videos

BODY: Final = Described(
    body={
        "type": "object",
        "required": ["model", "prompt"],
        "properties": {
            "model": {"type": "string", "description": "publisher/model"},
            "prompt": {"type": "string", "minLength": 1, "maxLength": MAX_PROMPT},
            "duration": {"type": "integer", "minimum": 1, "maximum": MAX_SECONDS},
            "size": {"type": "string"},
            **{name: {"enum": list(words)} for name, words in ingress.CHOICES.items()},
            "seed": {"type": "integer", "minimum": 0},
            "frame_images": {"type": "array", "items": {"type": "object"}},
            "generate_audio": {"type": "boolean"},
            "callback_url": {"type": "string"},
            "provider": {"type": "object"},
        },
    }
)


class Videos(View):
    """Make films."""

    described: Final = {"post": BODY}

    async def post(self, request: Any) -> HttpResponse:
        """Begin a job; its address tells how it stands."""
        caller = await self.payer(request)
        base = base_of(plain(request))
        wanted, callback = ingress.parse(plain(request).body)
        job = await videos.start(caller=caller, request=wanted, callback_url=_address(callback), base=base)
        found = await pool.run(videos.find, account_id=caller.account_id, public_id=job.public_id)
        response = answer(renderings.video(found, base=base), headers={"X-Generation-Id": found.generation.public_id})
        response.status_code = 202
        return response


class OneVideo(View):
    """One job."""

    async def get(self, request: Any, job_id: str) -> HttpResponse:
        """How it stands, and where its film is."""
        caller = await self.caller(request)
        job = await pool.run(videos.find, account_id=caller.account_id, public_id=job_id)
        return answer(renderings.video(job, base=base_of(plain(request))))


class VideoContent(View):
    """A job's film."""

    described: Final = {"get": Described(query={"index": {"type": "integer", "minimum": 0}})}

    async def get(self, request: Any, job_id: str) -> HttpResponseBase:
        """Its bytes, or the range of them that is asked for."""
        caller = await self.caller(request)
        index = plain(request).GET.get("index", "0")
        if not index.isascii() or not index.isdigit():
            raise InvalidRequest("'index' must be a whole number.", metadata={"field": "index"})
        row = await pool.run(videos.film, account_id=caller.account_id, public_id=job_id, index=int(index[:9]))
        return hosting.stream(row, plain(request))


def _address(given: Any) -> str:
    try:
        return webhooks.read(url=given, events=None)[0]
    except Unprocessable:
        raise InvalidRequest(
            "'callback_url' must be an http or https address of at most 2000 characters.",
            metadata={"field": "callback_url"},
        ) from None
