"""Every scenario with LiteLLM as a client of ours, as of OpenRouter; prints {scenario: what came of it} as JSON."""

import json
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it fetches its prices from elsewhere at its import

import litellm
from pydantic import BaseModel

litellm.suppress_debug_info = True  # it would be printed among what we print
PICTURE = f"data:image/png;base64,{os.environ['PICTURE']}"


class City(BaseModel):
    city: str


WEATHER = {"name": "weather", "description": "The weather in a city.", "parameters": City.model_json_schema()}
TOOLS = [{"type": "function", "function": WEATHER}]


def user(content):
    return {"role": "user", "content": content}


def ask(*messages, key=os.environ["TOKEN"], model=os.environ["MODEL"], **further):
    where = {"api_key": key, "api_base": f"{os.environ['BASE_URL']}/api/v1", "max_retries": 0}
    return litellm.completion(model=f"openrouter/{model}", messages=list(messages), **where, **further)


def plain():
    answer = ask({"role": "system", "content": "Be brief."}, user("Say hello"), max_tokens=50)
    [choice] = answer.choices
    return [choice.message.content, choice.finish_reason, answer.usage.completion_tokens > 0]


def streaming():
    chunks = list(ask(user("Say hello"), stream=True, stream_options={"include_usage": True}))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    return ["".join(pieces), len(pieces) > 1 and chunks[-1].usage.completion_tokens > 0]


def tools():
    question = user("How is the weather?")
    chunks = list(ask(question, tools=TOOLS, stream=True))
    called = litellm.stream_chunk_builder(chunks).choices[0].message
    # Read before the next call, which changes the message that it is given.
    cities = [json.loads(call.function.arguments)["city"] for call in called.tool_calls]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in called.tool_calls]
    return [cities, ask(question, called, *results, tools=TOOLS).choices[0].message.content]


def structured():
    return City.model_validate_json(ask(user("Which city?"), response_format=City).choices[0].message.content).city


def images():
    words, picture = {"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PICTURE}}
    return ask(user([words, picture])).choices[0].message.content


def wrong_key():
    try:
        ask(user("Say hello"), key="sk-tp-v1-wrong")
    except litellm.AuthenticationError as error:
        return [error.status_code, error.llm_provider]


def unknown_model():
    try:
        ask(user("Say hello"), model="acme/none")
    except (litellm.NotFoundError, litellm.BadRequestError) as error:
        return [error.status_code, "acme/none" in error.message]


SCENARIOS = (plain, streaming, tools, structured, images, wrong_key, unknown_model)


def outcome(scenario):
    try:
        return scenario()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


print(json.dumps({scenario.__name__: outcome(scenario) for scenario in SCENARIOS}))
