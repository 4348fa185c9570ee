"""The page that tells of one request, by the kind of its charge; floors above own those pages."""

from __future__ import annotations

from typing import Final

from django.urls import NoReverseMatch, reverse

ROUTED: Final = ("chat", "embeddings", "rerank", "speech", "transcription", "images", "videos")
PAGES: Final = {"prediction": "prediction_detail", "training": "training_detail", **dict.fromkeys(ROUTED, "generation")}


def page_of(kind: str, reference: str) -> str:
    """Its address, or "" where there is none."""
    try:
        return reverse(PAGES[kind], args=[reference])
    except (KeyError, NoReverseMatch):
        return ""
