"""One OpenAPI document over both frameworks: ninja's operations as it writes them, REST framework's from its views."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from marketplace.api.described import Described
from marketplace.api.management import Management

METHODS: Final = ("get", "post", "put", "patch", "delete")
# Addresses that answer like others and exist for one client's sake.
ALIASES: Final = ("v1/v1/",)
# What a docstring says to who changes the code.
_RAISES: Final = re.compile(r"\s*Raises \w[^.]*\.?$")
_PARAMETER: Final = re.compile(r"<(?:(?P<kind>\w+):)?(?P<name>\w+)>")
_KINDS: Final[dict[str | None, dict[str, Any]]] = {
    "int": {"type": "integer", "minimum": 0},
    "slug": {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"},
}
_ERROR: Final[dict[str, Any]] = {
    "description": "What went wrong and what to change. Paths of predictions answer problem+json, "
    "messages answers in Anthropic's form, those below /api/v2 in Cohere's.",
    "content": {"application/json": {"schema": {"type": "object"}}},
}


def addresses() -> Iterator[tuple[str, URLPattern]]:
    """Each address of the site as the urlconfs write it, with its pattern."""
    yield from _walk(get_resolver().url_patterns, "")


# The heading under which an operation stands, by the name of its module; the rest is inference.
_HEADINGS: Final = {
    "catalogue": "Catalogue", "predictions": "Predictions", "models": "Hosted models", "files": "Files",
    "builds": "Publishing", "uploads": "Publishing", "trainings": "Trainings", "deployments": "Deployments",
    "account": "Account",
}  # fmt: skip
# What callers look for first; other headings follow.
_FIRST: Final = ("Inference", *dict.fromkeys(_HEADINGS.values()))
# What the page that draws the document says first; its Markdown links are of this site.
_BEGIN: Final = (
    "New here? The [quick start](/docs) has base URLs for the usual clients and code to paste. "
    "Make a key on the [keys page](/keys), then press Authorize here to try what follows."
)


def build(*, title: str, version: str, management: Management, prefix: str) -> dict[str, Any]:
    """The document; `prefix` is where the management API is mounted, such as /api/v1/."""
    written = management.get_openapi_schema(path_prefix=prefix)
    paths: dict[str, Any] = dict(written["paths"])
    for address, pattern in addresses():
        view = getattr(pattern.callback, "view_class", None)
        if view is None or not issubclass(view, APIView) or address.startswith(ALIASES):
            continue
        paths.setdefault("/" + _PARAMETER.sub(r"{\g<name>}", address), {}).update(_operations(view, address))
    for operations in paths.values():
        for operation in operations.values():
            operation.setdefault("security", [])  # said, where none is needed
            operation["responses"].setdefault("default", {"$ref": "#/components/responses/Error"})
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": _BEGIN},
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in _headings(paths)],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": written["components"]["schemas"],
            "responses": {"Error": _ERROR},
            "securitySchemes": {
                "ApiKey": {"type": "http", "scheme": "bearer", "description": "A key with the inference scope."},
                **written["components"].get("securitySchemes", {}),
            },
        },
    }


def _headings(paths: Mapping[str, Any]) -> list[str]:
    used = {tag for operations in paths.values() for operation in operations.values() for tag in operation["tags"]}
    return [name for name in _FIRST if name in used] + sorted(used.difference(_FIRST))


def _walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        address = prefix + str(pattern.pattern).removeprefix("^")
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, address)
        else:
            yield address, pattern


def _operations(view: type[APIView], address: str) -> dict[str, Any]:
    described: dict[str, Described] = getattr(view, "described", {})
    return {
        method: _operation(view, address, method, described.get(method, Described()))
        for method in METHODS
        if hasattr(view, method)
    }


def _operation(view: type[APIView], address: str, method: str, said: Described) -> dict[str, Any]:
    text = inspect.cleandoc(inspect.getdoc(getattr(view, method)) or inspect.getdoc(view) or "")
    kinds = ["application/json", "text/event-stream"] if said.streams else ["application/json"]
    inside = [
        {"name": found["name"], "in": "path", "required": True, "schema": _KINDS.get(found["kind"], {"type": "string"})}
        for found in _PARAMETER.finditer(address)
    ]
    query = [
        {"name": name, "in": "query", "required": name in said.needed, "schema": dict(schema)}
        for name, schema in said.query.items()
    ]
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{method}_{address}").strip("_"),
        "summary": _RAISES.sub("", text.partition("\n")[0]).removesuffix("."),
        "tags": [_HEADINGS.get(view.__module__.rpartition(".")[2], "Inference")],
        "parameters": inside + query,
        "security": [{}, {"ApiKey": []}] if said.is_open else [{"ApiKey": []}],
        "responses": {"200": {"description": "OK", "content": {kind: {"schema": {}} for kind in kinds}}},
    }
    if method in {"post", "put", "patch"}:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": dict(said.body)}}}
    return operation
