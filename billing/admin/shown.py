"""What all of billing's staff pages share: looking changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
else:  # Django's own class takes no parameter
    _Admin = admin.ModelAdmin


class Shown(_Admin):
    """Rows that are only looked at."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Money's rows are made by billing's services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """And changed by them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False
