"""Who looks at a page: the decorators that every page of an account goes through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from marketplace.lib.errors import AppError, NotFound
from marketplace.models import Account, Member, User
from marketplace.services import accounts

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Visitor:
    """A logged-in user, the account they act for and their place in it."""

    user: User
    account: Account
    member: Member

    @property
    def can_manage(self) -> bool:
        """Whether keys, members and money of the account are theirs to change."""
        return self.member.can_manage

    def require_manager(self) -> Member:
        """The membership; raises Forbidden (a 403 page) for a plain member."""
        return accounts.require_manager(user=self.user, account=self.account)

    def require_staff(self) -> None:
        """Raises NotFound for everybody else: the site's own pages are not there for them."""
        if not self.user.is_staff:
            raise NotFound("There is no such page.")


def visitor_of(request: HttpRequest) -> Visitor | None:
    """The visitor behind a request; None when nobody is logged in."""
    if not request.user.is_authenticated:
        return None
    user = request.user
    account = accounts.current(user=user, session=request.session)
    return Visitor(user=user, account=account, member=Member.objects.get(user=user, account=account))


def public(view: Callable[Concatenate[HttpRequest, Visitor | None, P], HttpResponse]) -> Callable[..., HttpResponse]:
    """A page for everybody: `view(request, visitor or None, …)`; our errors become error pages."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            return view(request, visitor_of(request), *args, **kwargs)
        except AppError as error:
            return refusal(request, error)

    return wrapped


def signed_in(
    view: Callable[Concatenate[HttpRequest, Visitor, P], HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """A page of an account: `view(request, visitor, …)`; others are sent to log in first.

    Such pages are nobody else's, so no cache may keep them.
    """

    @wraps(view)
    def wrapped(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        visitor = visitor_of(request)
        if visitor is None:
            return redirect_to_login(request.get_full_path())
        try:
            response = view(request, visitor, *args, **kwargs)
        except AppError as error:
            return refusal(request, error)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return wrapped


def refusal(request: HttpRequest, error: AppError) -> HttpResponse:
    """The error as a page, with the status that the API would give it."""
    context = {"status": error.status, "message": error.message}
    response = render(request, "errors/refusal.html", context, status=error.status)
    for name, value in error.headers.items():
        response.headers[name] = value
    return response
