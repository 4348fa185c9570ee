"""Every scenario with Mistral's official client; prints {scenario: what came of it} as JSON."""

import json
import os

from mistralai.client import Mistral
from mistralai.client.errors import SDKError
from pydantic import BaseModel

MODEL, PICTURE = os.environ["MODEL"], f"data:image/png;base64,{os.environ['PICTURE']}"


class City(BaseModel):
    city: str


WEATHER = {"name": "weather", "description": "The weather in a city.", "parameters": City.model_json_schema()}
TOOLS = [{"type": "function", "function": WEATHER}]


def client(key):
    return Mistral(api_key=key, server_url=f"{os.environ['BASE_URL']}/api")


mistral = client(os.environ["TOKEN"])


def user(content):
    return {"role": "user", "content": content}


def plain():
    turns = [{"role": "system", "content": "Be brief."}, user("Say hello")]
    answer = mistral.chat.complete(model=MODEL, messages=turns, max_tokens=50)
    [choice] = answer.choices
    return [choice.message.content, choice.finish_reason, answer.usage.completion_tokens > 0]


def streaming():
    with mistral.chat.stream(model=MODEL, messages=[user("Say hello")]) as stream:
        chunks = [event.data for event in stream]
    pieces = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    return ["".join(pieces), len(pieces) > 1 and chunks[-1].usage.completion_tokens > 0]


def tools():
    turns = [user("How is the weather?")]
    called = mistral.chat.complete(model=MODEL, messages=turns, tools=TOOLS, tool_choice="any").choices[0].message
    results = [
        {"role": "tool", "name": call.function.name, "tool_call_id": call.id, "content": "rain"}
        for call in called.tool_calls
    ]
    answer = mistral.chat.complete(model=MODEL, messages=[*turns, called, *results], tools=TOOLS)
    cities = [json.loads(call.function.arguments)["city"] for call in called.tool_calls]
    return [cities, answer.choices[0].message.content]


def structured():
    answer = mistral.chat.parse(City, model=MODEL, messages=[user("Which city?")])
    return answer.choices[0].message.parsed.city


def images():
    question = user([{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": PICTURE}])
    return mistral.chat.complete(model=MODEL, messages=[question]).choices[0].message.content


def wrong_key():
    try:
        client("sk-tp-v1-wrong").chat.complete(model=MODEL, messages=[user("Say hello")])
    except SDKError as error:
        return [error.status_code, json.loads(error.body)["error"]["code"]]


def unknown_model():
    try:
        mistral.chat.complete(model="acme/none", messages=[user("Say hello")])
    except SDKError as error:
        return [error.status_code, "acme/none" in error.message]


SCENARIOS = (plain, streaming, tools, structured, images, wrong_key, unknown_model)


def outcome(scenario):
    try:
        return scenario()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


print(json.dumps({scenario.__name__: outcome(scenario) for scenario in SCENARIOS}))
