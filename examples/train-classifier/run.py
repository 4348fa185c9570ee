"""Sorts a text under one of the labels that it was trained on; untrained, under those of sample.csv."""

from __future__ import annotations

from pathlib import Path

from bayes import Classifier, read
from cog import BaseModel, BaseRunner, Input


class Output(BaseModel):
    label: str
    probabilities: dict


class Runner(BaseRunner):
    def setup(self, weights: str | None = None) -> None:
        """`weights` is the file that a training returned; Cog hands its path over."""
        if weights:
            self.classifier = Classifier.load(Path(weights))
        else:
            self.classifier = Classifier.learn(read(Path(__file__).with_name("sample.csv")), smoothing=0.1)
        print(f"knows {len(self.classifier.counts)} labels{' from its training' if weights else ''}")

    def run(self, text: str = Input(description="What to sort", max_length=5000)) -> Output:
        """The most probable label, and how probable each is."""
        found = self.classifier.probabilities(text)
        return Output(label=next(iter(found)), probabilities={label: round(one, 4) for label, one in found.items()})
