"""What staff see of hosted runs, where nothing is changed since money hangs on it; and which models are official."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from execution.models import Build, Prediction
from execution.services import official
from marketplace.lib.errors import AppError
from marketplace.lib.shown import Shown, Unmade
from marketplace.models import Model

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
    _ModelForm = forms.ModelForm[Model]
else:  # Django's own classes take no parameter
    _Admin = admin.ModelAdmin
    _ModelForm = forms.ModelForm


@admin.register(Prediction)
class PredictionAdmin(Shown, _Admin):
    """Predictions without what their callers put in and got out."""

    list_display = ("id", "account", "model", "status", "attempts", "run_ms", "amount_nano", "created_at")
    list_filter = ("status", "hardware", "source")
    list_select_related = ("account", "model__publisher")
    exclude = ("input", "output", "logs")
    search_fields = ("id", "account__slug")
    search_help_text = "A prediction's id, or an account's short name"


@admin.register(Build)
class BuildAdmin(Shown, _Admin):
    """Builds with their logs."""

    list_display = ("id", "account", "model", "status", "attempts", "created_at", "completed_at")
    list_filter = ("status",)
    list_select_related = ("account", "model__publisher")
    search_fields = ("id", "account__slug", "model__slug")
    search_help_text = "A build's id, an account's or a model's short name"


class OfficialForm(_ModelForm):
    """Whether a model is official; refused where the service would refuse it."""

    class Meta:
        labels: ClassVar = {"is_official": "Official", "warm_instances": "Kept warm"}
        help_texts: ClassVar = {
            "is_official": "Its page says that the staff of this site vouch for it.",
            "warm_instances": "Instances of its newest version that stand by at the platform's expense.",
        }

    def clean(self) -> dict[str, Any]:
        """Without `official` there is nothing to keep warm."""
        given = super().clean() or self.cleaned_data
        if not given.get("is_official"):
            given["warm_instances"] = 0
            return given
        try:
            official.check(model=self.instance, warm_instances=given.get("warm_instances", 0))
        except AppError as error:
            raise forms.ValidationError(error.message) from None
        return given


@admin.register(Model)
class HostedModelAdmin(Unmade, _Admin):
    """Hosted models: whether they are official, and how many instances of each the platform keeps warm."""

    form = OfficialForm
    list_display = ("full_slug", "hardware", "visibility", "is_official", "warm_instances", "standing")
    list_filter = ("is_official", "hardware")
    list_select_related = ("publisher", "hardware")
    search_fields = ("slug", "name", "publisher__slug")
    fields = ("full_slug", "name", "hardware", "visibility", "is_official", "warm_instances", "standing")
    readonly_fields = ("full_slug", "name", "hardware", "visibility", "standing")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        """Those that run here."""
        return Model.objects.exclude(hardware=None)

    @admin.display(description="Instances now")
    def standing(self, model: Model) -> int:
        """Of its newest version, on all workers."""
        return official.standing_now(model=model)

    def save_model(self, request: HttpRequest, obj: Model, form: OfficialForm, change: bool) -> None:
        """By the same service as the command; the form has asked it already."""
        if obj.is_official:
            official.mark(model=obj, warm_instances=obj.warm_instances)
        else:
            official.unmark(model=obj)
