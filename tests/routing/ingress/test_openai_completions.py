"""Legacy text completions: read as a chat of one turn, written as the official types have them."""

import json
from typing import Any

import pytest
from openai.types import Completion

from marketplace.lib import sse
from marketplace.lib.errors import InvalidRequest
from routing.canonical import Chunk, Text, Usage
from routing.ingress import openai_completions
from routing.ingress.openai_chat_answers import Bill
from routing.ingress.openai_completions_answers import Writer

BILL = Bill(Usage(21, 7), 1_050_001, 1_000_001, 50_000)


def parse(**fields: Any) -> openai_completions.Asked:
    body = {"model": "acme/small", "prompt": "Once upon"} | fields
    return openai_completions.parse(json.dumps(body).encode())


@pytest.mark.parametrize("prompt", ["Once upon", ["Once upon"]])
def test_a_prompt_is_what_the_user_says(prompt: Any) -> None:
    asked = parse(prompt=prompt, max_tokens=7, logprobs=2, best_of=3, seed=1, surprise=True)
    (message,) = asked.request.messages
    assert (message.role, message.parts) == ("user", (Text("Once upon"),))
    assert asked.request.max_tokens == 7
    assert asked.request.parameters == {"logprobs": True, "top_logprobs": 2, "seed": 1}
    assert (asked.request.unknown, asked.echoed) == ({"surprise": True}, "")
    assert parse(echo=True).echoed == "Once upon"


@pytest.mark.parametrize(
    "fields", [{"prompt": None}, {"prompt": ["a", "b"]}, {"prompt": [1, 2]}, {"suffix": "x"}, {"logprobs": 99}]
)
def test_what_is_malformed_is_named(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(**fields)
    assert f"'{next(iter(fields))}'" in caught.value.message


def writer(**fields: Any) -> Writer:
    return Writer("gen-1-x", 1_790_000_000, "acme/small", "Acme", **fields)


def test_a_plain_answer_begins_with_what_was_asked_to_be_echoed() -> None:
    body = writer(echoed="Once upon").answer(Chunk(text=" a time", finish_reason="stop"), BILL)
    answer = Completion.model_validate_json(body)
    assert answer.choices[0].text == "Once upon a time"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 28
    assert b'"cost":0.001050001,' in body


def test_a_stream_has_its_usage_once_and_its_offsets_run_on() -> None:
    def logprobs(token: str) -> Any:
        return {"content": [{"token": token, "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -1}]}]}

    out = writer(echoed=">")
    data = b"".join(
        [
            out.chunk(Chunk()),
            out.chunk(Chunk(text="ab", logprobs=logprobs("ab"))),
            out.chunk(Chunk(text="c", logprobs=logprobs("c"))),
            out.chunk(Chunk(finish_reason="stop")),
            out.last(BILL),
        ]
    )
    *found, end = [event.data for event in sse.Parser().feed(data)]
    assert end == "[DONE]"
    chunks = [json.loads(one) for one in found]
    assert {(chunk["id"], chunk["object"]) for chunk in chunks} == {("gen-1-x", "text_completion")}
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks[:-1]) == ">abc"
    assert [chunk["choices"][0]["logprobs"]["text_offset"] for chunk in chunks[1:3]] == [[1], [3]]
    assert [bool(chunk.get("usage")) for chunk in chunks] == [False] * 4 + [True]


def test_a_stream_that_breaks_has_no_mark_of_a_clean_end() -> None:
    out = writer()
    data = out.chunk(Chunk(text="a")) + out.broken(code=502, message="It broke.", metadata={}, bill=BILL)
    last = json.loads(sse.Parser().feed(data)[-1].data)
    assert (last["choices"][0]["finish_reason"], last["error"]["code"]) == ("error", 502)
    assert b"[DONE]" not in data
