"""Statements and settlements on paper: PDF with the font embedded, so that names in Korean are there on any machine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from importlib.resources import as_file, files
from typing import Final

from fpdf import FPDF, FontFace
from fpdf.enums import TableBordersLayout

from billing.services.earnings import Line as Earned
from billing.services.earnings import Settlement, next_month
from billing.services.months import Statement
from marketplace.lib.money import format_price_per_unit, format_usd
from marketplace.models import Account

FONT: Final = "NotoSansKR"
_GREY: Final = (110, 110, 110)
_WIDTHS: Final = (38, 20, 16, 22, 20)


def statement(month: Statement) -> bytes:
    """An account's month as a PDF of A4 pages."""
    page = _open(f"Statement {month.first:%B %Y}", f"Statement {month.first:%Y-%m}", month.account)
    _span(page, month.first, month.last, month.is_over)
    _balances(page, month)
    page.ln(6)
    _usage(page, month)
    return bytes(page.output())


def settlement(month: Settlement, account: Account) -> bytes:
    """What an account earned in a month, as a PDF of A4 pages."""
    page = _open(f"Earned in {month.first:%B %Y}", f"Settlement {month.first:%Y-%m}", account)
    _span(page, month.first, next_month(month.first) - dt.timedelta(days=1), month.is_over)
    _standing(page, month)
    page.ln(6)
    _earnings(page, month)
    return bytes(page.output())


def _open(head: str, title: str, account: Account) -> FPDF:
    """A first page with what it is and whose."""
    page = _Page(format="A4")
    page.set_title(title)
    page.set_creator("Turnpike")
    with as_file(files("pylopdf_fonts_ko") / "NotoSansKR-Regular.otf") as font:
        page.add_font(FONT, fname=font)
    page.set_font(FONT, size=9)
    page.add_page()
    page.set_font_size(16)
    page.cell(text=head, new_x="LMARGIN", new_y="NEXT", h=10)
    page.set_font_size(9)
    page.cell(text=f"{account.name} ({account.slug})", new_x="LMARGIN", new_y="NEXT", h=5)
    return page


def _span(page: FPDF, first: dt.date, last: dt.date, is_over: bool) -> None:
    page.cell(text=f"{first} to {last} (UTC){'' if is_over else ', so far'}", new_x="LMARGIN", new_y="NEXT", h=5)
    page.ln(4)


class _Page(FPDF):
    def footer(self) -> None:
        """Which page of how many."""
        self.set_y(-15)
        self.set_text_color(*_GREY)
        self.cell(w=0, align="R", text=f"{self.page_no()} / {{nb}}")
        self.set_text_color(0)


def _balances(page: FPDF, month: Statement) -> None:
    rows = [("Opening balance", "", _usd(month.opening_nano))]
    rows += [(one.title, f"{one.count:,}", _usd(one.amount_nano)) for one in month.movements]
    rows += [("Charged", "", _usd(-month.charged_nano)), ("Closing balance", "", _usd(month.closing_nano))]
    _table(page, ("Wallet", "Number", "Amount"), rows, widths=(60, 16, 40), aligns=("LEFT", "RIGHT", "RIGHT"))


def _usage(page: FPDF, month: Statement) -> None:
    rows: list[tuple[str, ...]] = []
    for item in month.items:
        name = item.model or item.kind
        for line in item.lines:
            each = f"${format_price_per_unit(line.nano_per_million)}"
            rows.append((name, line.unit, f"{line.quantity:,}", each, _usd(line.amount_nano)))
        if item.rounding_nano:
            rows.append((name, "rounding", "", "", _usd(item.rounding_nano)))
        if item.unpaid_nano:
            rows.append((name, "not charged", "", "", _usd(-item.unpaid_nano)))
    rows += [
        (item.model or item.kind, "corrections", f"{item.requests:,}", "", _usd(item.amount_nano))
        for item in month.corrections
    ]
    if rows:
        heads = ("Model", "Unit", "Quantity", "Price of one", "Amount")
        _table(page, heads, rows, widths=_WIDTHS, aligns=("LEFT", "LEFT", "RIGHT", "RIGHT", "RIGHT"))


def _standing(page: FPDF, month: Settlement) -> None:
    rows = [
        ("Owed before", _usd(month.opening_nano)),
        ("Earned", _usd(month.earned_nano)),
        ("Paid", _usd(-month.paid_nano)),
        ("Owed after", _usd(month.closing_nano)),
    ]
    _table(page, ("Earnings", "Amount"), rows, widths=(76, 40), aligns=("LEFT", "RIGHT"))


def _earnings(page: FPDF, month: Settlement) -> None:
    rows = [_earned(line, line.provider or "hosted here") for line in month.lines]
    rows += [_earned(line, "corrected") for line in month.corrections]
    if rows:
        heads = ("Model", "As", "Provider", "Requests", "Callers paid", "Yours")
        aligns = ("LEFT", "LEFT", "LEFT", "RIGHT", "RIGHT", "RIGHT")
        _table(page, heads, rows, widths=(34, 14, 20, 14, 18, 18), aligns=aligns)


def _earned(line: Earned, provider: str) -> tuple[str, ...]:
    where = f"{provider}, endpoint {line.endpoint}" if line.endpoint else provider
    gross, mine = _usd(line.total.gross_nano), _usd(line.total.amount_nano)
    return (line.model or "–", line.title, where, f"{line.total.count:,}", gross, mine)


def _table(
    page: FPDF,
    heads: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    *,
    widths: tuple[int, ...],
    aligns: tuple[str, ...],
) -> None:
    with page.table(
        col_widths=widths,
        text_align=aligns,
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        headings_style=FontFace(color=_GREY),
        line_height=5,
        padding=1,
    ) as table:
        for row in (heads, *rows):
            table.row(row)


def _usd(nano: int) -> str:
    sign = "-" if nano < 0 else ""
    return f"{sign}${format_usd(abs(nano))}"
