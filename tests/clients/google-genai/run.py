"""Every scenario with Google's official client; prints {scenario: what came of it} as JSON."""

import base64
import json
import os

from google import genai
from google.genai import errors, types
from pydantic import BaseModel

MODEL, PICTURE = os.environ["MODEL"], os.environ["PICTURE"]


class City(BaseModel):
    city: str


def client(key):
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=f"{os.environ['BASE_URL']}/api"))


google = client(os.environ["TOKEN"])


def plain():
    config = types.GenerateContentConfig(max_output_tokens=50, system_instruction="Be brief.")
    answer = google.models.generate_content(model=MODEL, contents="Say hello", config=config)
    return [answer.text, answer.candidates[0].finish_reason.value, answer.usage_metadata.total_token_count > 0]


def streaming():
    pieces = list(google.models.generate_content_stream(model=MODEL, contents="Say hello"))
    return ["".join(piece.text or "" for piece in pieces), len(pieces) > 1]


def tools():
    asked = []

    def weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "rain"

    config = types.GenerateContentConfig(tools=[weather])
    answer = google.models.generate_content(model=MODEL, contents="How is the weather?", config=config)
    return [asked, answer.text]


def structured():
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=City)
    return google.models.generate_content(model=MODEL, contents="Which city?", config=config).parsed.city


def images():
    picture = types.Part.from_bytes(data=base64.b64decode(PICTURE), mime_type="image/png")
    return google.models.generate_content(model=MODEL, contents=["What is this?", picture]).text


def wrong_key():
    stranger = client("sk-tp-v1-wrong")  # kept: a client that nobody holds closes itself
    try:
        stranger.models.generate_content(model=MODEL, contents="Say hello")
    except errors.ClientError as error:
        return [error.code, error.status]


def unknown_model():
    try:
        google.models.generate_content(model="acme/none", contents="Say hello")
    except errors.ClientError as error:
        return [error.code, "acme/none" in error.message]


def counts():
    return google.models.count_tokens(model=MODEL, contents="Say hello").total_tokens > 0


SCENARIOS = (plain, streaming, tools, structured, images, wrong_key, unknown_model, counts)


def outcome(scenario):
    try:
        return scenario()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


print(json.dumps({scenario.__name__: outcome(scenario) for scenario in SCENARIOS}))
