"""The traps that providers set (facts of the golden files): one test for each, by its name."""

import json
from typing import Any

import pytest

from routing.adapters.base import Target
from routing.adapters.registry import adapter_for
from routing.canonical import UpstreamError, Usage
from routing.ingress import openai_chat
from routing.selection.candidates import quantities
from tests.routing.adapters.reading import joined, stream
from tests.routing.golden import EVERY, Case

HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


def case(kind: str, name: str) -> Case:
    return next(one for one in EVERY if (one.kind, one.name) == (kind, name))


def body_of(kind: str, **fields: Any) -> dict[str, Any]:
    request = openai_chat.parse(json.dumps(HELLO | fields).encode())
    target = Target("https://provider.test/v1", "their-model", {})
    built = adapter_for(kind).build(request, target=target, stream=request.stream, max_tokens=None)
    found: dict[str, Any] = json.loads(built.body)
    return found


def plain(kind: str, **data: Any) -> dict[str, Any]:
    return joined([adapter_for(kind).parse_answer(json.dumps(data).encode())])


def chat(message: dict[str, Any], usage: dict[str, Any], finish: str = "stop") -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}


COUNTS = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


def test_azures_first_chunk_has_no_choice() -> None:
    answer = case("azure_openai", "stream_text").answer
    first = answer.split(b"\n\n")[0]
    assert b'"choices":[]' in first
    assert adapter_for("azure_openai").stream_parser().feed(first + b"\n\n") == []
    assert joined(stream("azure_openai", answer))["text"] == "Hi there."


def test_azure_wants_the_deployment_in_the_path_and_the_version_behind_it() -> None:
    request = openai_chat.parse(json.dumps(HELLO).encode())
    target = Target("https://me.openai.azure.com/", "my gpt", {"api_key": "k", "api_version": "2025-04-01-preview"})
    built = adapter_for("azure_openai").build(request, target=target, stream=False, max_tokens=5)
    path = "/openai/deployments/my%20gpt/chat/completions?api-version=2025-04-01-preview"
    assert built.url == "https://me.openai.azure.com" + path
    assert ("api-key", "k") in built.headers
    assert not any(name == "authorization" for name, _ in built.headers)


def test_azures_filter_refuses_the_request_and_no_endpoint_is_to_blame() -> None:
    error = {"code": "content_filter", "message": "The prompt triggered the content management policy."}
    found = adapter_for("azure_openai").error(status=400, headers={}, body=json.dumps({"error": error}).encode())
    assert (found.kind, found.retryable) == ("content_policy", False)


def test_qwen_repeats_an_empty_id_on_every_further_piece_of_a_call() -> None:
    answer = case("qwen_compatible", "stream_tool_call").answer
    assert b'"id":""' in answer
    deltas = [call for chunk in stream("qwen_compatible", answer) for call in chunk.tool_calls]
    assert deltas[0].id
    assert {call.id for call in deltas[1:]} == {None}


def test_xai_leaves_thoughts_out_of_the_completion_tokens() -> None:
    usage = COUNTS | {"completion_tokens_details": {"reasoning_tokens": 30}, "total_tokens": 150}
    assert plain("xai", **chat({"content": "4"}, usage))["usage"] == Usage(100, 50, reasoning_tokens=30)
    assert plain("openai_chat", **chat({"content": "4"}, usage))["usage"] == Usage(100, 20, reasoning_tokens=20)


def test_xais_error_may_be_a_bare_string() -> None:
    error = adapter_for("xai").error(status=400, headers={}, body=b'{"code": "x", "error": "No such model"}')
    assert (error.message, error.provider_code) == ("No such model", "x")
    with pytest.raises(UpstreamError, match="overloaded"):
        stream("xai", b'data: {"error": "overloaded"}\n\n')


def test_gemini_says_stop_even_for_a_tool_call() -> None:
    got = joined([adapter_for("gemini").parse_answer(case("gemini", "tool_call").answer)])
    assert (got["native_finish_reason"], got["finish_reason"]) == ("STOP", "tool_calls")


def test_gemini_answers_200_without_a_candidate_when_it_blocks_a_prompt() -> None:
    blocked = case("gemini", "prompt_blocked")
    assert (blocked.status, "candidates" in blocked.data["response"]["body"]) == (200, False)
    assert joined([adapter_for("gemini").parse_answer(blocked.answer)])["finish_reason"] == "content_filter"


def test_geminis_candidates_tokens_leave_thoughts_out() -> None:
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 7}
    candidate = {"content": {"parts": [{"text": "4"}]}, "finishReason": "STOP"}
    assert plain("gemini", candidates=[candidate], usageMetadata=usage)["usage"] == Usage(10, 12, reasoning_tokens=7)


ANTHROPIC = {"input_tokens": 10, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 30, "output_tokens": 5}
BEDROCK = {"inputTokens": 10, "cacheReadInputTokens": 60, "cacheWriteInputTokens": 30, "outputTokens": 5}
OPENAI = {
    "prompt_tokens": 100, "completion_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
}  # fmt: skip
RESPONSES = {
    "input_tokens": 100, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
}  # fmt: skip
WORDS = [{"type": "output_text", "text": "4"}]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("anthropic", {"content": [{"type": "text", "text": "4"}], "stop_reason": "end_turn", "usage": ANTHROPIC}),
        ("bedrock_converse",
         {"output": {"message": {"content": [{"text": "4"}]}}, "stopReason": "end_turn", "usage": BEDROCK}),
        ("openai_chat", chat({"content": "4"}, OPENAI)),
        ("openai_responses",
         {"status": "completed", "output": [{"type": "message", "content": WORDS}], "usage": RESPONSES}),
    ],
)  # fmt: skip
def test_cached_tokens_stand_beside_the_input_or_among_it_and_are_billed_once(kind: str, data: dict[str, Any]) -> None:
    usage = plain(kind, **data)["usage"]
    assert usage == Usage(100, 5, cached_tokens=60, cache_write_tokens=30)
    prices = {"prompt": 1, "completion": 1, "cached_read": 1, "cached_write": 1}
    assert quantities(usage, prices) == {"prompt": 10, "cached_read": 60, "cached_write": 30, "completion": 5}


def test_deepseek_running_out_of_machines_is_a_failure_that_another_endpoint_may_mend() -> None:
    with pytest.raises(UpstreamError, match="insufficient_system_resource") as caught:
        adapter_for("deepseek").parse_answer(case("deepseek", "finish_insufficient_resource").answer)
    assert (caught.value.kind, caught.value.retryable) == ("unavailable", True)


def test_deepseek_gets_its_thoughts_back() -> None:
    turn = {"role": "assistant", "content": "4", "reasoning": "Two and two."}
    messages = [*HELLO["messages"], turn, *HELLO["messages"]]
    assert body_of("deepseek", messages=messages)["messages"][1]["reasoning_content"] == "Two and two."
    assert "reasoning_content" not in body_of("openai_chat", messages=messages)["messages"][1]


def test_coheres_tool_calls_are_an_object_in_a_stream_and_a_list_at_the_end() -> None:
    streamed, whole = case("cohere", "stream_tool_call"), case("cohere", "tool_call")
    assert b'"tool_calls":{"id"' in streamed.answer
    assert b'"tool_calls": [{"id"' in whole.answer
    got = joined(stream("cohere", streamed.answer))
    assert got["tool_calls"] == joined([adapter_for("cohere").parse_answer(whole.answer)])["tool_calls"] != []


def test_cohere_bills_fewer_tokens_than_it_counts() -> None:
    usage = joined([adapter_for("cohere").parse_answer(case("cohere", "text").answer)])["usage"]
    assert usage == Usage(21, 7)  # usage.tokens says 94 and 9


def test_bedrock_begins_a_text_with_nothing_and_brings_the_usage_after_the_end() -> None:
    answer = case("bedrock_converse", "stream_text").answer
    assert b"contentBlockStart" not in answer
    chunks = stream("bedrock_converse", answer)
    assert [chunk.text for chunk in chunks] == ["Hi", " there.", "", ""]
    assert chunks[2].finish_reason == "stop"
    assert chunks[3].usage == Usage(21, 7)


def test_groq_tells_the_usage_twice_and_it_counts_once() -> None:
    answer = case("groq", "stream_text").answer
    assert answer.count(b'"completion_tokens":7') + answer.count(b'"completion_tokens": 7') >= 2
    usages = [chunk.usage for chunk in stream("groq", answer) if chunk.usage]
    assert {(usage.prompt_tokens, usage.completion_tokens) for usage in usages} == {(21, 7)}
    assert "stream_options" not in body_of("groq", stream=True)


def test_mistral_gets_no_field_that_it_does_not_know() -> None:
    odd = {"made_up": 1, "top_k": 4, "user": "u", "logprobs": True, "seed": 7, "stream": True}
    known = {"model", "messages", "random_seed", "stream"}
    assert body_of("mistral", **odd).keys() == known
    assert "made_up" in body_of("generic", **odd)


def test_vllm_sends_an_empty_list_of_tool_calls_and_means_none() -> None:
    got = plain("generic", **chat({"content": "4", "tool_calls": []}, COUNTS))
    assert (got["tool_calls"], got["finish_reason"]) == ([], "stop")
    event = {"choices": [{"index": 0, "delta": {"content": "4", "tool_calls": []}, "finish_reason": "stop"}]}
    assert joined(stream("nebius", b"data: " + json.dumps(event).encode() + b"\n\n"))["tool_calls"] == []


def test_dashscopes_finish_reason_is_the_word_null_until_the_end() -> None:
    answer = case("dashscope_native", "stream_text").answer
    assert answer.count(b'"finish_reason":"null"') == 2
    ends = [chunk.finish_reason for chunk in stream("dashscope_native", answer)]
    assert ends == [None, None, "stop"]


def test_dashscope_tells_the_status_of_an_error_in_a_comment_only() -> None:
    with pytest.raises(UpstreamError, match="inappropriate") as caught:
        stream("dashscope_native", case("dashscope_native", "stream_error").answer)
    error = caught.value
    assert (error.kind, error.retryable, error.status) == ("content_policy", False, 400)


def test_a_response_that_fails_in_its_stream_is_a_failure_that_another_endpoint_may_mend() -> None:
    with pytest.raises(UpstreamError, match="failed to generate") as caught:
        stream("openai_responses", case("openai_responses", "stream_failed").answer)
    assert (caught.value.kind, caught.value.retryable) == ("unavailable", True)
