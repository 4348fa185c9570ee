"""Small files of every sort that callers send."""

from __future__ import annotations

import io
from itertools import count

from fpdf import FPDF
from PIL import Image

_colours = count(1)


def picture(form: str = "PNG") -> bytes:
    """A picture unlike any other that a test made."""
    held = io.BytesIO()
    Image.new("RGB", (8, 8), (next(_colours) % 256, 40, 90)).save(held, form)
    return held.getvalue()


def pdf(*pages: str, password: str = "") -> bytes:
    """A PDF with these words on its pages; a page of "" is a scan: a picture and no words, one of " " is empty."""
    made = FPDF()
    made.set_font("Helvetica", size=12)
    if password:
        made.set_encryption(owner_password="owner", user_password=password)
    for words in pages:
        made.add_page()
        if words.strip():
            made.multi_cell(0, text=words)
        elif not words:
            made.image(io.BytesIO(picture()), w=100)
    return bytes(made.output())


def full_pdf(*, pages: int, characters: int) -> bytes:
    """A PDF of so many characters on each page, in a print too small to read."""
    made = FPDF()
    made.set_font("Helvetica", size=1)
    for _ in range(pages):
        made.add_page()
        for line in range(characters // 1_000):
            made.text(5, 5 + line, "x" * 1_000)  # `multi_cell` would take seconds to break the lines
    return bytes(made.output())
