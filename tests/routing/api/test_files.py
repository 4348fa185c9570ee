"""POST, GET and DELETE /api/v1/files, and files in chats by their ids."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from routing.services import attachments, stored
from tests.factories.routing import Buyer, buyer, endpoint
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]
PDF = b"%PDF-1.4 canary"


class Api:
    """Somebody's way in."""

    def __init__(self, gateway: str, who: Buyer) -> None:
        self._url = f"{gateway}/api/v1/"
        self._headers = {"authorization": f"Bearer {who.key}"}

    def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        return httpx.request(method, self._url + path, headers=self._headers, timeout=30, **more)

    def upload(self, name: str = "a.pdf", content: bytes = PDF, kind: str = "application/pdf") -> httpx.Response:
        return self("POST", "files", files={"file": (name, content, kind)})


@pytest.fixture
def api(gateway: str, alice: Buyer) -> Api:
    return Api(gateway, alice)


def test_a_file_is_kept_listed_read_and_deleted(api: Api) -> None:
    made = api.upload().json()
    assert made == made | {"type": "file", "filename": "a.pdf", "mime_type": "application/pdf", "size_bytes": len(PDF)}
    assert api("GET", f"files/{made['id']}").json() == made
    assert api("GET", f"files/{made['id']}/content").content == PDF
    assert api("DELETE", f"files/{made['id']}").json() == {
        "_shape": "openrouter",
        "id": made["id"],
        "type": "file_deleted",
    }
    assert api("GET", f"files/{made['id']}").status_code == 404


def test_pages_go_on_after_the_cursor(api: Api) -> None:
    ids = [api.upload(name).json()["id"] for name in ("a", "b", "c")]
    first = api("GET", "files?limit=2").json()
    assert ([row["id"] for row in first["data"]], first["has_more"], first["cursor"]) == (ids[:2], True, ids[1])
    rest = api("GET", f"files?limit=2&cursor={first['cursor']}").json()
    assert ([row["id"] for row in rest["data"]], rest["has_more"], rest["cursor"]) == (ids[2:], False, None)
    assert api("GET", "files?limit=0").status_code == 400
    assert api("GET", "files?after=nothing").status_code == 404


def test_a_stranger_sees_nothing(api: Api, gateway: str) -> None:
    file_id = api.upload().json()["id"]
    stranger = Api(gateway, buyer(email="stranger@example.com"))
    assert stranger("GET", "files").json()["data"] == []
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        assert stranger(method, f"files/{file_id}{path}").status_code == 404


def test_what_is_no_form_or_too_much_is_refused_and_says_the_limit(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "multipart/form-data" in api("POST", "files", json={}).json()["error"]["message"]
    monkeypatch.setattr(stored, "QUOTA", 20)
    assert api.upload().status_code == 200
    refused = api.upload()
    assert (refused.status_code, refused.json()["error"]["metadata"]["limit_bytes"]) == (413, 20)


def test_a_chat_reads_files_by_their_ids(api: Api, simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    sim = simulate()
    endpoint(sim.base_url, input_modalities=["text", "file", "image"], context_length=1_000_000)

    def chat(file_id: str) -> httpx.Response:
        content = [{"type": "text", "text": "Read"}, {"type": "file", "file": {"file_id": file_id}}]
        body = {"model": "acme/small", "max_tokens": 20, "messages": [{"role": "user", "content": content}]}
        return api("POST", "chat/completions", json=body)

    assert chat(api.upload().json()["id"]).status_code == 200
    data = f"data:application/pdf;base64,{base64.b64encode(PDF).decode()}"
    sent = sim.simulator.received[-1].body["messages"][0]["content"]
    assert sent[1] == {"type": "file", "file": {"filename": "a.pdf", "file_data": data}}
    chat(api.upload("a.png", b"\x89PNG", "image/png").json()["id"])
    assert sim.simulator.received[-1].body["messages"][0]["content"][1]["type"] == "image_url"
    unknown = chat("nothing")
    assert (unknown.status_code, unknown.json()["error"]["metadata"]["field"]) == (404, "file_id")
    monkeypatch.setattr(attachments, "MOST", 4)
    assert chat(api.upload().json()["id"]).status_code == 413


@pytest.mark.parametrize(
    "url",
    [
        "s3://operators-bucket/secret.png",
        "gs://operators-bucket/secret.png",
        "file:///etc/passwd",
        "https://generativelanguage.googleapis.com/v1beta/files/abc",
        "https://generativelanguage.googleapis.com./v1beta/files/abc",
        "HTTPS://[::1/x.png",
    ],
)
def test_an_address_that_opens_with_the_operators_rights_goes_nowhere(api: Api, simulate: Simulate, url: str) -> None:
    sim = simulate()
    endpoint(sim.base_url, input_modalities=["text", "image", "video"])
    for part in ({"type": "image_url", "image_url": {"url": url}}, {"type": "video_url", "video_url": {"url": url}}):
        body = {"model": "acme/small", "max_tokens": 20, "messages": [{"role": "user", "content": [part]}]}
        refused = api("POST", "chat/completions", json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, 400)
        assert "data URL" in refused.json()["error"]["message"]
    assert sim.calls == 0
