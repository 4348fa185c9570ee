"""The golden files: every case of every dialect, as data for parametrised tests."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WIRE = Path(__file__).parent / "wire"


@dataclass(frozen=True)
class Case:
    """One golden file, and the bytes of its answer."""

    kind: str
    name: str
    data: dict[str, Any]
    answer: bytes

    @property
    def request(self) -> dict[str, Any]:
        return self.data["request"]["body"]

    @property
    def status(self) -> int:
        return self.data["response"]["status"]

    @property
    def expected(self) -> dict[str, Any]:
        return self.data["expected"]

    @property
    def is_stream(self) -> bool:
        return "body_file" in self.data["response"]

    def __str__(self) -> str:
        return f"{self.kind}-{self.name}"


def _load(path: Path) -> Case:
    data = json.loads(path.read_text())
    response = data["response"]
    if "body_file" in response:
        answer = (path.parent / response["body_file"]).read_bytes()
    else:
        answer = json.dumps(response["body"]).encode()
    return Case(path.parent.name, path.stem, data, answer)


EVERY = [_load(path) for path in sorted(WIRE.glob("*/*.json"))]
# Dialects of their own have test modules of their own; the rest are OpenAI-alikes, tested by one.
TRUE_DIALECTS = frozenset({"anthropic", "gemini", "cohere", "openai_responses", "bedrock_converse", "dashscope_native"})
CASES = [case for case in EVERY if case.kind not in TRUE_DIALECTS]
ANSWERS = [case for case in CASES if case.status == 200 and case.name != "finish_insufficient_resource"]
REFUSALS = [case for case in CASES if case.status != 200]


def cases_of(kind: str) -> dict[str, Case]:
    """A dialect's cases by name."""
    return {case.name: case for case in EVERY if case.kind == kind}
