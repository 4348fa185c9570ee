"""How a path picks the form of its answer: not at all."""

from __future__ import annotations

from typing import Any

from rest_framework.negotiation import BaseContentNegotiation, DefaultContentNegotiation


class AnyAccept(BaseContentNegotiation):
    """Each path answers in one form, whatever Accept says: clients of streams ask for text/event-stream only."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        """The first that reads the body's media type."""
        return DefaultContentNegotiation().select_parser(request, parsers)

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        """The only one."""
        return renderers[0], renderers[0].media_type
