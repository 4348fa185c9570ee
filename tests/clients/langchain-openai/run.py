"""Every scenario with LangChain's client for OpenAI's chat; prints {scenario: what came of it} as JSON."""

import json
import os

import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

PICTURE = f"data:image/png;base64,{os.environ['PICTURE']}"


class City(BaseModel):
    city: str


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return "rain"


def chat(*, key=os.environ["TOKEN"], model=os.environ["MODEL"]):
    url = f"{os.environ['BASE_URL']}/api/v1"
    return ChatOpenAI(api_key=key, model=model, base_url=url, max_retries=0, stream_usage=True)


def plain():
    answer = chat().invoke([("system", "Be brief."), ("user", "Say hello")])
    return [answer.content, answer.response_metadata["finish_reason"], answer.usage_metadata["output_tokens"] > 0]


def streaming():
    chunks = list(chat().stream("Say hello"))
    pieces = [chunk.content for chunk in chunks if chunk.content]
    whole = sum(chunks[1:], chunks[0])
    return [whole.content, len(pieces) > 1 and whole.usage_metadata["output_tokens"] > 0]


def tools():
    asker, question = chat().bind_tools([weather]), HumanMessage("How is the weather?")
    chunks = list(asker.stream([question]))
    called = sum(chunks[1:], chunks[0])
    results = [ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]) for call in called.tool_calls]
    answer = asker.invoke([question, called, *results])
    return [[call["args"]["city"] for call in called.tool_calls], answer.content]


def structured():
    return chat().with_structured_output(City).invoke("Which city?").city


def images():
    words, picture = {"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PICTURE}}
    return chat().invoke([HumanMessage([words, picture])]).content


def wrong_key():
    try:
        chat(key="sk-tp-v1-wrong").invoke("Say hello")
    except openai.AuthenticationError as error:
        return [error.status_code, error.body["code"]]


def unknown_model():
    try:
        chat(model="acme/none").invoke("Say hello")
    except openai.APIStatusError as error:
        return [error.status_code, "acme/none" in error.message]


SCENARIOS = (plain, streaming, tools, structured, images, wrong_key, unknown_model)


def outcome(scenario):
    try:
        return scenario()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


print(json.dumps({scenario.__name__: outcome(scenario) for scenario in SCENARIOS}))
