"""A naive Bayes classifier of texts: how often each word comes under each label says which label a text has."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Lines = Sequence[tuple[str, str]]  # text and label

WORD = re.compile(r"[^\W\d_]+")


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without their commonest endings."""
    return [re.sub(r"(?<=\w{3})(?:ing|ed|es|s|y|e)$", "", word) for word in WORD.findall(text.lower())]


def read(path: Path) -> list[tuple[str, str]]:
    """The lines of a CSV file with the columns text and label. Raises ValueError that says what is wrong with it."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if not {"text", "label"} <= set(rows.fieldnames or ()):
            raise ValueError(f"the first line must name the columns text and label, not {rows.fieldnames}")
        lines = [(row["text"] or "", (row["label"] or "").strip()) for row in rows]
    lines = [(text, label) for text, label in lines if label and words_of(text)]
    if len({label for _, label in lines}) < 2:
        raise ValueError("there must be texts of at least two labels")
    return lines


class Classifier:
    """Counts of words by label, and what is added to each count so that an unseen word rules nothing out."""

    def __init__(self, counts: dict[str, dict[str, int]], texts: dict[str, int], smoothing: float) -> None:
        self.counts, self.texts, self.smoothing = counts, texts, smoothing
        self._known = {word for words in counts.values() for word in words}
        self._totals = {label: sum(words.values()) for label, words in counts.items()}

    @classmethod
    def learn(cls, lines: Lines, *, smoothing: float) -> Classifier:
        """Count."""
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for text, label in lines:
            counts[label].update(words_of(text))
        texts = Counter(label for _, label in lines)
        return cls({label: dict(words) for label, words in counts.items()}, dict(texts), smoothing)

    def probabilities(self, text: str) -> dict[str, float]:
        """How probable each label is for the text, the most probable one first; together 1."""
        whole = sum(self.texts.values())
        logs = {}
        for label, words in self.counts.items():
            below = self._totals[label] + self.smoothing * len(self._known)
            seen = [words.get(word, 0) for word in words_of(text) if word in self._known]
            prior = math.log(self.texts[label] / whole)
            logs[label] = prior + sum(math.log((count + self.smoothing) / below) for count in seen)
        top = max(logs.values())
        shares = {label: math.exp(one - top) for label, one in logs.items()}
        total = sum(shares.values())
        return {label: share / total for label, share in sorted(shares.items(), key=lambda one: -one[1])}

    def accuracy(self, lines: Lines) -> float:
        """The share of these lines whose label comes out first."""
        return sum(next(iter(self.probabilities(text))) == label for text, label in lines) / len(lines)

    def save(self, path: Path) -> None:
        """As JSON."""
        held: dict[str, Any] = {"counts": self.counts, "texts": self.texts, "smoothing": self.smoothing}
        path.write_text(json.dumps(held, sort_keys=True), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Classifier:
        """What `save` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
