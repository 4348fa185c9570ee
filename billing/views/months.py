"""Statements: the list of months, one month as a page, as a file for a spreadsheet and as a PDF."""

from __future__ import annotations

import csv
import io

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from billing import paper
from billing.services import months
from marketplace.views.visitor import Visitor, signed_in


@require_safe
@signed_in
def statements(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The months that there are; for those who manage the account, as its ledger is."""
    visitor.require_manager()
    context = {"section": "statements", "months": months.listed(account_id=visitor.account.pk)}
    return render(request, "billing/statements.html", context)


@require_safe
@signed_in
def statement(request: HttpRequest, visitor: Visitor, year: int, month: int) -> HttpResponse:
    """One month."""
    visitor.require_manager()
    found = months.statement(account=visitor.account, year=year, month=month)
    return render(request, "billing/statement.html", {"section": "statements", "month": found})


@require_safe
@signed_in
def statement_csv(request: HttpRequest, visitor: Visitor, year: int, month: int) -> HttpResponse:
    """One month for a spreadsheet."""
    visitor.require_manager()
    found = months.statement(account=visitor.account, year=year, month=month)
    text = io.StringIO()
    csv.writer(text).writerows(months.csv_rows(found))
    return _file(text.getvalue(), "text/csv; charset=utf-8", found, "csv")


@require_safe
@signed_in
def statement_pdf(request: HttpRequest, visitor: Visitor, year: int, month: int) -> HttpResponse:
    """One month for the files."""
    visitor.require_manager()
    found = months.statement(account=visitor.account, year=year, month=month)
    return _file(paper.statement(found), "application/pdf", found, "pdf")


def _file(content: str | bytes, kind: str, found: months.Statement, ending: str) -> HttpResponse:
    name = f"turnpike-{found.account.slug}-{found.first:%Y-%m}.{ending}"
    return HttpResponse(content, kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
