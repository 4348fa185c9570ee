"""Answers a question with words of a text: the sentence nearest in meaning, and of it the number, sum or time asked for."""

import re
from typing import Optional

import numpy as np
from cog import BaseModel, BaseRunner, Input
from minilm import MiniLM

MOST_SENTENCES = 200
SENTENCE = re.compile(r"[^\n]+?(?:[.!?]+(?=\s+[^\sa-z])|$)", re.MULTILINE)
DAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
CLOCK = r"\d{1,2}:\d{2}(?:\s?[ap]m)?|\d{1,2}\s?[ap]m|noon|midnight"
DATE = rf"\d{{4}}-\d\d-\d\d|\d{{1,2}}\s{MONTH}(?:\s\d{{4}})?|{MONTH}\s\d{{1,2}}(?:,?\s\d{{4}})?|{DAY}s?|\b[12]\d{{3}}\b"
CURRENCY = r"(?:USD|EUR|GBP|dollars?|euros?|pounds?|cents?)"
NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
COUNTED = r"two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|no|none|one"
# What a question asks for -> what that looks like. The first that fits the question is it.
ASKED = (
    (re.compile(r"\bhow much\b|\b(cost|price|fee|total)\b", re.I), rf"[$€£]\s?{NUMBER}|{NUMBER}\s?{CURRENCY}\b"),
    (re.compile(r"\bhow many\b", re.I), rf"\b(?:{NUMBER}|{COUNTED})\b"),
    (re.compile(r"\bwhat time\b", re.I), CLOCK),
    (re.compile(r"\b(when|which (day|date|year|month)|what (day|date|year|month))\b", re.I), f"{CLOCK}|{DATE}"),
)


class Evidence(BaseModel):
    """A sentence: `start` and `end` in characters of the text, `score` the cosine of its vector and the question's."""

    text: str
    start: int
    end: int
    score: float


class Answer(BaseModel):
    """`answer` is a piece of the text, or nothing where no sentence is near enough.

    `kind`: "phrase" when the one thing asked for was found in the best sentence, "sentence" when that is answered
    whole, "none". `start` and `end` are the answer's place; `evidence` the nearest sentences, best first.
    """

    kind: str
    score: float
    evidence: list[Evidence]
    answer: Optional[str] = None
    start: Optional[int] = None
    end: Optional[int] = None


class Runner(BaseRunner):
    def setup(self) -> None:
        """Read the weights, 90 MB."""
        self.model = MiniLM()

    def run(
        self,
        question: str = Input(description="One question in English", min_length=3, max_length=500),
        text: str = Input(description="Where the answer stands: sentences or lines, at most 200", max_length=50_000),
        least_score: float = Input(description="Below it nothing is answered", default=0.4, ge=0, le=1),
        evidence: int = Input(description="How many of the nearest sentences are shown", default=3, ge=1, le=20),
    ) -> Answer:
        """The answer with its place and its evidence."""
        sentences = split(text)
        if not 1 <= len(sentences) <= MOST_SENTENCES:
            raise ValueError(f"text has {len(sentences)} sentences; it must have from 1 to {MOST_SENTENCES}")
        vectors, _ = self.model.embed([question, *(text[start:end] for start, end in sentences)])
        scores = np.clip(vectors[1:] @ vectors[0], -1, 1)
        nearest = [int(number) for number in np.argsort(-scores, kind="stable")]
        shown = [
            Evidence(text=text[start:end], start=start, end=end, score=round(float(score), 4))
            for (start, end), score in ((sentences[number], scores[number]) for number in nearest[:evidence])
        ]
        best = shown[0]
        print(f"{len(sentences)} sentences, the nearest with {best.score}")
        if best.score < least_score:
            return Answer(kind="none", score=best.score, evidence=shown)
        found = phrase(question, best.text)
        start, end = (best.start + found[0], best.start + found[1]) if found else (best.start, best.end)
        return Answer(
            kind="phrase" if found else "sentence",
            score=best.score,
            evidence=shown,
            answer=text[start:end],
            start=start,
            end=end,
        )


def split(text: str) -> list[tuple[int, int]]:
    """Where each sentence or line begins and ends, without the spaces around it."""
    places = []
    for found in SENTENCE.finditer(text):
        words = found.group()
        if words.strip():
            start = found.start() + len(words) - len(words.lstrip())
            places.append((start, start + len(words.strip())))
    return places


def phrase(question: str, sentence: str) -> Optional[tuple[int, int]]:
    """The place of the one thing asked for; None where the rule finds none or several, which it cannot tell apart."""
    wanted = next((pattern for asks, pattern in ASKED if asks.search(question)), None)
    places = [found.span() for found in re.finditer(wanted, sentence, re.IGNORECASE)] if wanted else []
    return places[0] if len(places) == 1 else None
