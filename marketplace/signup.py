"""What sign-up and log-out do beyond the user: the personal account, the playground's key."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.forms import BaseForm
from django.http import HttpRequest

from marketplace.models import User
from marketplace.services import accounts, playground


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    """allauth's seam for our own sign-up."""

    def save_user(self, request: HttpRequest, user: User, form: BaseForm, commit: bool = True) -> User:
        """Save the user, then open their personal account."""
        user.email = user.email.lower()
        saved: User = super().save_user(request, user, form, commit=commit)
        if commit:
            accounts.open_personal(user=saved)
        return saved

    def logout(self, request: HttpRequest) -> None:
        """End the playground's key with the session that it is bound to."""
        playground.end(session=request.session)
        super().logout(request)
