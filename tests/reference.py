"""The public reference's OpenAPI document, where it lies beside this checkout (../shared); a skip says so elsewhere."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[1]
CONTRACTS = "shared/contracts"
ABSENT = "the reference is not here"


def check(path: str, answer: Any, *, method: str = "get", status: str = "200") -> None:
    """Assert that an answer has the form that the reference gives this path; skips where the reference is absent."""
    document = _document()
    said = document["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"]
    problems = Draft202012Validator(said | {"components": document["components"]}).iter_errors(answer)
    assert [f"{'/'.join(map(str, one.absolute_path))}: {one.message[:200]}" for one in problems] == []


def check_schema(file: str, name: str, value: Any) -> None:
    """Assert that a value has the form of a named schema of another of the reference's documents."""
    document = read(file)
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    assert [one.message[:200] for one in Draft202012Validator(schema).iter_errors(value)] == []


def read(file: str) -> dict[str, Any]:
    """One of the reference's documents as it is; skips where the reference is absent."""
    found = [place / CONTRACTS / file for place in ROOT.parents if (place / CONTRACTS / file).is_file()]
    if not found:
        pytest.skip(f"{ABSENT}: {CONTRACTS}/{file} beside the checkout")
    document: dict[str, Any] = json.loads(found[0].read_text())
    return document


@cache
def _document() -> dict[str, Any]:
    document = read("openrouter-openapi.json")
    # Their list of provider names is their market's; here operators name providers.
    document["components"]["schemas"]["ProviderName"] = {"type": "string"}
    return document
