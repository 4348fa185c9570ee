"""Draws sample.png, a bill of nobody: python draw_sample.py (needs Pillow, and its own font)."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

LINES = ("Corner Bakery", "Invoice 2041", "Bread 12.40 USD", "Coffee 31.20 USD", "Total due 43.60 USD")

if __name__ == "__main__":
    picture = Image.new("L", (640, 400), 255)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(36)
    for number, line in enumerate(LINES):
        pen.text((50, 40 + number * 66), line, fill=0, font=font)
    picture.save(Path(__file__).with_name("sample.png"), optimize=True)
