"""/auth: an app asks for a key of the account; the user says yes or no."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from marketplace.forms import ConsentForm
from marketplace.services import app_codes
from marketplace.services.app_codes import Wish
from marketplace.views.visitor import Visitor, signed_in


@require_http_methods(["GET", "POST"])
@signed_in
def app_consent(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The question, and after the answer the way back to the app (or the code itself where it has no address)."""
    asked = request.POST if request.method == "POST" else request.GET
    wish = app_codes.wish(
        callback_url=asked.get("callback_url", ""),
        challenge=asked.get("code_challenge", ""),
        method=asked.get("code_challenge_method", ""),
    )
    visitor.require_manager()
    form = ConsentForm(request.POST or None, initial=ConsentForm.asked_for(request.GET, app=wish.app))
    if request.method == "POST" and "deny" in request.POST:
        return _back(wish, error="access_denied") if wish.callback_url else HttpResponseRedirect("/keys")
    if request.method == "POST" and form.is_valid():
        _, code = app_codes.issue(account=visitor.account, user=visitor.user, wish=wish, **form.chosen())
        if wish.callback_url:
            return _back(wish, code=code)
        return render(request, "marketplace/app_code.html", {"section": "keys", "code": code})
    context = {"section": "keys", "wish": wish, "form": form}
    response = render(request, "marketplace/app_consent.html", context, status=422 if form.errors else 200)
    # The answer leads to the app: without its origin here the browser would stop the form's redirect.
    response.headers["Content-Security-Policy"] = (
        f"default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' {wish.origin}".strip()
    )
    return response


def _back(wish: Wish, **answer: str) -> HttpResponse:
    return HttpResponseRedirect(app_codes.callback(wish=wish, **answer))
