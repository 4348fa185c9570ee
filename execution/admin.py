"""What staff see of hosted runs; nothing is changed here, since money hangs on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from execution.models import Build, Prediction

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
else:  # Django's own class takes no parameter
    _Admin = admin.ModelAdmin


class _ReadOnly(_Admin):
    """Looking only."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


@admin.register(Prediction)
class PredictionAdmin(_ReadOnly):
    """Predictions without what their callers put in and got out."""

    list_display = ("id", "account", "model", "status", "attempts", "run_ms", "amount_nano", "created_at")
    list_filter = ("status", "hardware", "source")
    list_select_related = ("account", "model__publisher")
    exclude = ("input", "output", "logs")


@admin.register(Build)
class BuildAdmin(_ReadOnly):
    """Builds with their logs."""

    list_display = ("id", "account", "model", "status", "attempts", "created_at", "completed_at")
    list_filter = ("status",)
    list_select_related = ("account", "model__publisher")
