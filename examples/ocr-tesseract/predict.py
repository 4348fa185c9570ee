"""Reads printed English in a picture with Tesseract, line by line."""

import csv
import io
import os
import subprocess

from cog import BaseModel, BaseRunner, Input, Path

WORD = "5"  # Tesseract's own number for rows that are words


class Line(BaseModel):
    """One line. `box` is [x, y, width, height] in pixels from the upper left corner."""

    label: str
    box: list[int]
    confidence: float


class Page(BaseModel):
    """What is written, from top to bottom."""

    text: str
    boxes: list[Line]


class Runner(BaseRunner):
    def run(
        self,
        image: Path = Input(description="A picture with printed text (PNG, JPEG, TIFF, WebP)"),
        least_confidence: float = Input(description="Words below it are left out", default=0.3, ge=0, le=1),
        layout: str = Input(
            description="How the text lies", default="page", choices=["page", "column", "block", "line", "sparse"]
        ),
    ) -> Page:
        """The text with a box and a confidence for each line."""
        mode = {"page": 3, "column": 4, "block": 6, "line": 7, "sparse": 11}[layout]
        done = subprocess.run(
            ["tesseract", str(image), "stdout", "-l", "eng", "--psm", str(mode), "tsv"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},  # its threads get in each other's way: two to three times faster
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            raise ValueError(f"image cannot be read: {lines[-1]}")
        rows = csv.DictReader(io.StringIO(done.stdout), delimiter="\t", quoting=csv.QUOTE_NONE)
        lines: dict[tuple[str, ...], list[dict[str, str]]] = {}
        for row in rows:
            if row["level"] == WORD and row["text"].strip() and float(row["conf"]) / 100 >= least_confidence:
                lines.setdefault((row["block_num"], row["par_num"], row["line_num"]), []).append(row)
        found = [line_of(words) for words in lines.values()]
        print(f"{len(found)} lines")
        return Page(text="\n".join(one.label for one in found), boxes=found)


def line_of(words: list[dict[str, str]]) -> Line:
    """A line of its words: the box around them, the least of their confidences."""
    left, top = min(int(one["left"]) for one in words), min(int(one["top"]) for one in words)
    right = max(int(one["left"]) + int(one["width"]) for one in words)
    bottom = max(int(one["top"]) + int(one["height"]) for one in words)
    return Line(
        label=" ".join(one["text"] for one in words),
        box=[left, top, right - left, bottom - top],
        confidence=round(min(float(one["conf"]) for one in words) / 100, 3),
    )
