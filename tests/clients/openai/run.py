"""Every scenario with OpenAI's official client; prints {scenario: what came of it} as JSON.

`run.py chat` asks through Chat Completions, `run.py responses` through Responses.
"""

import json
import os
import sys

import openai
from openai import OpenAI
from pydantic import BaseModel

MODEL, PICTURE = os.environ["MODEL"], f"data:image/png;base64,{os.environ['PICTURE']}"


class City(BaseModel):
    city: str


PARAMETERS = {**City.model_json_schema(), "additionalProperties": False}
WEATHER = {"name": "weather", "description": "The weather in a city.", "parameters": PARAMETERS, "strict": True}


def client(key):
    return OpenAI(api_key=key, base_url=f"{os.environ['BASE_URL']}/api/v1", max_retries=0)


ours, stranger = client(os.environ["TOKEN"]), client("sk-tp-v1-wrong")


class Chat:
    """Chat Completions."""

    def ask(self, content, *, by=ours, model=MODEL, **further):
        return by.chat.completions.create(model=model, messages=[{"role": "user", "content": content}], **further)

    def plain(self):
        answer = self.ask("Say hello", max_completion_tokens=50)
        [choice] = answer.choices
        return [choice.message.content, choice.finish_reason, answer.usage.completion_tokens > 0]

    def streaming(self):
        chunks = list(self.ask("Say hello", stream=True, stream_options={"include_usage": True}))
        pieces = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
        return ["".join(pieces), len(pieces) > 1 and chunks[-1].usage.completion_tokens > 0]

    def tools(self):
        tools = [{"type": "function", "function": WEATHER}]
        turns = [{"role": "user", "content": "How is the weather?"}]
        with ours.chat.completions.stream(model=MODEL, messages=turns, tools=tools) as stream:
            called = stream.get_final_completion().choices[0].message
        results = [{"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in called.tool_calls]
        answer = ours.chat.completions.create(model=MODEL, messages=[*turns, called, *results], tools=tools)
        cities = [call.function.parsed_arguments["city"] for call in called.tool_calls]
        return [cities, answer.choices[0].message.content]

    def structured(self):
        turns = [{"role": "user", "content": "Which city?"}]
        return (
            ours.chat.completions.parse(model=MODEL, messages=turns, response_format=City)
            .choices[0]
            .message.parsed.city
        )

    def images(self):
        words, picture = {"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PICTURE}}
        return self.ask([words, picture]).choices[0].message.content


class Responses:
    """Responses, stateless as ours are."""

    def ask(self, content, *, by=ours, model=MODEL, **further):
        return by.responses.create(model=model, input=[{"role": "user", "content": content}], store=False, **further)

    def plain(self):
        answer = self.ask("Say hello", instructions="Be brief.")
        return [answer.output_text, answer.status, answer.usage.output_tokens > 0]

    def streaming(self):
        with ours.responses.stream(model=MODEL, input="Say hello", store=False) as stream:
            pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
            whole = stream.get_final_response().output_text
        return [whole, len(pieces) > 1 and "".join(pieces) == whole]

    def tools(self):
        tools, turns = [{"type": "function", **WEATHER}], [{"role": "user", "content": "How is the weather?"}]
        with ours.responses.stream(model=MODEL, input=turns, tools=tools, store=False) as stream:
            output = stream.get_final_response().output
        calls = [item for item in output if item.type == "function_call"]
        results = [{"type": "function_call_output", "call_id": call.call_id, "output": "rain"} for call in calls]
        answer = ours.responses.create(model=MODEL, input=[*turns, *output, *results], tools=tools, store=False)
        return [[json.loads(call.arguments)["city"] for call in calls], answer.output_text]

    def structured(self):
        return ours.responses.parse(model=MODEL, input="Which city?", text_format=City, store=False).output_parsed.city

    def images(self):
        words = {"type": "input_text", "text": "What is this?"}
        return self.ask([words, {"type": "input_image", "image_url": PICTURE, "detail": "auto"}]).output_text


api = {"chat": Chat, "responses": Responses}[sys.argv[1]]()


def wrong_key():
    try:
        api.ask("Say hello", by=stranger)
    except openai.AuthenticationError as error:
        return [error.status_code, error.body["code"]]


def unknown_model():
    try:
        api.ask("Say hello", model="acme/none")
    except openai.APIStatusError as error:
        return [error.status_code, "acme/none" in error.message]


SCENARIOS = (api.plain, api.streaming, api.tools, api.structured, api.images, wrong_key, unknown_model)


def outcome(scenario):
    try:
        return scenario()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


print(json.dumps({scenario.__name__: outcome(scenario) for scenario in SCENARIOS}))
