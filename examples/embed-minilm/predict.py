"""Turns texts into vectors with all-MiniLM-L6-v2: the nearer in meaning, the smaller their angle."""

import numpy as np
from cog import BaseModel, BaseRunner, Input
from minilm import MiniLM

MOST_TEXTS = 256


class Embeddings(BaseModel):
    """One vector of length 1 for each text; with `compare` the cosine of each text to each, from -1 to 1."""

    vectors: list[list[float]]
    dimensions: int
    tokens: int
    similarities: list[list[float]]


class Runner(BaseRunner):
    def setup(self) -> None:
        """Read the weights, 90 MB."""
        self.model = MiniLM()

    def run(
        self,
        texts: str = Input(description="Texts, one a line, at most 256; each is read up to 256 tokens", max_length=200_000),
        compare: bool = Input(description="Also tell how near each is to each", default=False),
    ) -> Embeddings:
        """The vectors, in the order of the lines."""
        lines = [line.strip() for line in texts.splitlines() if line.strip()]
        if not 1 <= len(lines) <= MOST_TEXTS:
            raise ValueError(f"texts has {len(lines)} lines with words in them; it must have from 1 to {MOST_TEXTS}")
        vectors, tokens = self.model.embed(lines)
        print(f"{len(lines)} texts, {tokens} tokens")
        near = np.clip(vectors @ vectors.T, -1, 1) if compare else np.empty((0, 0))
        return Embeddings(
            vectors=vectors.round(6).tolist(),
            dimensions=vectors.shape[1],
            tokens=tokens,
            similarities=near.round(4).tolist(),
        )
