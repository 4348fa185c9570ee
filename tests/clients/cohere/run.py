"""Every scenario with Cohere's official client; prints {scenario: what came of it} as JSON."""

import json
import os

import cohere
from cohere.core.api_error import ApiError

MODEL, PICTURE = os.environ["MODEL"], f"data:image/png;base64,{os.environ['PICTURE']}"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "weather", "description": "The weather in a city.", "parameters": CITY}
TOOLS = [{"type": "function", "function": WEATHER}]


def client(key):
    return cohere.ClientV2(api_key=key, base_url=f"{os.environ['BASE_URL']}/api")


ours = client(os.environ["TOKEN"])


def user(content):
    return {"role": "user", "content": content}


def text_of(answer):
    return "".join(block.text for block in answer.message.content if block.type == "text")


def plain():
    answer = ours.chat(model=MODEL, messages=[{"role": "system", "content": "Be brief."}, user("Say hello")])
    return [text_of(answer), answer.finish_reason, answer.usage.billed_units.output_tokens > 0]


def streaming():
    events = list(ours.chat_stream(model=MODEL, messages=[user("Say hello")]))
    pieces = [event.delta.message.content.text for event in events if event.type == "content-delta"]
    return ["".join(pieces), len(pieces) > 1 and events[-1].delta.usage.billed_units.output_tokens > 0]


def tools():
    question = user("How is the weather?")
    calls = []
    for event in ours.chat_stream(model=MODEL, messages=[question], tools=TOOLS):
        if event.type == "tool-call-start":
            calls.append(event.delta.message.tool_calls)
        elif event.type == "tool-call-delta":
            calls[-1].function.arguments += event.delta.message.tool_calls.function.arguments
    results = [{"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in calls]
    turns = [question, {"role": "assistant", "tool_calls": calls}, *results]
    answer = ours.chat(model=MODEL, messages=turns, tools=TOOLS)
    return [[json.loads(call.function.arguments)["city"] for call in calls], text_of(answer)]


def structured():
    form = {"type": "json_object", "json_schema": CITY}
    return json.loads(text_of(ours.chat(model=MODEL, messages=[user("Which city?")], response_format=form)))["city"]


def images():
    words, picture = {"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PICTURE}}
    return text_of(ours.chat(model=MODEL, messages=[user([words, picture])]))


def wrong_key():
    try:
        client("sk-tp-v1-wrong").chat(model=MODEL, messages=[user("Say hello")])
    except cohere.UnauthorizedError as error:
        return [error.status_code, error.body["error_type"]]


def unknown_model():
    try:
        ours.chat(model="acme/none", messages=[user("Say hello")])
    except ApiError as error:
        return [error.status_code, "acme/none" in error.body["message"]]


SCENARIOS = (plain, streaming, tools, structured, images, wrong_key, unknown_model)


def outcome(scenario):
    try:
        return scenario()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


print(json.dumps({scenario.__name__: outcome(scenario) for scenario in SCENARIOS}))
