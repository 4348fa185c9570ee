"""Price-change alerts: people watch models, and a mail tells each of them once of each change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.db.models import F
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from marketplace.lib.errors import NotFound
from marketplace.models import Account, Endpoint, Member, Model, Price, PriceWatch, User
from marketplace.services import prices
from marketplace.services.prices import PriceChange

logger = structlog.get_logger(__name__)

# A price is stamped before it commits: by then all that were stamped earlier are there.
SETTLED: Final = dt.timedelta(minutes=1)


def is_watched(*, account: Account, user: User, model: Model) -> bool:
    """Whether the person, in this account, is told of the model's prices."""
    return PriceWatch.objects.for_account(account.pk).filter(user=user, model=model).exists()


def toggle(*, account: Account, user: User, full_slug: str) -> bool:
    """Begin or end to watch; whether it is watched now. Raises NotFound, also for a stranger's private model."""
    model = Model.objects.visible_to(account.pk).named(full_slug).first()
    if model is None:
        raise NotFound(f"There is no model {full_slug}.")
    if PriceWatch.objects.for_account(account.pk).filter(user=user, model=model).delete()[0]:
        return False
    PriceWatch.objects.get_or_create(account=account, user=user, model=model)
    return True


def tell_due(*, now: dt.datetime | None = None) -> int:
    """Send the mails that are due; how many were sent. Of several workers one sends each."""
    until = (now or timezone.now()) - SETTLED
    dated = {
        "model__endpoints__prices__kind": Price.Kind.PRICE,
        "model__endpoints__prices__effective_from__gt": F("told_until"),
        "model__endpoints__prices__effective_from__lte": until,
    }
    due = PriceWatch.objects.filter(**dated).distinct().select_related("account", "user", "model__publisher")
    return sum(_tell(watch, until) for watch in due)


def _tell(watch: PriceWatch, until: dt.datetime) -> bool:
    names = {
        row.pk: row.provider.name
        for row in Endpoint.objects.filter(model_id=watch.model_id, is_active=True, provider__is_active=True)
        .select_related("provider")
    }  # fmt: skip
    found = [
        one
        for one in prices.changes(endpoint_ids=names, since=watch.told_until)
        if watch.told_until < one.at <= until
    ]  # fmt: skip
    before = watch.told_until
    # Whoever moves the mark sends the mail.
    if not PriceWatch.objects.filter(pk=watch.pk, told_until=before).update(told_until=until):
        return False
    if not found or not _may_know(watch):
        return False
    try:
        _send(watch, [(names[one.endpoint_id], one) for one in found[::-1]])
    except OSError as error:  # the mail server is away: the next round tries again
        PriceWatch.objects.filter(pk=watch.pk, told_until=until).update(told_until=before)
        logger.warning("mail_failed", watch=watch.pk, error=type(error).__name__)
        return False
    return True


def _may_know(watch: PriceWatch) -> bool:
    """Whether the person still belongs to the account, and the account may still see the model."""
    belongs = Member.objects.filter(account=watch.account, user=watch.user).exists()
    return belongs and Model.objects.visible_to(watch.account_id).filter(pk=watch.model_id).exists()


def _send(watch: PriceWatch, changes: Sequence[tuple[str, PriceChange]]) -> None:
    model = watch.model
    address = reverse("model_detail", args=[model.publisher.slug, model.slug])
    context = {"model": model, "changes": changes, "link": f"{settings.PUBLIC_URL.rstrip('/')}{address}"}
    send_mail(
        f"Prices of {model.name} changed", render_to_string("emails/price_changes.txt", context), None,
        [watch.user.email],
    )  # fmt: skip
