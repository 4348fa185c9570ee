"""Statements on paper: PDF with the font embedded, so that names in Korean are there on any machine."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files
from typing import Final

from fpdf import FPDF, FontFace
from fpdf.enums import TableBordersLayout

from billing.services.months import Statement
from marketplace.lib.money import format_price_per_unit, format_usd

FONT: Final = "NotoSansKR"
_GREY: Final = (110, 110, 110)
_WIDTHS: Final = (38, 20, 16, 22, 20)


def statement(month: Statement) -> bytes:
    """The statement as a PDF of A4 pages."""
    page = _Page(format="A4")
    page.set_title(f"Statement {month.first:%Y-%m}")
    page.set_creator("Turnpike")
    with as_file(files("pylopdf_fonts_ko") / "NotoSansKR-Regular.otf") as font:
        page.add_font(FONT, fname=font)
    page.set_font(FONT, size=9)
    page.add_page()
    page.set_font_size(16)
    page.cell(text=f"Statement {month.first:%B %Y}", new_x="LMARGIN", new_y="NEXT", h=10)
    page.set_font_size(9)
    so_far = "" if month.is_over else ", so far"
    page.cell(text=f"{month.account.name} ({month.account.slug})", new_x="LMARGIN", new_y="NEXT", h=5)
    page.cell(text=f"{month.first} to {month.last} (UTC){so_far}", new_x="LMARGIN", new_y="NEXT", h=5)
    page.ln(4)
    _balances(page, month)
    page.ln(6)
    _usage(page, month)
    return bytes(page.output())


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
