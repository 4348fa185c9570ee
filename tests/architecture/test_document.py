"""The one OpenAPI document: whole, sound, and readable for people."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from rest_framework.views import APIView

from routing.api.management import API
from tests.architecture.routes import routes

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def document(db: None) -> dict[str, Any]:
    """As it is served."""
    answer = Client().get("/api/openapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]


def test_every_api_route_of_every_framework_is_in_it(document: dict[str, Any]) -> None:
    managed = {f"api/v1/{pattern.pattern}" for pattern in API.addresses()}
    for address, pattern in routes():
        view = getattr(pattern.callback, "view_class", None)
        is_rest = view is not None and issubclass(view, APIView) and not address.startswith("v1/v1/")
        if is_rest or address in managed:
            assert "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", address) in document["paths"], address


def test_operations_have_names_of_their_own_words_and_errors(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for path, method, operation in operations(document):
        assert operation["summary"], (method, path)
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/Error"}
        placed = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert placed == set(re.findall(r"{(\w+)}", path)), path


def test_operations_stand_under_headings_in_the_order_that_callers_look_for_them(document: dict[str, Any]) -> None:
    headings = [one["name"] for one in document["tags"]]
    assert headings[:3] == ["Inference", "Catalogue", "Predictions"]
    assert {tag for _, _, operation in operations(document) for tag in operation["tags"]} == set(headings)
    assert all(len(operation["tags"]) == 1 for _, _, operation in operations(document))
    assert not [path for path, _, operation in operations(document) if "Raises" in operation["summary"]]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            here = [node["$ref"]] if "$ref" in node else []
            return here + [one for value in node.values() for one in references(value)]
        return [one for value in node for one in references(value)] if isinstance(node, list) else []

    found = references(document)
    assert found
    for reference in found:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_security_is_said_as_it_is(document: dict[str, Any]) -> None:
    paths = document["paths"]
    assert paths["/api/v1/keys"]["get"]["security"] == [{"ManagementKey": []}]
    assert paths["/api/v1/chat/completions"]["post"]["security"] == [{"ApiKey": []}]
    assert paths["/api/v1/models"]["get"]["security"] == [{}, {"ApiKey": []}]
    for _, _, operation in operations(document):
        for choice in operation["security"]:
            assert choice.keys() <= document["components"]["securitySchemes"].keys()


def test_the_page_reads_the_document_with_scripts_of_our_own_only(db: None) -> None:
    answer = Client().get("/api/docs")
    text = answer.content.decode()
    assert '"url": "/api/openapi.json"' in text
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert re.findall(r'src="(?!/static/)', text) == []


def test_what_the_docs_say_is_left_out_is_not_served(document: dict[str, Any]) -> None:
    text = (settings.BASE_DIR / "docs" / "management.md").read_text()
    rows = [line.split("|")[1] for line in text.partition("## Left out")[2].splitlines() if line.startswith("| `")]
    named = [word for row in rows for word in re.findall(r"(/[\w/{}]+)", row)]
    assert len(named) > 10
    for path in named:
        assert f"/api/v1{path}" not in document["paths"], path
