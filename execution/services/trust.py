"""Whose code may run here (contracts, Isolation 3)."""

from __future__ import annotations

import ipaddress

from marketplace.lib import env
from marketplace.lib.errors import Forbidden
from marketplace.models import Account, Version


def is_local_only() -> bool:
    """Whether this site is bound to the loopback address (HOST), where its users are its operator."""
    host = env.text("HOST", "127.0.0.1").strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require(*, account: Account | None) -> None:
    """Raise Forbidden when this account's code may not run here.

    The process runtime is no wall against a determined stranger: on a public address only publishers that staff
    have marked trusted may use it. A site that runs nothing as a process (TURNPIKE_RUNTIME=docker) takes anybody's.
    """
    if is_local_only() or env.text("TURNPIKE_RUNTIME") == "docker" or (account is not None and account.is_trusted):
        return
    raise Forbidden(
        "This site runs models as processes, and only of publishers that its staff have marked as trusted: "
        "ask them to review the publisher's account."
    )


def require_code_of(version: Version) -> None:
    """The same of the publisher whose code a version runs: of a trained one that is whom it was trained from."""
    origin = version.trained_from
    require(account=(origin or version).model.publisher.account)
