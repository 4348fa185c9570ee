"""The public reference's OpenAPI document, where it lies beside this checkout (../shared); a skip says so elsewhere."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[1]
NAME = "shared/contracts/openrouter-openapi.json"


def check(path: str, answer: Any, *, method: str = "get", status: str = "200") -> None:
    """Assert that an answer has the form that the reference gives this path; skips where the reference is absent."""
    document = _document()
    said = document["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"]
    problems = Draft202012Validator(said | {"components": document["components"]}).iter_errors(answer)
    assert [f"{'/'.join(map(str, one.absolute_path))}: {one.message[:200]}" for one in problems] == []


@cache
def _document() -> dict[str, Any]:
    found = [place / NAME for place in ROOT.parents if (place / NAME).is_file()]
    if not found:
        pytest.skip(f"the reference is not here: {NAME} beside the checkout")
    document: dict[str, Any] = json.loads(found[0].read_text())
    # Their list of provider names is their market's; here operators name providers.
    document["components"]["schemas"]["ProviderName"] = {"type": "string"}
    return document
