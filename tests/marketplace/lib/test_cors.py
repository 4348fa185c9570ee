"""Programs in browsers may call the APIs from any origin: preflights, answers, errors; pages stay closed."""

from __future__ import annotations

from typing import Any, cast

import httpx
import pytest

from marketplace.lib.cors import AnyOrigin

ASKED = {
    "origin": "https://app.example",
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-os",
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what some views say themselves, and 413 where a body is too large."""
    status = 413 if scope["method"] == "PUT" else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"Access-Control-Allow-Origin", b"x")]})
    await send({"type": "http.response.body", "body": b"fine"})


async def ask(method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(cast(Any, AnyOrigin(app))), base_url="http://here.test"
    ) as client:
        return await client.request(method, path, headers=headers)


@pytest.mark.parametrize("path", ["/api/v1/chat/completions", "/v1/predictions", "/api/v1/no-such-thing"])
async def test_a_preflight_is_answered_with_what_was_asked_for(path: str) -> None:
    answer = await ask("OPTIONS", path, ASKED)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == ASKED["access-control-request-headers"]
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in answer.headers


async def test_names_that_can_be_no_headers_are_not_said_back() -> None:
    for names in ("x-a\tb", "x-a: b", "a" * 5_000):
        answer = await ask("OPTIONS", "/api/v1/models", ASKED | {"access-control-request-headers": names})
        assert answer.headers["access-control-allow-headers"] == "authorization, content-type"


async def test_answers_and_errors_can_be_read_once() -> None:
    for method, status in (("POST", 200), ("PUT", 413), ("OPTIONS", 200)):
        answer = await ask(method, "/v1/files")
        assert answer.status_code == status
        assert answer.headers.get_list("access-control-allow-origin") == ["*"]
        assert answer.headers["access-control-expose-headers"] == "*"


async def test_pages_are_none_of_its_business() -> None:
    answer = await ask("OPTIONS", "/settings", ASKED)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "x")
