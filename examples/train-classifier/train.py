"""Learns from a CSV file and returns the weights that a new version starts with."""

from __future__ import annotations

import random

from bayes import Classifier, read
from cog import BaseModel, Input, Path

SMOOTHINGS = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)


class TrainingOutput(BaseModel):
    weights: Path
    accuracy: float


def train(
    texts: Path = Input(description="A CSV file with the columns text and label"),
    held_out: int = Input(description="One line in so many is kept to test on", default=5, ge=2, le=20),
) -> TrainingOutput:
    """Try some smoothings, keep the one that does best on lines it has not seen, then learn from all lines."""
    lines = read(texts)
    random.Random(0).shuffle(lines)  # noqa: S311  files are often sorted by label; the same file trains the same
    print(f"{len(lines)} texts of {len({label for _, label in lines})} labels")
    testing = lines[::held_out]
    learning = [line for number, line in enumerate(lines) if number % held_out]
    best, found = 0.0, SMOOTHINGS[0]
    for smoothing in SMOOTHINGS:
        accuracy = Classifier.learn(learning, smoothing=smoothing).accuracy(testing)
        print(f"smoothing {smoothing}: {accuracy:.1%} of {len(testing)} held-out texts are right")
        if accuracy > best:
            best, found = accuracy, smoothing
    print(f"learning from all texts with smoothing {found}")
    weights = Path("/tmp/classifier.json")  # noqa: S108  the sandbox's own
    Classifier.learn(lines, smoothing=found).save(weights)
    return TrainingOutput(weights=weights, accuracy=best)
