"""POST /api/v1/rerank and Cohere's /api/v2/rerank as callers write them, and the answers as they read them."""

from collections.abc import Mapping

import orjson

from routing.canonical import Json
from routing.ingress import fields
from routing.ingress.openai_chat import MAX_MODELS, read_object
from routing.ingress.openai_chat_answers import Bill, dollars
from routing.ingress.preferences import read_preferences
from routing.operations.rerank import MAX_DOCUMENTS, Document, Ranking, RerankRequest

MAX_QUERY = 100_000


def parse(body: bytes) -> RerankRequest:
    """The request of either dialect: Cohere's differs by one more field. Raises InvalidRequest naming the field."""
    data = read_object(body)
    query = fields.text(data, "query", most=MAX_QUERY)
    if not query:
        raise fields.wrong("query", "must be a non-empty string")
    documents = data.get("documents")
    if not isinstance(documents, list) or not documents:
        raise fields.wrong("documents", "must be a non-empty array")
    if len(documents) > MAX_DOCUMENTS:
        raise fields.wrong("documents", f"has more than {MAX_DOCUMENTS} entries: rank them in several requests")
    return RerankRequest(
        model=fields.text(data, "model") or "",
        models=fields.texts(data, "models", most=MAX_MODELS),
        query=query,
        documents=tuple(_document(one, f"documents[{i}]") for i, one in enumerate(documents)),
        top_n=fields.integer(data, "top_n", least=1),
        max_tokens_per_document=fields.integer(data, "max_tokens_per_doc", least=1),
        preferences=read_preferences(data.get("provider")),
        session_id=fields.text(data, "session_id", most=256),
    )


def write(request: RerankRequest, answer: Ranking, *, id: str, model: str, provider: str, bill: Bill) -> bytes:
    """Our answer: the documents come back with their places and scores."""
    results = [
        {"index": one.index, "relevance_score": one.score, "document": _written(request.documents[one.index])}
        for one in answer.results
    ]
    usage = {"cost": dollars(bill.cost_nano), "total_tokens": bill.usage.prompt_tokens}
    if answer.searches is not None:
        usage["search_units"] = answer.searches
    return orjson.dumps({"id": id, "model": model, "provider": provider, "results": results, "usage": usage})


def write_cohere(answer: Ranking, *, id: str, searches: int) -> bytes:
    """Cohere's answer: places and scores, and what it bills."""
    results = [{"index": one.index, "relevance_score": one.score} for one in answer.results]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": searches}}
    return orjson.dumps({"id": id, "results": results, "meta": meta})


def _document(value: Json, where: str) -> Document:
    if isinstance(value, str):
        return Document(value)
    if isinstance(value, Mapping):
        text, image = value.get("text"), value.get("image")
        if isinstance(text or "", str) and isinstance(image or "", str) and (text or image):
            return Document(text or "", fields.address(image, where=f"{where}.image") if image else None)
    raise fields.wrong(where, 'must be a string or {"text": …, "image": …} with at least one of both')


def _written(document: Document) -> Json:
    found = {"text": document.text, "image": document.image}
    return {name: value for name, value in found.items() if value}
