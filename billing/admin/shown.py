"""What all of billing's staff pages share: looking changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin

from marketplace.lib import shown

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
else:  # Django's own class takes no parameter
    _Admin = admin.ModelAdmin


class Shown(shown.Shown, _Admin):
    """Rows that are only looked at."""
