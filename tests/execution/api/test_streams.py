"""Streams over HTTP: who may read them, and what travels."""

import asyncio
import copy
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import AsyncClient

from execution.models import Prediction
from execution.services import attempts, endings
from execution.states import Status
from marketplace.lib import pool, sse
from tests.execution.api.conftest import Caller
from tests.factories.execution import SCHEMA, hosted, predict

pytestmark = pytest.mark.django_db(transaction=True)


def streaming(items: dict[str, Any] | None = None) -> dict[str, Any]:
    schema = copy.deepcopy(SCHEMA)
    schema["components"]["schemas"]["Output"] = {
        "type": "array",
        "items": items or {"type": "string"},
        "x-cog-array-type": "iterator",
    }
    return schema


def made(caller: Caller, items: dict[str, Any] | None = None) -> tuple[Prediction, str]:
    """A prediction of a model that streams, and its stream's address."""
    prediction = predict(caller.account, hosted(schema=streaming(items)))
    url = caller.get(f"/v1/predictions/{prediction.pk}").json()["urls"]["stream"]
    return prediction, url.removeprefix("http://testserver")


def test_only_models_that_stream_have_a_stream(caller: Caller) -> None:
    prediction = predict(caller.account, hosted())
    assert "stream" not in caller.get(f"/v1/predictions/{prediction.pk}").json()["urls"]


def test_streams_of_files_have_the_path_by_which_the_javascript_client_knows_them(caller: Caller) -> None:
    _, url = made(caller, {"type": "string", "format": "uri"})
    assert url.startswith("/v1/files/")


def test_a_link_opens_its_own_prediction_only(caller: Caller, stranger: Caller) -> None:
    _, url = made(caller)
    other = predict(stranger.account, hosted(slug="other", schema=streaming()))
    query = urlsplit(url).query
    assert caller.client.get(f"/v1/predictions/{other.pk}/stream?{query}").status_code == 403
    assert caller.client.get(url.replace("signature=", "signature=A")).status_code == 403


async def test_what_happens_is_told_as_it_happens_and_can_be_resumed(caller: Caller) -> None:
    prediction, url = await pool.run(made, caller)
    response: Any = await AsyncClient().get(url, headers={"Accept": "text/event-stream"})
    assert response.headers["Content-Type"] == "text/event-stream"
    parser = sse.Parser()
    events: list[sse.Event] = []
    chunks = response.__aiter__()
    attempt = await pool.run(attempts.begin, prediction_id=prediction.pk, owner="me", hardware="cpu")
    assert attempt is not None
    await pool.run(attempts.started, attempt)
    await pool.run(attempts.write, attempt, output=["hello\n"], logs="begun")
    async with asyncio.timeout(20):
        while len(events) < 2:
            events += parser.feed(await anext(chunks))
        await pool.run(
            endings.end,
            prediction_id=prediction.pk,
            status=Status.SUCCEEDED,
            run_ms=5,
            changes={"output": ["hello\n", "you"], "logs": "begun"},
        )
        async for chunk in chunks:
            events += parser.feed(chunk)
    found = [(one.event, one.data) for one in events]
    assert found == [("logs", "begun"), ("output", "hello\n"), ("output", "you"), ("done", "{}")]
    again: Any = await AsyncClient().get(url, headers={"Last-Event-ID": str(events[1].id)})
    rest = b"".join([chunk async for chunk in again])
    assert [(one.event, one.data) for one in sse.Parser().feed(rest)] == found[2:]
