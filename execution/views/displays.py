"""What the hosting pages share: a prediction's input and output as they show them, and what a form was sent."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from execution import overlays, schema
from execution.models import File, Prediction
from execution.services import files


def base_of(request: HttpRequest) -> str:
    """This site's address as the visitor wrote it."""
    return f"{request.scheme}://{request.get_host()}"


def sent(request: HttpRequest) -> tuple[Any, Any]:
    """Fields and files of a POST, also an empty one; else none."""
    return (request.POST, request.FILES) if request.method == "POST" else (None, None)


def input_with_links(row: Prediction, *, base: str) -> dict[str, Any]:
    """The input for a form to begin with: files are links that open for whoever holds them."""
    found: dict[str, Any] = files.with_links(row.input, account_id=row.account_id, base=base)
    return found


def shown(row: Prediction, *, base: str) -> dict[str, Any]:
    """Input and output for the page: files with their kind, boxes with the image that they lie over."""
    named = files.marks_in([row.input, row.output])
    own = {files.mark(file): file for file in File.objects.for_account(row.account_id).filter(pk__in=named)}

    def media(value: Any) -> dict[str, str] | None:
        file = own.get(value) if isinstance(value, str) else None
        if file is None:
            return _inline(value)
        kind = file.content_type.partition("/")[0]
        return {"kind": kind, "url": files.link(file, base=""), "name": file.name}

    inputs = [(name, value, media(value)) for name, value in row.input.items()]
    found = overlays.boxes(row.output)
    pictures = [shown for _, _, shown in inputs if shown and shown["kind"] == "image"]
    texts: list[str] = []
    files.each_string(row.output, texts.append)
    return {
        "inputs": inputs,
        "output_kind": schema.output_kind(row.document),
        "output": files.with_links(row.output, account_id=row.account_id, base=base),
        "output_media": [shown for one in texts if (shown := media(one))],
        "output_text": _joined(row.output),
        "boxes": found,
        "boxes_json": overlays.as_json(found),
        "picture": pictures[0] if pictures and found else None,
    }


def _inline(value: Any) -> dict[str, str] | None:
    if isinstance(value, str) and value.startswith("data:"):
        return {"kind": value[5:].partition("/")[0], "url": value, "name": "inline"}
    return None


def _joined(output: Any) -> str:
    """A list of texts as one; empty for anything else."""
    return "".join(output) if isinstance(output, list) and all(isinstance(one, str) for one in output) else ""
