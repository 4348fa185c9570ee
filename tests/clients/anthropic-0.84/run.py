"""Every scenario with Anthropic's official client; prints {scenario: what came of it} as JSON."""

import json
import os

import anthropic
from anthropic import Anthropic

MODEL, PICTURE = os.environ["MODEL"], os.environ["PICTURE"]
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {"name": "weather", "description": "The weather in a city.", "input_schema": CITY}


def client(key):
    return Anthropic(api_key=key, base_url=f"{os.environ['BASE_URL']}/api", max_retries=0)


claude = client(os.environ["TOKEN"])


def ask(content, *, by=claude, model=MODEL, **further):
    return by.messages.create(model=model, max_tokens=100, messages=[{"role": "user", "content": content}], **further)


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def plain():
    answer = ask("Say hello", system="Be brief.")
    return [text_of(answer), answer.stop_reason, answer.usage.output_tokens > 0]


def streaming():
    question = {"role": "user", "content": "Say hello"}
    with claude.messages.stream(model=MODEL, max_tokens=100, messages=[question]) as stream:
        pieces = list(stream.text_stream)
        whole = text_of(stream.get_final_message())
    return [whole, len(pieces) > 1 and "".join(pieces) == whole]


def tools():
    question = {"role": "user", "content": "How is the weather?"}
    with claude.messages.stream(model=MODEL, max_tokens=100, messages=[question], tools=[WEATHER]) as stream:
        called = stream.get_final_message()
    calls = [block for block in called.content if block.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "rain"} for call in calls]
    turns = [question, {"role": "assistant", "content": called.content}, {"role": "user", "content": results}]
    answer = claude.messages.create(model=MODEL, max_tokens=100, messages=turns, tools=[WEATHER])
    return [[call.input["city"] for call in calls], text_of(answer)]


def structured():
    answer = ask("Which city?", output_config={"format": {"type": "json_schema", "schema": CITY}})
    return json.loads(text_of(answer))["city"]


def images():
    source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    return text_of(ask([{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}]))


def wrong_key():
    try:
        ask("Say hello", by=client("sk-tp-v1-wrong"))
    except anthropic.AuthenticationError as error:
        return [error.status_code, error.body["error"]["type"]]


def unknown_model():
    try:
        ask("Say hello", model="acme/none")
    except anthropic.APIStatusError as error:
        return [error.status_code, "acme/none" in error.message]


def counts():
    question = {"role": "user", "content": "Say hello"}
    return claude.messages.count_tokens(model=MODEL, messages=[question]).input_tokens > 0


SCENARIOS = (plain, streaming, tools, structured, images, wrong_key, unknown_model, counts)


def outcome(scenario):
    try:
        return scenario()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


print(json.dumps({scenario.__name__: outcome(scenario) for scenario in SCENARIOS}))
