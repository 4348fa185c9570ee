"""PDFs page by page, read in a process of its own; those that are hostile end with it."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from marketplace.lib import pdf
from tests.factories import documents


def test_words_come_page_by_page_and_empty_pages_not_at_all() -> None:
    found = pdf.pages(documents.pdf("First page", " ", "Third page"), with_pictures=True)
    assert [(page.number, page.words, page.picture) for page in found] == [(1, "First page", ""), (3, "Third page", "")]


def test_a_page_without_words_is_a_picture_where_pictures_are_wanted() -> None:
    content = documents.pdf("A letter", "")
    words, scan = pdf.pages(content, with_pictures=True)
    assert (words.words, words.picture, scan.words) == ("A letter", "", "")
    drawn = Image.open(io.BytesIO(base64.b64decode(scan.picture)))
    assert (drawn.format, max(drawn.size)) == ("JPEG", pdf.LONG_SIDE)
    assert pdf.pages(content, with_pictures=False)[1] == pdf.Page(2, "")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (documents.pdf("Secret", password="open"), "asks for a password"),
        (b"%PDF-1.7\nnothing of the kind", "damaged"),
        (documents.pdf("Half")[:300], "damaged"),
        (b"", "damaged"),
        (documents.full_pdf(pages=5, characters=60_000), "more than 250,000 characters"),
        (documents.pdf(*[""] * 21), "more than 20 of its pages"),
    ],
    ids=["password", "no pdf", "cut", "empty", "words", "scans"],
)
def test_what_cannot_be_read_says_why(content: bytes, why: str) -> None:
    with pytest.raises(pdf.Unreadable, match=why):
        pdf.pages(content, with_pictures=True)


def test_a_page_of_any_size_becomes_a_picture_of_ordinary_size() -> None:
    """A bomb: a page of 200 inches in both directions, which at any usual resolution would take gigabytes."""
    content = documents.pdf("").replace(b"/MediaBox [0 0 595.28 841.89]", b"/MediaBox [0 0 14400 14400]  ")
    assert b"14400" in content
    (page,) = pdf.pages(content, with_pictures=True)
    assert max(Image.open(io.BytesIO(base64.b64decode(page.picture))).size) == pdf.LONG_SIDE


def test_one_that_never_ends_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline of the process, shortened to less than it takes to start."""
    monkeypatch.setattr(pdf, "SECONDS", 0.005)
    with pytest.raises(pdf.Unreadable, match="too long"):
        pdf.pages(documents.pdf("Words"), with_pictures=False)
