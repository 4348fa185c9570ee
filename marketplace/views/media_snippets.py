"""Code to paste for models that do not chat: curl for each operation, Python where OpenAI's client has it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

# What a model gives -> the address under /api/v1 and the body beside "model".
_JSON: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "embeddings": ("embeddings", {"input": "Say hello."}),
    "rerank": ("rerank", {"query": "Where is Paris?", "documents": ["Paris is in France.", "Rome is in Italy."]}),
    "speech": ("audio/speech", {"input": "Say hello.", "voice": "alloy", "response_format": "mp3"}),
    "image": ("images", {"prompt": "A gate at dusk"}),
    "video": ("videos", {"prompt": "A gate at dusk", "duration": 4}),
}
_CURL_MORE: Final[Mapping[str, str]] = {"speech": " \\\n  --output speech.mp3"}
# The call of OpenAI's client, and what is done with its answer.
_OPENAI: Final[Mapping[str, str]] = {
    "embeddings": """answer = client.embeddings.create(model="{model}", input="Say hello.")
print(len(answer.data[0].embedding))
""",
    "speech": """answer = client.audio.speech.create(
    model="{model}", input="Say hello.", voice="alloy", response_format="mp3"
)
answer.write_to_file("speech.mp3")
""",
    "transcription": """with open("speech.mp3", "rb") as sound:
    answer = client.audio.transcriptions.create(model="{model}", file=sound)
print(answer.text)
""",
    "image": """answer = client.images.generate(model="{model}", prompt="A gate at dusk")
with open("image.png", "wb") as picture:
    picture.write(base64.b64decode(answer.data[0].b64_json))
""",
}


def operation(model: str, *, outputs: Collection[str], site_url: str) -> dict[str, str]:
    """The first operation that gives one of the outputs, in curl and perhaps Python; empty where there is none."""
    given = next((one for one in (*_JSON, "transcription") if one in outputs), None)
    if given is None:
        return {}
    found = {"curl": _curl(model, given, site_url)}
    if given in _OPENAI:
        found["python"] = _python(model, given, site_url)
    return found


def _curl(model: str, given: str, site_url: str) -> str:
    key = '-H "Authorization: Bearer $TURNPIKE_API_KEY"'
    if given == "transcription":
        form = f"-F model={model} \\\n  -F file=@speech.mp3"
        return f"curl {site_url}/api/v1/audio/transcriptions \\\n  {key} \\\n  {form}\n"
    path, fields = _JSON[given]
    body = json.dumps({"model": model} | dict(fields), indent=2).replace("\n", "\n  ")
    sent = f"curl {site_url}/api/v1/{path} \\\n  {key} \\\n  -H \"Content-Type: application/json\" \\\n  -d '{body}'"
    then = "\n# It answers at once with an id; ask how far it is, then fetch it:\n"
    then += f"curl {site_url}/api/v1/videos/$ID {key}\n"
    then += f"curl {site_url}/api/v1/videos/$ID/content {key} --output film.mp4"
    return sent + _CURL_MORE.get(given, "") + (then if given == "video" else "") + "\n"


def _python(model: str, given: str, site_url: str) -> str:
    imports = "import base64\nimport os\n" if given == "image" else "import os\n"
    client = f'client = OpenAI(\n    base_url="{site_url}/api/v1",\n    api_key=os.environ["TURNPIKE_API_KEY"],\n)\n'
    return f"{imports}\nfrom openai import OpenAI\n\n{client}" + _OPENAI[given].replace("{model}", model)
