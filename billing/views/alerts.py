"""What an account is told of its money: its choices, a test, and the last alerts with what became of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from billing.forms import AlertForm
from billing.models import AlertRule
from billing.services.alerts import crossings, events, rules
from marketplace.lib.errors import InvalidRequest
from marketplace.lib.money import NANO
from marketplace.views.visitor import Visitor, signed_in

SHOWN: Final = 30


@require_http_methods(["GET", "POST"])
@signed_in
def alerts(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The choices and the last alerts; for those who manage the account. Sent, the choices are kept."""
    visitor.require_manager()
    rule = rules.rule_of(account_id=visitor.account.pk)
    form = AlertForm(request.POST or None, initial=_choices(rule))
    if request.method == "POST" and form.is_valid():
        try:
            rules.choose(account=visitor.account, **form.asked())
        except InvalidRequest as error:
            form.add_error(str((error.metadata or {}).get("field", "")) or None, error.message)
        else:
            messages.success(request, "Kept.")
            return redirect("alerts")
    context = {
        "section": "alerts",
        "form": form,
        "secret": rules.secret_of(rule),
        "old_secret_until": rules.old_secret_until(rule),
        "alerts": crossings.listed(account_id=visitor.account.pk, most=SHOWN),
    }
    return render(request, "billing/alerts.html", context, status=422 if form.errors else 200)


@require_POST
@signed_in
def alert_test(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """Send a test on every way that was chosen."""
    visitor.require_manager()
    try:
        events.test(account=visitor.account)
    except InvalidRequest as error:
        messages.error(request, error.message)
    else:
        messages.success(request, "A test is on its way: load the page again to see whether it arrived.")
    return redirect("alerts")


@require_POST
@signed_in
def alert_secret(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """A new signing secret, beside which the old one signs for a day."""
    visitor.require_manager()
    try:
        rules.rotate(account=visitor.account)
    except InvalidRequest as error:
        messages.error(request, error.message)
    else:
        messages.success(request, "This is the new secret. The old one signs beside it for 24 hours.")
    return redirect("alerts")


def _choices(rule: AlertRule) -> dict[str, Any]:
    low = rule.low_balance_nano
    return {
        "low_balance": None if low is None else Decimal(low) / NANO,
        "key_limits": rule.key_limits,
        "by_mail": rule.by_mail,
        "webhook_url": rule.webhook_url,
    }
