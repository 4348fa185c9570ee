"""Which media each dialect takes in which form, and what is done to a part before it is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routing.adapters.base import Target
from routing.adapters.intake import INTAKES, Medium, Unsuited, media_of, refusal, step_for
from routing.adapters.registry import ADAPTERS, adapter_for
from routing.canonical import Audio, ChatRequest, File, Image, Message, Part, Text, ToolResult, UpstreamError, Video

ALL = frozenset({"text", "image", "audio", "video", "file"})
PNG = "data:image/png;base64,iVBORw0KGgo="
FILM = "data:video/mp4;base64,AAAAGGZ0eXBpc29t"
PDF = "data:application/pdf;base64,JVBERi0xLjQ="
WEB = "https://files.example.com/"
PARTS: dict[str, Part] = {
    "image by address": Image(WEB + "a.png"),
    "image as data": Image(PNG),
    "audio by address": Audio(url=WEB + "a.wav"),
    "audio as data": Audio("UklGRg==", "wav"),
    "video by address": Video(WEB + "a.mp4"),
    "video as data": Video(FILM),
    "pdf by address": File("a.pdf", url=WEB + "a.pdf"),
    "pdf as data": File("a.pdf", PDF),
    "text as data": File("a.txt", "data:text/plain;base64,SGVsbG8="),
}
#                     image, audio, video by address and as data; PDF by address, PDF and text as data
# k is kept, f fetched, u unfolded into words or pages, - filters the endpoint out.
STEPS = {
    "openai_chat":      "kk fk -- fku",
    "azure_openai":     "kk fk -- fku",
    "openai_responses": "kk -- -- kkk",
    "anthropic":        "kk -- -- kkk",
    "gemini":           "fk fk fk fkk",
    "bedrock_converse": "fk fk fk fkk",
    "mistral":          "kk kk -- kku",
    "cohere":           "kk -- -- fuk",
    "qwen_compatible":  "kk kk kk fuu",
    "dashscope_native": "kk kk kk fuu",
    "together":         "kk kk kk fuu",
    "fireworks":        "kk -- kk fuu",
    "nebius":           "kk kk kk fuu",
    "generic":          "fk fk fk fku",
    "groq":             "kk -- -- fuu",
    "xai":              "kk -- -- fuu",
    "deepseek":         "-- -- -- fuu",
}  # fmt: skip


def step(part: Part, *, dialect: str, inputs: frozenset[str] = ALL) -> str:
    (medium,) = media_of([part])
    try:
        return step_for(medium, dialect=dialect, inputs=inputs)[0]
    except Unsuited:
        return "-"


@pytest.mark.parametrize("dialect", ADAPTERS)
def test_what_each_dialect_keeps_has_fetched_has_unfolded_and_cannot_take(dialect: str) -> None:
    """One row for each dialect: a new one fails here until it says what it takes."""
    assert dialect in INTAKES
    assert "".join(step(part, dialect=dialect) for part in PARTS.values()) == STEPS[dialect].replace(" ", "")


@pytest.mark.parametrize("what", PARTS)
@pytest.mark.parametrize("dialect", ADAPTERS)
def test_what_is_kept_can_be_written(dialect: str, what: str) -> None:
    part = PARTS[what]
    if step(part, dialect=dialect) != "k":
        return
    request = ChatRequest("m", (Message("user", (Text("Look"), part)),))
    target = Target("https://bedrock-runtime.us-east-1.amazonaws.com", "their-model", {"api_key": "k"})
    assert adapter_for(dialect).build(request, target=target, stream=False, max_tokens=9).body


@pytest.mark.parametrize("dialect", ADAPTERS)
def test_an_endpoint_for_words_reads_documents_and_sees_no_pictures(dialect: str) -> None:
    words = frozenset({"text"})
    assert step(PARTS["pdf by address"], dialect=dialect, inputs=words) == "f"
    assert step(PARTS["pdf as data"], dialect=dialect, inputs=words) == "u"
    assert step(PARTS["image as data"], dialect=dialect, inputs=words) == "-"


def test_films_of_youtube_are_geminis_to_open() -> None:
    film = Video("https://www.youtube.com/watch?v=abc")
    assert step(film, dialect="gemini") == "k"
    assert step(film, dialect="qwen_compatible") == "k"
    assert step(film, dialect="bedrock_converse") == "-"


@pytest.mark.parametrize(
    ("part", "media"),
    [
        (Video(None, (PNG, WEB + "2.png")), {Medium("video", "data"), Medium("video", "url")}),
        (File(None, "SGVsbG8="), {Medium("file", "data", "")}),
        (File(None, None, "file-1"), {Medium("file", "id", "")}),
        (File("a.docx", "UEsDBA=="), {Medium("file", "data", "")}),
        (File(None, "data:application/zip;base64,UEsDBA=="), {Medium("file", "data", "other")}),
        (File(None, url=WEB + "a.png?size=2"), {Medium("file", "url", "image")}),
        (ToolResult("c", (Text("x"), Image(PNG))), {Medium("image", "data")}),
        (Text("x"), set()),
    ],
)
def test_media_are_told_by_what_they_come_with(part: Part, media: set[Medium]) -> None:
    assert media_of([part]) == media


@pytest.mark.parametrize(
    ("medium", "dialect", "inputs", "reason"),
    [
        (Medium("image", "data"), "openai_chat", {"text"}, "takes no image"),
        (Medium("video", "data"), "anthropic", ALL, "takes no video"),
        (Medium("file", "data", "other"), "mistral", ALL, "takes no files of this type"),
        (Medium("file", "url", "image"), "deepseek", ALL, "takes no image"),
        (Medium("file", "id"), "openai_chat", ALL, "by an id"),
        (Medium("video", "youtube"), "bedrock_converse", ALL, "YouTube"),
    ],
)
def test_a_refusal_says_what_the_endpoint_does_not_take(medium: Medium, dialect: str, inputs: Any, reason: str) -> None:
    assert reason in (refusal(frozenset({medium}), dialect=dialect, inputs=frozenset(inputs)) or "")


def written(part: Part, dialect: str = "mistral") -> Any:
    request = ChatRequest("m", (Message("user", (Text("x"), part)),))
    built = adapter_for(dialect).build(request, target=Target("https://m.test", "m", {}), stream=False, max_tokens=9)
    return json.loads(built.body)["messages"][0]["content"][1]


def test_qwen_takes_addresses_and_data_urls_as_sound() -> None:
    read = written(Audio(None, "mp3", WEB + "a.mp3"), "qwen_compatible")
    assert read == {"type": "input_audio", "input_audio": {"data": WEB + "a.mp3", "format": "mp3"}}
    read = written(Audio("UklGRg==", "wav"), "qwen_compatible")
    assert read == {"type": "input_audio", "input_audio": {"data": "data:;base64,UklGRg==", "format": "wav"}}


def test_mistral_has_parts_of_its_own_for_documents_and_sound() -> None:

    assert written(File("a.pdf", PDF)) == {"type": "document_url", "document_url": PDF, "document_name": "a.pdf"}
    assert written(File(None, "JVBERi0xLjQ=")) == {"type": "document_url", "document_url": PDF}
    assert written(File(None, url=WEB + "a.pdf")) == {"type": "document_url", "document_url": WEB + "a.pdf"}
    assert written(Audio("UklGRg==", "wav")) == {"type": "input_audio", "input_audio": "UklGRg=="}
    assert written(Audio(url=WEB + "a.mp3")) == {"type": "input_audio", "input_audio": WEB + "a.mp3"}
    with pytest.raises(UpstreamError, match="by id"):
        written(File(None, None, "file-1"))
