"""Usage on its way to Stripe: what was refused there is looked at, sent again, or dropped with a reason."""

from __future__ import annotations

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest

from billing.admin.shown import Shown
from billing.models import MeterRow
from billing.services import metering
from marketplace.lib.errors import AppError
from marketplace.models import User


class ReasonForm(ActionForm):
    """Which action, and why; only dropping asks for it."""

    reason = forms.CharField(required=False, max_length=metering.LONGEST_REASON, label="Reason")


@admin.register(MeterRow)
class MeterRowAdmin(Shown):
    """Rows for account, meter and hour; who may change them decides what becomes of refused ones."""

    list_display = ["hour", "account", "meter", "value", "state", "error", "dropped_because", "dropped_by", "sent_at"]
    list_filter = ["state", "meter"]
    search_fields = ["account__slug", "error", "dropped_because"]
    list_select_related = ["account", "dropped_by"]
    date_hierarchy = "hour"
    ordering = ["-hour", "pk"]
    action_form = ReasonForm
    actions = ["retry", "drop"]

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Whether the actions are offered."""
        return isinstance(request.user, User) and request.user.has_perm("billing.change_meterrow")

    @admin.action(description="Send refused rows again", permissions=["decide"])
    def retry(self, request: HttpRequest, rows: QuerySet[MeterRow]) -> None:
        """Their cause is mended: they go with the next export."""
        refused = list(rows.filter(state=MeterRow.State.REFUSED))
        for row in refused:
            self.log_change(request, row, f"Let it be sent again, which was refused: {row.error}")
        count = metering.retry(row.pk for row in refused)
        messages.success(request, f"{count} of them go with the next export.")

    @admin.action(description="Drop refused rows, with the reason beside", permissions=["decide"])
    def drop(self, request: HttpRequest, rows: QuerySet[MeterRow]) -> None:
        """They are never counted at Stripe."""
        user = request.user
        assert isinstance(user, User)  # noqa: S101  the action's permission
        reason = str(request.POST.get("reason", ""))
        refused = list(rows.filter(state=MeterRow.State.REFUSED))
        try:
            count = metering.drop((row.pk for row in refused), reason=reason, decided_by=user)
        except AppError as error:
            messages.error(request, error.message)
            return
        for row in refused:
            self.log_change(request, row, f"Dropped: {reason}")
        messages.success(request, f"{count} of them are dropped: owed still, and on no invoice.")
