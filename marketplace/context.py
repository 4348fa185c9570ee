"""What every page knows: the account that its user acts for, and the others to switch to."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from marketplace.models import Account, User
from marketplace.services import accounts


def portal(request: HttpRequest) -> dict[str, Any]:
    """Template context: `current_account`, `my_accounts`, `site_url`, `payments_on`."""
    site_url = settings.PUBLIC_URL or f"{request.scheme}://{request.get_host()}"
    context: dict[str, Any] = {"site_url": site_url, "payments_on": bool(settings.STRIPE_SECRET_KEY)}
    user = getattr(request, "user", None)
    if isinstance(user, User):
        context["current_account"] = accounts.current(user=user, session=request.session)
        context["my_accounts"] = list(Account.objects.filter(members__user=user).order_by("kind", "slug"))
    return context
