"""POST images and images/generations."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpResponse

from execution.api.shapes import base_of
from marketplace.api.described import Described
from marketplace.lib import pool
from routing.api.base import View, plain
from routing.ingress import images as ingress
from routing.operations.images import IMAGES, MAX_PICTURES, MAX_PROMPT
from routing.services import pictures
from routing.services.operations import perform

BODY: Final = Described(
    body={
        "type": "object",
        "required": ["model", "prompt"],
        "properties": {
            "model": {"type": "string", "description": "publisher/model"},
            "prompt": {"type": "string", "minLength": 1, "maxLength": MAX_PROMPT},
            "n": {"type": "integer", "minimum": 1, "maximum": MAX_PICTURES},
            "size": {"type": "string"},
            "aspect_ratio": {"type": "string"},
            **{name: {"enum": list(words)} for name, words in ingress.CHOICES.items()},
            "output_compression": {"type": "integer", "minimum": 0, "maximum": 100},
            "seed": {"type": "integer", "minimum": 0},
            "input_references": {"type": "array", "items": {"type": "object"}},
            "provider": {"type": "object"},
        },
    }
)


class Images(View):
    """Make pictures."""

    described: Final = {"post": BODY}

    async def post(self, request: Any) -> HttpResponse:
        """The pictures as data, or as links that are good for an hour where `response_format` says url."""
        caller = await self.payer(request)
        asked = plain(request)
        wanted = ingress.parse(asked.body)
        done = await perform(caller=caller, request=wanted, operation=IMAGES)
        urls: list[str] = []
        if wanted.as_url:
            urls = await pool.run(pictures.links, done.answer.items, account_id=caller.account_id, base=base_of(asked))
        created = (done.generation_id.int >> 80) // 1000
        body = ingress.write(done.answer, created=created, bill=done.bill, urls=urls)
        return HttpResponse(body, content_type="application/json", headers={"X-Generation-Id": done.public_id})
