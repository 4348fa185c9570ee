"""What staff's pages only show: rows that services make, change and delete, whatever a member of staff may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from marketplace.lib.money import format_usd


def dollars(field: str, description: str) -> Callable[[Any, Any], str]:
    """A column of a ModelAdmin: what its rows hold as nano-USD in this field, in dollars."""

    @admin.display(description=description)
    def column(_: Any, row: Any) -> str:
        return f"${format_usd(getattr(row, field))}"

    return column


class Unmade:
    """Mixed into a ModelAdmin or an inline before it: its rows are neither made nor deleted there."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Services make them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """And delete them, if anything does."""
        return False


class Shown(Unmade):
    """The same, and not changed there either: money hangs on them, or they are a record."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Looking only."""
        return False
