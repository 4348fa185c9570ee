"""Media on their way to an endpoint: fetched from a real server of files, documents taken apart, or refused."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from billing.models import Hold
from marketplace.lib.errors import Forbidden, InvalidRequest, NotFound
from marketplace.lib.pool import run
from routing.ingress import openai_chat
from routing.models import Attempt, Generation
from routing.selection.needs import PDF_TOKENS
from routing.services import chat, reencoding
from routing.simulation.dialects import DIALECTS
from tests.factories import documents
from tests.factories.routing import Buyer, endpoint
from tests.routing.conftest import Simulated
from tests.routing.services.test_guards import bind
from tests.servers.files import FileServer

Simulate = Callable[..., Simulated]
SEES = ["text", "image"]
READS = ["text", "image", "file"]
Part = dict[str, Any]


def image(url: str) -> Part:
    return {"type": "image_url", "image_url": {"url": url}}


def file(content: bytes | str, name: str = "letter.pdf") -> Part:
    if isinstance(content, bytes):
        content = f"data:application/pdf;base64,{base64.b64encode(content).decode()}"
    return {"type": "file", "file": {"filename": name, "file_data": content}}


def asked(*parts: Part, **fields: Any) -> Any:
    content = [{"type": "text", "text": "Look"}, *parts]
    body = {"model": "acme/small", "max_tokens": 20, "messages": [{"role": "user", "content": content}]}
    return openai_chat.parse(orjson.dumps(body | fields))


async def ask(who: Buyer, *parts: Part, **fields: Any) -> chat.Completed:
    return await chat.complete(caller=who.caller, request=asked(*parts, **fields))


async def serve(simulate: Simulate, dialect: str, inputs: list[str], **fields: Any) -> Simulated:
    sim = simulate(fields.pop("provider", "sim-one"), dialect if dialect in DIALECTS else "openai_chat")
    given: dict[str, Any] = {"provider": sim.simulator.name, "context_length": 200_000} | fields
    await run(lambda: endpoint(sim.base_url, dialect=dialect, input_modalities=inputs, **given))
    return sim


def sent(sim: Simulated) -> Any:
    """What the provider got beside the words, as text."""
    return orjson.dumps(sim.simulator.received[-1].body).decode()


def inline(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize("dialect", ["gemini", "bedrock_converse", "generic"])
async def test_a_picture_by_address_arrives_as_bytes_where_addresses_are_not_taken(
    simulate: Simulate, alice: Buyer, files: FileServer, dialect: str
) -> None:
    sim = await serve(simulate, dialect, SEES)
    picture = documents.picture("JPEG")
    url = files.redirect("/moved", files.add("/a.png", picture, "image/png"))  # it lies about its type, too
    await ask(alice, image(url))
    assert inline(picture) in sent(sim)
    assert "image/jpeg" in sent(sim) or '"format":"jpeg"' in sent(sim)
    assert "127.0.0.1" not in sent(sim)


async def test_a_picture_by_address_stays_one_where_addresses_are_taken(
    simulate: Simulate, alice: Buyer, files: FileServer
) -> None:
    sim = await serve(simulate, "anthropic", SEES)
    url = files.add("/a.png", documents.picture(), "image/png")
    await ask(alice, image(url))
    assert url in sent(sim)
    assert files.asked == {}


async def test_a_failover_sends_what_was_fetched_for_the_first_endpoint(
    simulate: Simulate, alice: Buyer, files: FileServer
) -> None:
    first = await serve(simulate, "gemini", SEES, per_million={"prompt": "0.01", "completion": "0.01"})
    second = await serve(simulate, "bedrock_converse", SEES, provider="sim-two")
    first.order("500", always=True)
    picture = documents.picture()
    await ask(alice, image(files.add("/a.png", picture, "image/png")))
    assert (first.calls, second.calls, files.asked) == (1, 1, {"/a.png": 1})
    assert inline(picture) in sent(second)


async def test_a_stream_takes_the_same_way(simulate: Simulate, alice: Buyer, files: FileServer) -> None:
    sim = await serve(simulate, "gemini", SEES)
    picture = documents.picture()
    part = image(files.add("/a.png", picture, "image/png"))
    stream = await chat.open_stream(caller=alice.caller, request=asked(part, stream=True))
    assert isinstance([event async for event in stream.events()][-1], chat.Finished)
    assert inline(picture) in sent(sim)


async def test_pictures_in_the_result_of_a_tool_are_fetched_too(
    simulate: Simulate, alice: Buyer, files: FileServer
) -> None:
    sim = await serve(simulate, "bedrock_converse", SEES)
    picture = documents.picture()
    url = files.add("/a.png", picture, "image/png")
    call = {"id": "c1", "type": "function", "function": {"name": "shoot", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Look"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": [image(url)]},
    ]
    await ask(alice, messages=messages)
    assert inline(picture) in sent(sim)


async def test_sound_by_address_arrives_with_its_format(simulate: Simulate, alice: Buyer, files: FileServer) -> None:
    sim = await serve(simulate, "gemini", ["text", "audio"])
    url = files.add("/a", b"ID3\x04sound", "binary/octet-stream")
    await ask(alice, {"type": "audio_url", "audio_url": {"url": url}})
    assert '"mimeType":"audio/mp3"' in sent(sim)
    assert inline(b"ID3\x04sound") in sent(sim)


async def test_a_document_by_address_is_read_for_an_endpoint_of_words(
    simulate: Simulate, alice: Buyer, files: FileServer
) -> None:
    sim = await serve(simulate, "deepseek", ["text"])
    url = files.add("/offer.pdf", documents.pdf("Forty-three dollars", "and sixty cents"), "application/pdf")
    await ask(alice, {"type": "file", "file": {"file_data": url}})
    assert "Forty-three dollars\\n\\nand sixty cents" in sent(sim)
    assert "offer.pdf:" in sent(sim)


async def test_a_model_of_words_is_picked_for_a_document_where_there_is_no_other(
    simulate: Simulate, alice: Buyer
) -> None:
    sim = await serve(simulate, "deepseek", ["text"])
    await ask(alice, file(documents.pdf("Forty-three dollars")), model="auto")
    assert "Forty-three dollars" in sent(sim)


async def test_a_document_goes_whole_to_an_endpoint_that_reads_documents(simulate: Simulate, alice: Buyer) -> None:
    sim = await serve(simulate, "anthropic", READS)
    content = documents.pdf("Words")
    await ask(alice, file(content))
    assert inline(content) in sent(sim)


async def test_the_scanned_pages_of_a_document_are_shown_to_an_endpoint_with_eyes(
    simulate: Simulate, alice: Buyer
) -> None:
    sim = await serve(simulate, "groq", SEES)
    await ask(alice, file(documents.pdf("The first page", "", "The last page")))
    content = sim.simulator.received[-1].body["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "text", "text", "image_url", "text"]
    assert content[3]["image_url"]["url"].startswith("data:image/jpeg;base64,")


async def test_pages_are_not_shown_where_each_picture_has_a_price_that_nobody_set_aside(
    simulate: Simulate, alice: Buyer
) -> None:
    sim = await serve(simulate, "groq", SEES, per_unit={"image": "0.01"})
    await ask(alice, file(documents.pdf("The first page", "")))
    assert "[Page 2 is a picture.]" in sent(sim)
    assert "image_url" not in sent(sim)


async def test_a_text_file_becomes_words_and_a_picture_called_a_file_a_picture(
    simulate: Simulate, alice: Buyer
) -> None:
    sim = await serve(simulate, "groq", SEES)
    picture = documents.picture()
    table = f"data:text/csv;base64,{inline(b'a,b')}"
    await ask(alice, file(table, "table.csv"), file(f"data:application/octet-stream;base64,{inline(picture)}", "x"))
    assert "table.csv:\\n\\na,b" in sent(sim)
    assert f"data:image/png;base64,{inline(picture)}" in sent(sim)


async def test_a_document_waits_its_turn_only_so_long(
    simulate: Simulate, alice: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await serve(simulate, "deepseek", ["text"])
    monkeypatch.setattr(reencoding, "READING_SECONDS", 0.001)
    with pytest.raises(InvalidRequest, match="too many others are being read"):
        await ask(alice, file(documents.pdf("Words")))


async def test_a_file_that_is_no_base64_is_named(simulate: Simulate, alice: Buyer) -> None:
    sim = await serve(simulate, "deepseek", ["text"])
    with pytest.raises(InvalidRequest, match=r"The content of the file letter\.pdf is not valid base64"):
        await ask(alice, file("data:application/pdf;base64,JVBE*"))
    assert sim.calls == 0


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (file(documents.pdf("")), "holds pictures only"),
        (file(documents.pdf("Secret", password="x")), "asks for a password"),
        (file(b"%PDF-1.4 broken"), "damaged"),
        (file(b"PK\x03\x04\xff\xfe", "letter.docx"), "neither a PDF nor UTF-8"),
    ],
    ids=["scan", "password", "broken", "docx"],
)
async def test_a_document_that_cannot_be_converted_goes_to_who_reads_it_itself(
    simulate: Simulate, alice: Buyer, part: Part, why: str
) -> None:
    words = await serve(simulate, "deepseek", ["text"], per_million={"prompt": "0.01", "completion": "0.01"})
    with pytest.raises(InvalidRequest, match=why):
        await ask(alice, part)
    reader = await serve(simulate, "openai_responses", READS, provider="sim-two")
    await ask(alice, part)
    assert (words.calls, reader.calls) == (0, 1)

    def look() -> None:
        assert Attempt.objects.filter(error_kind="invalid").count() == 2
        assert not Hold.objects.filter(state="open").exists()

    await run(look)


async def test_what_no_endpoint_can_be_given_is_said_before_any_is_tried(simulate: Simulate, alice: Buyer) -> None:
    await serve(simulate, "anthropic", [*SEES, "video"])
    await serve(simulate, "deepseek", ["text"], provider="sim-two")
    film = {"type": "video_url", "video_url": {"url": "https://files.example.com/a.mp4"}}
    with pytest.raises(NotFound) as caught:
        await ask(alice, film)
    assert caught.value.metadata["availability"]["excluded_by"] == ["input_modalities"]
    assert {one["detail"] for one in caught.value.metadata["excluded"]} == {"takes no video"}


PNG = documents.picture()
ANYTHING = b"x" * 100


@pytest.mark.parametrize(
    ("path", "content", "kind", "why"),
    [
        ("/gone.png", None, "", "answered with status 404"),
        ("/login", b"<!DOCTYPE html><p>Log in", "image/png", "no image but text/html"),
        ("/a.png", ANYTHING, "application/zip", "no image but application/zip"),
        ("/large.png", PNG + bytes(2_000), "image/png", "larger than 1,500 bytes"),
    ],
)
async def test_a_picture_that_cannot_be_had_is_the_callers_to_mend_and_nobody_elses_fault(
    simulate: Simulate, alice: Buyer, files: FileServer, monkeypatch: pytest.MonkeyPatch,
    path: str, content: bytes | None, kind: str, why: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(reencoding, "MAX_BYTES", 1_500)
    sims = [await serve(simulate, "gemini", SEES), await serve(simulate, "generic", SEES, provider="sim-two")]
    url = f"http://{files.origin}{path}" if content is None else files.add(path, content, kind)
    with pytest.raises(InvalidRequest, match=why) as caught:
        await ask(alice, image(url + "?signature=secret"))
    assert "secret" not in caught.value.message
    assert (sum(sim.calls for sim in sims), files.asked) == (0, {path: 1})

    def look() -> None:
        assert (Generation.objects.get().status, Attempt.objects.count()) == ("failed", 0)
        assert Hold.objects.get().state == "released"

    await run(look)


async def test_a_picture_of_a_rare_type_goes_only_to_who_opens_it_himself(
    simulate: Simulate, alice: Buyer, files: FileServer
) -> None:
    inliner = await serve(simulate, "gemini", SEES, per_million={"prompt": "0.01", "completion": "0.01"})
    drawing = image(files.add("/a", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "text/plain"))
    with pytest.raises(InvalidRequest, match=r"image/png.*gives is image/svg\+xml"):
        await ask(alice, drawing)
    opener = await serve(simulate, "anthropic", SEES, provider="sim-two")
    await ask(alice, drawing)
    assert (inliner.calls, opener.calls) == (0, 1)


DOORS: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "chat": ("v1/chat/completions", lambda url: {"messages": [{"role": "user", "content": [image(url)]}]}),
    "responses": ("v1/responses", lambda url: {
        "input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}],
    }),
    "messages": ("v1/messages", lambda url: {"max_tokens": 20, "messages": [
        {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": url}}]},
    ]}),
    "gemini": ("v1beta/models/acme/small:generateContent", lambda url: {
        "contents": [{"parts": [{"fileData": {"mimeType": "image/png", "fileUri": url}}]}],
    }),
    "cohere": ("v2/chat", lambda url: {"messages": [{"role": "user", "content": [image(url)]}]}),
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_every_dialect_of_callers_has_its_pictures_fetched_and_is_told_what_is_wrong(
    gateway: str, simulate: Simulate, alice: Buyer, files: FileServer, door: str
) -> None:
    sim = simulate(dialect="bedrock_converse")
    endpoint(sim.base_url, dialect="bedrock_converse", input_modalities=SEES)
    picture = documents.picture()
    path, body = DOORS[door]

    def post(url: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {alice.key}"}
        asked = {"model": "acme/small"} | body(url)
        return httpx.post(f"{gateway}/api/{path}", json=asked, headers=headers, timeout=30)

    assert post(files.add("/a.png", picture, "image/png")).status_code == 200
    assert inline(picture) in sent(sim)
    refused = post(f"http://{files.origin}/gone.png")
    assert refused.status_code == 400
    assert "/gone.png answered with status 404. Give an address that anybody can open" in refused.text
    assert sim.calls == 1


async def test_all_that_is_fetched_for_a_request_is_bounded_together(
    simulate: Simulate, alice: Buyer, files: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await serve(simulate, "gemini", SEES)
    content = PNG + bytes(1_000)
    monkeypatch.setattr(reencoding, "MAX_BYTES", int(len(content) * 1.5))
    with pytest.raises(InvalidRequest, match="larger than"):
        await ask(alice, *(image(files.add(f"/{number}", content, "image/png")) for number in range(2)))
    with pytest.raises(InvalidRequest, match="At most 20 addresses"):
        await ask(alice, *(image(files.add(f"/{number}", PNG, "image/png")) for number in range(21)))


INSIDE = [
    "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/latest/meta-data/", "http://10.0.0.7/a.png",
    "http://127.0.0.1/a.png", "http://[::1]/a.png", "http://[::ffff:127.0.0.1]/a.png", "http://2130706433/a.png",
    "http://localhost/a.png", "http://93.184.215.14:22/a.png",
]  # fmt: skip


async def test_a_medium_at_a_private_address_is_never_asked_for(
    simulate: Simulate, alice: Buyer, files: FileServer
) -> None:
    sim = await serve(simulate, "gemini", SEES)
    for number, url in enumerate(INSIDE):
        for given in (url, files.redirect(f"/{number}", url)):
            with pytest.raises(InvalidRequest, match=r"could not be fetched: .*(public|metadata|may not be called)"):
                await ask(alice, image(given))
    assert sim.calls == 0


async def test_what_an_operators_own_provider_tells_is_not_read_by_callers(simulate: Simulate, alice: Buyer) -> None:
    sim = await serve(simulate, "deepseek", ["text"])  # at an origin that the gateway itself may call
    page = {"type": "file", "file": {"file_data": f"http://127.0.0.1:{sim.port}/_requests"}}
    with pytest.raises(InvalidRequest, match=r"not on the public internet|may not be called"):
        await ask(alice, page)


async def test_a_name_that_changes_between_two_hops_gains_nothing(
    simulate: Simulate, alice: Buyer, files: FileServer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim = await serve(simulate, "gemini", SEES)
    settings.MEDIA_ORIGINS = settings.MEDIA_ORIGINS | {f"rebind.test:{files.port}"}
    answers = ["127.0.0.1", "169.254.169.254"]
    real = socket.getaddrinfo

    def rebinding(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        return real(answers.pop(0) if host == "rebind.test" else host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    files.redirect("/a.png", f"http://rebind.test:{files.port}/b.png")
    with pytest.raises(InvalidRequest, match="metadata"):
        await ask(alice, image(f"http://rebind.test:{files.port}/a.png"))
    assert (answers, files.asked, sim.calls) == ([], {"/a.png": 1}, 0)


async def test_a_documents_words_pass_the_guardrails(simulate: Simulate, alice: Buyer) -> None:
    sim = await serve(simulate, "deepseek", ["text"])
    await run(bind, alice, content_filter_builtins=[
        {"slug": "email", "action": "redact"}, {"slug": "credit-card", "action": "block"},
    ])  # fmt: skip
    await ask(alice, file(documents.pdf("Write to ada@example.com")))
    assert "Write to [EMAIL]" in sent(sim)
    assert "ada@" not in sent(sim)
    with pytest.raises(Forbidden, match="CREDIT_CARD"):
        await ask(alice, file(documents.pdf("Pay with 4111 1111 1111 1111")))
    assert sim.calls == 1


async def test_a_small_pdf_holds_what_it_may_unfold_to(simulate: Simulate, alice: Buyer) -> None:
    await serve(simulate, "groq", SEES, per_million={"prompt": "1.00", "completion": "1.00"})
    await ask(alice, file(documents.pdf("Small")))
    held = await run(lambda: Hold.objects.get().amount_nano)
    assert PDF_TOKENS * 1_000 <= held <= (PDF_TOKENS + 2_000) * 1_000
