"""Accounts: a personal one per user, organisations, and which one a user acts for."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

from django.db import IntegrityError, transaction

from marketplace.lib import ids
from marketplace.lib.errors import Conflict, Forbidden, InvalidRequest, NotFound
from marketplace.models import Account, Member, Publisher, User
from marketplace.models.accounts import SLUG
from marketplace.names import RESERVED

SESSION_KEY = "account_id"


def open_personal(*, user: User, slug: str = "") -> Account:
    """Make the user's personal account (once); the slug comes from the e-mail address unless given."""
    existing = Account.objects.filter(members__user=user, kind=Account.Kind.PERSONAL).first()
    if existing:
        return existing
    wanted = slug or re.sub(r"[^a-z0-9-]+", "-", user.email.split("@")[0].lower()).strip("-")[:50] or "user"
    name = user.get_full_name() or user.email.split("@")[0]
    for attempt in range(5):
        candidate = wanted if attempt == 0 else f"{wanted}-{ids.random_lower(5)}"
        try:
            return _open(slug=candidate, name=name, kind=Account.Kind.PERSONAL, owner=user)
        except Conflict:
            if slug:
                raise
    raise Conflict(f"No free name near {wanted!r}: choose another.")


def open_organisation(*, user: User, slug: str, name: str) -> Account:
    """Make an organisation owned by the user. Raises InvalidRequest for a bad slug, Conflict for a taken one."""
    if not re.fullmatch(SLUG.regex, slug):
        raise InvalidRequest(str(SLUG.message))
    return _open(slug=slug, name=name, kind=Account.Kind.ORGANISATION, owner=user)


def _open(*, slug: str, name: str, kind: str, owner: User) -> Account:
    if slug in RESERVED:
        raise Conflict(f"The name {slug!r} is one of our own pages: choose another.")
    # Accounts and publishers share one name space: demo/… must be the account demo's.
    if Publisher.objects.filter(slug=slug).exclude(account=None).exists():
        raise Conflict(f"The name {slug!r} is taken: choose another.")
    if Publisher.objects.filter(slug=slug, account=None).exists():
        raise Conflict(f"The name {slug!r} is reserved for its publisher: choose another.")
    try:
        with transaction.atomic():
            account = Account.objects.create(slug=slug, name=name, kind=kind, roles=[Account.Role.DEVELOPER])
            Member.objects.create(account=account, user=owner, role=Member.Role.OWNER)
    except IntegrityError:
        raise Conflict(f"The name {slug!r} is taken: choose another.") from None
    return account


def current(*, user: User, session: MutableMapping[str, Any]) -> Account:
    """The account that the user acts for: the one chosen in the session, else the personal one."""
    chosen = session.get(SESSION_KEY)
    if chosen is not None:
        account = Account.objects.filter(pk=chosen, members__user=user).first()
        if account:
            return account
    return open_personal(user=user)


def switch(*, user: User, session: MutableMapping[str, Any], account_id: int) -> Account:
    """Act for another of the user's accounts. Raises NotFound for one that is not theirs."""
    account = Account.objects.filter(pk=account_id, members__user=user).first()
    if account is None:
        raise NotFound("There is no such account among yours.")
    session[SESSION_KEY] = account.pk
    return account


def require_manager(*, user: User, account: Account) -> Member:
    """The user's membership if it may change keys, members and money; else Forbidden."""
    member = Member.objects.filter(account=account, user=user).first()
    if member is None:
        raise NotFound("There is no such account among yours.")
    if not member.can_manage:
        raise Forbidden(f"Only owners and admins of {account.name} may do this; you are a member.")
    return member


def add_member(*, account: Account, email: str, role: str, by: Member) -> Member:
    """Add a registered user to an organisation, or change their role.

    Raises Forbidden (only an owner makes owners), InvalidRequest for a personal account,
    NotFound when nobody has that address, Conflict when the last owner would go.
    """
    if account.kind != Account.Kind.ORGANISATION:
        raise InvalidRequest("A personal account has one member: create an organisation to share.")
    if role not in Member.Role.values:
        raise InvalidRequest(f"The role is one of {', '.join(Member.Role.values)}.")
    user = User.objects.filter(email=email.strip().lower()).first()
    if user is None:
        raise NotFound(f"Nobody has signed up as {email}: ask them to sign up first.")
    existing = Member.objects.filter(account=account, user=user).first()
    touches_owner = role == Member.Role.OWNER or (existing and existing.role == Member.Role.OWNER)
    if touches_owner and by.role != Member.Role.OWNER:
        raise Forbidden("Only an owner may make or change owners.")
    if existing and existing.role == Member.Role.OWNER and role != Member.Role.OWNER:
        _require_another_owner(existing)
    member, _ = Member.objects.update_or_create(account=account, user=user, defaults={"role": role})
    return member


def remove_member(*, member: Member, by: Member) -> None:
    """End a membership. Raises Forbidden or, for the last owner, Conflict."""
    if member.role == Member.Role.OWNER:
        if by.role != Member.Role.OWNER:
            raise Forbidden("Only an owner may remove an owner.")
        _require_another_owner(member)
    member.delete()


def _require_another_owner(member: Member) -> None:
    others = Member.objects.filter(account=member.account, role=Member.Role.OWNER).exclude(pk=member.pk)
    if not others.exists():
        raise Conflict("An account keeps at least one owner: name another owner first.")


def publisher_of(*, account: Account) -> Publisher:
    """The account's publisher, made at its first publication under the account's slug."""
    publisher, _ = Publisher.objects.get_or_create(
        account=account, defaults={"slug": account.slug, "name": account.name}
    )
    if Account.Role.PUBLISHER not in account.roles:
        account.roles = [*account.roles, Account.Role.PUBLISHER]
        account.save(update_fields=["roles"])
    return publisher
