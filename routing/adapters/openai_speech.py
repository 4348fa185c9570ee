"""Speech as OpenAI and its alikes have it: POST /audio/speech, sound as it is."""

from typing import Final

from routing.adapters.base import HttpRequest, Target
from routing.adapters.exchanges import Refusals, post_json
from routing.canonical import Json
from routing.operations.speech import SpeechRequest

# The API wants one; it is the first of OpenAI's list.
DEFAULT_VOICE: Final = "alloy"


class OpenAISpeech(Refusals):
    """One row of differences: the voice where the caller names none, and whether instructions are known."""

    def __init__(self, *, voice: str | None = DEFAULT_VOICE, takes_instructions: bool = True) -> None:
        self._voice = voice
        self._takes_instructions = takes_instructions

    def build(self, request: SpeechRequest, *, target: Target) -> HttpRequest:
        """The whole text at once."""
        body: dict[str, Json] = {
            "model": target.upstream,
            "input": request.text,
            "response_format": request.format,
        }
        if voice := request.voice or self._voice:
            body["voice"] = voice
        if request.speed is not None:
            body["speed"] = request.speed
        if request.instructions is not None and self._takes_instructions:
            body["instructions"] = request.instructions
        return post_json(target, "/audio/speech", body, accept="*/*")

    def parse_answer(self, body: bytes) -> bytes:
        """Sound is what it is."""
        return body


SPEECH: Final = OpenAISpeech()
PLAIN: Final = OpenAISpeech(voice=None, takes_instructions=False)
