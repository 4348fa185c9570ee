"""What staff put together by hand on the catalogue's floor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin

from marketplace.models import Collection

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
else:  # Django's own class takes no parameter
    _Admin = admin.ModelAdmin

admin.site.site_header = admin.site.site_title = "Turnpike staff"
admin.site.index_title = "What staff look after"


@admin.register(Collection)
class CollectionAdmin(_Admin):
    """Models under a heading."""

    list_display = ["name", "slug", "position"]
    raw_id_fields = ["members"]
    prepopulated_fields = {"slug": ["name"]}
