"""What an account was charged: the list, its sums by day, the same as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_safe

from billing.forms import UsageFilter
from billing.models import Charge
from billing.services import statements
from marketplace.lib.errors import Unprocessable
from marketplace.views.visitor import Visitor, signed_in

PAGE_SIZE = 50
# More rows than this are a job for the API: the file is made in memory.
MOST_CSV_ROWS = 100_000
# The page that tells of one request, by the charge's kind; floors above own them.
ROUTED = ("chat", "embeddings", "rerank", "speech", "transcription", "images", "videos")
PAGES = {"prediction": "prediction_detail", **dict.fromkeys(ROUTED, "generation")}


@require_safe
@signed_in
def usage(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The charges, narrowed, with their sum, their days and a page of the list."""
    form, rows = _asked(request, visitor)
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    days = statements.per_day(rows)
    context = {
        "section": "usage",
        "form": form,
        "page": page,
        "rows": [_row(charge) for charge in page],
        "totals": statements.totals(rows),
        "days": {"days": [day.isoformat() for day, _ in days], "nano": [str(nano) for _, nano in days]},
        "is_narrowed": any(request.GET.get(name) for name in form.fields),
    }
    return render(request, "billing/usage.html", context)


@require_safe
@signed_in
def usage_csv(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The narrowed charges as a file. Raises Unprocessable beyond MOST_CSV_ROWS."""
    _, rows = _asked(request, visitor)
    if rows[MOST_CSV_ROWS : MOST_CSV_ROWS + 1].exists():
        raise Unprocessable(f"A file holds at most {MOST_CSV_ROWS:,} charges: choose fewer days.")
    text = io.StringIO()
    csv.writer(text).writerows(statements.csv_rows(_all(rows)))
    name = f"turnpike-usage-{visitor.account.slug}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


def _asked(request: HttpRequest, visitor: Visitor) -> tuple[UsageFilter, QuerySet[Charge]]:
    account_id = visitor.account.pk
    form = UsageFilter(
        request.GET,
        keys=statements.keys_charged(account_id=account_id),
        models=statements.models_charged(account_id=account_id),
    )
    return form, statements.charges(account_id=account_id, narrowed=form.narrowed())


def _all(rows: QuerySet[Charge]) -> Iterator[Charge]:
    return rows.iterator(chunk_size=2000)


def _row(charge: Charge) -> dict[str, object]:
    return {
        "charge": charge,
        "model": charge.labels.get("model", ""),
        "provider": charge.labels.get("provider", ""),
        "quantities": statements.quantity_text(charge.quantities),
        "href": _page_of(charge),
    }


def _page_of(charge: Charge) -> str:
    try:
        return reverse(PAGES[charge.kind], args=[charge.reference])
    except (KeyError, NoReverseMatch):
        return ""
