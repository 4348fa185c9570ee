"""What staff see of a request that is asked about: who was tried, why, and what was charged. Nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import linebreaksbr

from billing.services import breakdowns
from marketplace.lib import ids
from marketplace.lib.money import format_usd
from marketplace.lib.shown import Shown, dollars
from marketplace.templatetags.portal import unit_name
from routing.models import Attempt, Generation
from routing.services import records

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
    _Inline = admin.TabularInline[Attempt, Generation]
else:  # Django's own classes take no parameter
    _Admin = admin.ModelAdmin
    _Inline = admin.TabularInline


class AttemptInline(Shown, _Inline):
    """The endpoints that were tried, in order."""

    model = Attempt
    fields = readonly_fields = ("order", "provider_name", "outcome", "time", "own_key")
    ordering = ("position",)

    @admin.display(description="Order")
    def order(self, attempt: Attempt) -> int:
        """Counted from one, as the caller sees it."""
        return attempt.position + 1

    @admin.display(description="Time")
    def time(self, attempt: Attempt) -> str:
        """How long it took to answer or to fail."""
        return _milliseconds(attempt.latency_ms)

    @admin.display(description="With the caller's own key")
    def own_key(self, attempt: Attempt) -> str:
        """In words: the sign for no looks like a fault."""
        return "yes" if attempt.is_byok else "no"

    @admin.display(description="Outcome")
    def outcome(self, attempt: Attempt) -> str:
        """In the words of the caller's own page."""
        return records.reason(attempt)


@admin.register(Generation)
class GenerationAdmin(Shown, _Admin):
    """Generations by the id that callers tell; what was said in them is stored nowhere."""

    list_display = ("public_id", "account", "model", "status", "cost", "created_at")
    list_filter = ("status", "operation", "created_at")
    list_select_related = ("account",)
    show_full_result_count = False
    search_fields = ("account__slug",)
    search_help_text = "A generation's id (gen-…), or an account's short name"
    inlines = (AttemptInline,)
    fields = readonly_fields = (
        "public_id", "account", "key", "requested_model", "model", "served_by", "operation", "way", "status",
        "finish_reason", "error_kind", "why", "prompt_tokens", "completion_tokens", "usage_source", "first_token",
        "whole_answer", "charged", "cost", "corrections", "held", "created_at", "finished_at",
    )  # fmt: skip

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Generation], search_term: str
    ) -> tuple[QuerySet[Generation], bool]:
        """By the public id, else as Django searches."""
        try:
            return queryset.filter(pk=ids.parse_generation_id(search_term.strip())), False
        except ValueError:
            return super().get_search_results(request, queryset, search_term)

    @admin.display(description="Provider")
    def served_by(self, generation: Generation) -> str:
        """By its name, with what it is called in addresses."""
        found = generation.provider
        return f"{found.name} ({found.slug})" if found else "–"

    @admin.display(description="Way")
    def way(self, generation: Generation) -> str:
        """In words: the sign for no looks like a fault."""
        return "streamed" if generation.streamed else "in one piece"

    @admin.display(description="First token after")
    def first_token(self, generation: Generation) -> str:
        """As on the caller's page."""
        return _milliseconds(generation.latency_ms)

    @admin.display(description="Whole answer in")
    def whole_answer(self, generation: Generation) -> str:
        """As on the caller's page."""
        return _milliseconds(generation.generation_ms)

    cost = dollars("cost_nano", "Cost")

    @admin.display(description="Why this provider")
    def why(self, generation: Generation) -> str:
        """The sentence of the caller's page, and whether the choice follows from its record."""
        found = records.why(generation)
        if found is None:
            return "–"
        return found.sentence + ("" if found.replays else " Made again from its record, the choice differs.")

    @admin.display(description="Count times price")
    def charged(self, generation: Generation) -> str:
        """The lines that make the cost."""
        found = _breakdown(generation)
        lines = [f"{one.quantity:,} {unit_name(one.unit)}: {one.amount}" for one in found.lines] if found else []
        return linebreaksbr("\n".join(lines)) or "–"

    @admin.display(description="Corrections")
    def corrections(self, generation: Generation) -> str:
        """Later changes of the charge, with their reasons."""
        found = _breakdown(generation)
        told = (
            [f"{one.reason or 'corrected'}: ${format_usd(one.amount_nano)}" for one in found.corrections]
            if found
            else []
        )
        return "; ".join(told) or "none"

    @admin.display(description="Held before")
    def held(self, generation: Generation) -> str:
        """What was set aside, in dollars."""
        found = _breakdown(generation)
        return f"${format_usd(found.held.amount_nano)}" if found and found.held else "–"


def _breakdown(generation: Generation) -> breakdowns.Breakdown | None:
    return breakdowns.of(account_id=generation.account_id, kind=generation.operation, reference=str(generation.pk))


def _milliseconds(taken: int | None) -> str:
    return "–" if taken is None else f"{taken:,} ms"
