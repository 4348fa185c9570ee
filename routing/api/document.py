"""GET /api/openapi.json, and the page that reads it for people at /api/docs."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from marketplace.api import document
from routing.api.management import API

PREFIX: Final = "/api/v1/"


@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    """Every operation of the inference, the catalogue's, the predictions' and the management API."""
    return JsonResponse(_document())


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The document with forms to try it."""
    return render(request, "routing/api_docs.html")


@cache
def _document() -> dict[str, Any]:
    return document.build(title="Turnpike", version="1", management=API, prefix=PREFIX)
