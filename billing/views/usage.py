"""What an account used: sums by hour or day as a picture and a table, the requests one by one, both as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from billing.forms import UsageFilter
from billing.models import Charge
from billing.services import reports, statements
from billing.services.reports import Report
from billing.services.statements import Narrowed
from billing.views.request_pages import page_of
from marketplace.lib import charts
from marketplace.lib.errors import Unprocessable
from marketplace.models import User
from marketplace.views.visitor import Visitor, signed_in

PAGE_SIZE: Final = 50
# How many parts the picture tells apart; the table has all of them.
MOST_SERIES: Final = 7
# More rows than this are a job for the API: the file is made in memory.
MOST_CSV_ROWS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Asked:
    """The filter, what it found and the charges behind it."""

    form: UsageFilter
    report: Report
    charges: QuerySet[Charge]


@require_safe
@signed_in
def usage(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """Sums, picture and a page of requests. Plain members see what is their own, admins all."""
    asked = _asked(request, visitor)
    rows, after = statements.page(asked.charges, before=request.GET.get("before", ""), size=PAGE_SIZE)
    found = asked.report
    context = {
        "section": "usage",
        "form": asked.form,
        "report": found,
        "span": found.wanted.span,
        "part_title": reports.PARTS[found.wanted.part],
        "chart": _chart(found),
        "rows": [_row(charge) for charge in rows],
        "after": after,
        "is_later": bool(request.GET.get("before")),
        "is_narrowed": any(asked.form.data.get(name) for name in ("model", "key", "member", "kind")),
        "only_own": not visitor.can_manage,
    }
    return render(request, "billing/usage.html", context)


@require_safe
@signed_in
def usage_csv(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The sums of the same filter as a file."""
    return _file(reports.csv_rows(_asked(request, visitor).report), f"turnpike-usage-{visitor.account.slug}.csv")


@require_safe
@signed_in
def requests_csv(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The requests of the same filter as a file. Raises Unprocessable beyond MOST_CSV_ROWS."""
    rows = _asked(request, visitor).charges
    if rows[MOST_CSV_ROWS : MOST_CSV_ROWS + 1].exists():
        raise Unprocessable(f"A file holds at most {MOST_CSV_ROWS:,} requests: choose a shorter time.")
    return _file(statements.csv_rows(_all(rows)), f"turnpike-requests-{visitor.account.slug}.csv")


def _asked(request: HttpRequest, visitor: Visitor) -> Asked:
    account_id = visitor.account.pk
    only = None if visitor.can_manage else visitor.user.pk
    form = UsageFilter(request.GET.dict(), months=reports.months(account_id=account_id), only_user_id=only)
    wanted = form.wanted()
    found = reports.report(account_id=account_id, wanted=wanted, only_user_id=only)
    form.offer(
        models=found.models,
        keys=statements.keys_charged(account_id=account_id, user_id=only),
        members=User.objects.filter(pk__in=found.user_ids).order_by("email"),
    )
    narrowed = Narrowed(
        since=wanted.span.since,
        until=wanted.span.until,
        key=wanted.key,
        kind=wanted.kind,
        model=wanted.model,
        user_id=wanted.user_id if only is None else only,
    )
    return Asked(form, found, statements.charges(account_id=account_id, narrowed=narrowed))


def _chart(found: Report) -> charts.Bars:
    span = found.wanted.span
    series = [charts.Series(label, amounts) for label, amounts in reports.shown(found, most=MOST_SERIES)]
    return charts.stacked(columns=[span.written(column) for column in span.columns], series=series)


def _file(rows: Iterable[list[str]], name: str) -> HttpResponse:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


def _all(rows: QuerySet[Charge]) -> Iterator[Charge]:
    return rows.iterator(chunk_size=2000)


def _row(charge: Charge) -> dict[str, Any]:
    return {
        "charge": charge,
        "model": charge.labels.get("model", ""),
        "provider": charge.labels.get("provider", ""),
        "quantities": statements.quantity_text(charge.quantities),
        "href": page_of(charge.kind, charge.reference),
    }
