"""Pieces of an answer laid out as the Responses dialect's output items, with the events that tell of each step.

An item of thoughts ends when something else begins, a message when a call begins; calls stay open until the end,
for their pieces may be mixed. The items that a plain answer has are those that the stream would have told of.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from routing.canonical import Chunk, Json, ToolDelta

Event = dict[str, Json]
Item = dict[str, Json]


@dataclass(slots=True)
class Output:
    """The output of one answer. `items` is whole once `finish` has been called."""

    answer_id: str
    exclude_reasoning: bool = False
    items: list[Item] = field(default_factory=list)
    _thought: Item | None = None
    _message: Item | None = None
    _calls: dict[int, Item] = field(default_factory=dict)  # the open one by the provider's number for it
    _places: dict[str, int] = field(default_factory=dict)  # of the items, by their ids

    def take(self, chunk: Chunk) -> Iterator[Event]:
        """Lay out a chunk."""
        for detail in _details(chunk):
            yield from self._think(detail)
        if chunk.text:
            yield from self._say("output_text", chunk.text, _logprobs(chunk.logprobs))
        if chunk.refusal:
            yield from self._say("refusal", chunk.refusal, [])
        for annotation in _annotations(chunk):
            yield from self._annotate(annotation)
        for call in chunk.tool_calls:
            yield from self._call(call)
        for picture in _pictures(chunk):
            yield from self._show(picture)

    def finish(self, *, status: str = "completed") -> Iterator[Event]:
        """Close what is open; `status` becomes that of the items that the end cuts short."""
        yield from self._end_thought()
        yield from self._end_message(status)
        for item in self.items:
            if item["status"] == "in_progress":
                yield from self._end_call(item, status)

    # -- thoughts

    def _think(self, detail: Mapping[str, Json]) -> Iterator[Event]:
        kind, given = detail.get("type"), detail.get("id")
        text, signature = _word(detail, "text"), _word(detail, "signature")
        summary, data = _word(detail, "summary"), _word(detail, "data")
        if self.exclude_reasoning:
            text = summary = ""
        if not (text or signature or summary or data):
            return
        item = self._thought
        if item is not None and (_is_sealed(item) or (isinstance(given, str) and given != item["id"])):
            yield from self._end_thought()
            item = None
        if item is None:
            yield from self._end_message("completed")
            item = {
                "id": given if isinstance(given, str) and given and given not in self._places else self._id("rs"),
                "type": "reasoning",
                "status": "in_progress",
                "summary": [],
                "content": [],
                "encrypted_content": None,
                "signature": None,
                "format": detail.get("format"),
            }
            self._thought = item
            yield self._added(item)
        if kind == "reasoning.summary" and summary:
            yield from self._more_thought(item, "summary", summary)
        elif text:
            yield from self._more_thought(item, "content", text)
        if signature:
            item["signature"] = signature
        if data:
            item["encrypted_content"] = data

    def _more_thought(self, item: Item, place: str, text: str) -> Iterator[Event]:
        parts = item[place]
        where = self._where(item) | {"summary_index" if place == "summary" else "content_index": 0}
        if not parts:
            parts.append({"type": "summary_text" if place == "summary" else "reasoning_text", "text": ""})
            name = "response.reasoning_summary_part.added" if place == "summary" else "response.content_part.added"
            yield {"type": name, **where, "part": dict(parts[0])}
        parts[0]["text"] += text
        name = "response.reasoning_summary_text.delta" if place == "summary" else "response.reasoning_text.delta"
        yield {"type": name, **where, "delta": text}

    def _end_thought(self) -> Iterator[Event]:
        item, self._thought = self._thought, None
        if item is None:
            return
        for part in item["summary"]:
            where = self._where(item) | {"summary_index": 0}
            yield {"type": "response.reasoning_summary_text.done", **where, "text": part["text"]}
            yield {"type": "response.reasoning_summary_part.done", **where, "part": part}
        for part in item["content"]:
            where = self._where(item) | {"content_index": 0}
            yield {"type": "response.reasoning_text.done", **where, "text": part["text"]}
            yield {"type": "response.content_part.done", **where, "part": part}
        item["status"] = "completed"
        yield self._done(item)

    # -- words

    def _say(self, kind: str, text: str, logprobs: list[Json]) -> Iterator[Event]:
        yield from self._end_thought()
        item = self._message
        if item is None:
            item = {
                "id": self._id("msg"),
                "type": "message",
                "status": "in_progress",
                "role": "assistant",
                "content": [],
            }
            self._message = item
            yield self._added(item)
        parts = item["content"]
        if not parts or parts[-1]["type"] != kind:
            yield from self._end_part(item)
            empty: Item = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            parts.append(empty if kind == "output_text" else {"type": "refusal", "refusal": ""})
            yield {"type": "response.content_part.added", **self._where_part(item), "part": _copy(parts[-1])}
        part = parts[-1]
        if kind == "output_text":
            part["text"] += text
            part["logprobs"] += logprobs
            yield {"type": "response.output_text.delta", **self._where_part(item), "delta": text, "logprobs": logprobs}
        else:
            part["refusal"] += text
            yield {"type": "response.refusal.delta", **self._where_part(item), "delta": text}

    def _annotate(self, annotation: Item) -> Iterator[Event]:
        if self._message is None or self._message["content"][-1]["type"] != "output_text":
            yield from self._say("output_text", "", [])
        item = self._message
        if item is None:
            return
        found = item["content"][-1]["annotations"]
        found.append(annotation)
        yield {
            "type": "response.output_text.annotation.added",
            **self._where_part(item),
            "annotation_index": len(found) - 1,
            "annotation": annotation,
        }

    def _end_part(self, item: Item) -> Iterator[Event]:
        if not item["content"]:
            return
        part, where = item["content"][-1], self._where_part(item)
        if part["type"] == "output_text":
            yield {
                "type": "response.output_text.done", **where, "text": part["text"], "logprobs": part["logprobs"]
            }  # fmt: skip
        else:
            yield {"type": "response.refusal.done", **where, "refusal": part["refusal"]}
        yield {"type": "response.content_part.done", **where, "part": part}

    def _end_message(self, status: str) -> Iterator[Event]:
        item, self._message = self._message, None
        if item is None:
            return
        yield from self._end_part(item)
        item["status"] = status
        yield self._done(item)

    # -- calls and pictures

    def _call(self, call: ToolDelta) -> Iterator[Event]:
        item = self._calls.get(call.index)
        # Some providers number every call 0: a new id is a new call.
        if item is None or (call.id is not None and call.id != item["call_id"]):
            if item is not None:
                yield from self._end_call(item, "completed")
            yield from self._end_thought()
            yield from self._end_message("completed")
            own = self._id("fc")
            item = {
                "id": own,
                "type": "function_call",
                "status": "in_progress",
                "call_id": call.id or own.replace("fc_", "call_"),
                "name": call.name or "",
                "arguments": "",
            }
            self._calls[call.index] = item
            yield self._added(item)
        if call.arguments:
            item["arguments"] += call.arguments
            yield {"type": "response.function_call_arguments.delta", **self._where(item), "delta": call.arguments}

    def _end_call(self, item: Item, status: str) -> Iterator[Event]:
        item["status"] = status
        yield {
            "type": "response.function_call_arguments.done",
            **self._where(item),
            "name": item["name"],
            "arguments": item["arguments"],
        }
        yield self._done(item)

    def _show(self, picture: str) -> Iterator[Event]:
        yield from self._end_thought()
        yield from self._end_message("completed")
        item: Item = {
            "id": self._id("ig"), "type": "image_generation_call", "status": "in_progress", "result": None
        }  # fmt: skip
        yield self._added(item)
        item |= {"status": "completed", "result": picture}
        yield self._done(item)

    # -- what events share

    def _id(self, kind: str) -> str:
        return f"{kind}_{self.answer_id.replace('-', '')}{len(self.items)}"

    def _where(self, item: Item) -> Event:
        return {"item_id": item["id"], "output_index": self._places[item["id"]]}

    def _where_part(self, item: Item) -> Event:
        return self._where(item) | {"content_index": len(item["content"]) - 1}

    def _added(self, item: Item) -> Event:
        self._places[item["id"]] = place = len(self.items)
        self.items.append(item)
        return {"type": "response.output_item.added", "output_index": place, "item": _copy(item)}

    def _done(self, item: Item) -> Event:
        return {"type": "response.output_item.done", "output_index": self._places[item["id"]], "item": item}


def _copy(item: Item) -> Item:
    """As it is now: an item goes on growing before its event is written."""
    return {name: list(value) if isinstance(value, list) else value for name, value in item.items()}


def _details(chunk: Chunk) -> list[Mapping[str, Json]]:
    """The chunk's thoughts as details, whichever way it tells them."""
    found = list(chunk.reasoning_details)
    if chunk.reasoning and not any(detail.get("text") or detail.get("summary") for detail in found):
        found.insert(0, {"type": "reasoning.text", "text": chunk.reasoning})
    return found


def _is_sealed(item: Item) -> bool:
    return item["signature"] is not None or item["encrypted_content"] is not None


def _word(detail: Mapping[str, Json], name: str) -> str:
    value = detail.get(name)
    return value if isinstance(value, str) else ""


def _logprobs(logprobs: Json) -> list[Json]:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    return [
        {
            "token": token.get("token", ""),
            "bytes": token.get("bytes") or [],
            "logprob": token.get("logprob", 0),
            "top_logprobs": token.get("top_logprobs") or [],
        }
        for token in (content if isinstance(content, list) else [])
        if isinstance(token, dict)
    ]


def _annotations(chunk: Chunk) -> Iterator[Item]:
    given = chunk.extra.get("annotations")
    for annotation in given if isinstance(given, list) else []:
        cited = annotation.get("url_citation") if isinstance(annotation, dict) else None
        if isinstance(cited, dict) and isinstance(cited.get("url"), str):
            yield {
                "type": "url_citation",
                "url": cited["url"],
                "title": cited.get("title") or "",
                "start_index": cited.get("start_index") or 0,
                "end_index": cited.get("end_index") or 0,
            }


def _pictures(chunk: Chunk) -> Iterator[str]:
    """The base64 text of each picture that came inline."""
    given = chunk.extra.get("images")
    for image in given if isinstance(given, list) else []:
        where = image.get("image_url") if isinstance(image, dict) else None
        url = where.get("url") if isinstance(where, dict) else None
        if isinstance(url, str) and url.startswith("data:"):
            yield url.partition(",")[2]
