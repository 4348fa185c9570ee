"""The first page of the documentation: from a key to an answer with the clients that one knows."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from marketplace.services import browse
from marketplace.views import snippets
from marketplace.views.visitor import Visitor, public

# Which clients, and what comes behind the site's address in their base URL (docs/api.md says more of each).
CLIENTS: Final = (
    ("OpenAI’s SDKs, LangChain, LiteLLM, OpenRouter’s for the AI SDK", "/api/v1"),
    ("Anthropic’s, Google’s (google-genai), Mistral’s and Cohere’s SDKs", "/api"),
    ("Replicate’s Python client 1.x (REPLICATE_BASE_URL)", ""),
    ("Replicate’s JavaScript client, and Python 2.x", "/v1"),
)
# Status, what it means, what to do.
REFUSALS: Final = (
    (400, "The body is not understood, or no model has this name.", "The message names the field, or the name meant."),
    (401, "No key, or none of ours.", "Send “Authorization: Bearer sk-tp-v1-…”, whole."),
    (
        402,
        "The credit, or the limit of the key, does not cover what the request may cost.",
        "Add credit, raise the limit, or ask for fewer tokens.",
    ),
    (
        404,
        "No endpoint can serve it as asked.",
        "The error lists each endpoint with its reason: ask for less, or allow more providers.",
    ),
    (422, "A prediction’s input does not fit the model’s schema.", "The message names each field that is wrong."),
    (429, "Too many requests at once.", "Wait for the seconds of “Retry-After”."),
    (503, "Nothing that could answer was able to.", "Try again after “Retry-After”; what failed is not charged."),
)


@require_safe
@public
def quick_start(request: HttpRequest, visitor: Visitor | None) -> HttpResponse:
    """Key, base URLs, a chat and a prediction to paste, what refusals mean, the way to every operation."""
    listings = browse.models(account_id=None)
    site_url = snippets.site_url(request)
    model = snippets.chat_example(listings)
    context = {
        "section": "docs",
        "model": model,
        "clients": [(who, site_url + path) for who, path in CLIENTS],
        "snippets": snippets.chat(model, site_url=site_url),
        "hosted": next((one for one in listings if one.is_hosted and one.version and not one.chats), None),
        "refusals": REFUSALS,
    }
    return render(request, "marketplace/docs.html", context)
