"""What sign-up does beyond making a user: the personal account."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.forms import BaseForm
from django.http import HttpRequest

from marketplace.models import User
from marketplace.services import accounts


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    """allauth's seam for our own sign-up."""

    def save_user(self, request: HttpRequest, user: User, form: BaseForm, commit: bool = True) -> User:
        """Save the user, then open their personal account."""
        user.email = user.email.lower()
        saved: User = super().save_user(request, user, form, commit=commit)
        if commit:
            accounts.open_personal(user=saved)
        return saved
