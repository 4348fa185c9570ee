"""Code to paste: always `$TURNPIKE_API_KEY`, never a key (contracts, Isolation 4)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from marketplace.services.browse import Listing


def site_url(request: HttpRequest) -> str:
    """Where callers reach this site, without a slash at the end."""
    return str(settings.PUBLIC_URL).rstrip("/") or f"{request.scheme}://{request.get_host()}"


def chat_example(listings: Sequence[Listing]) -> str:
    """The model that a first chat names: one of a provider, as those are known by name, else one hosted here."""
    chatting = sorted((one for one in listings if one.chats), key=lambda one: one.is_hosted)
    return chatting[0].model.full_slug if chatting else "author/model"


def chat(model: str, *, site_url: str) -> dict[str, str]:
    """A streaming chat in curl, Python (openai) and JavaScript."""
    return {
        "curl": f"""curl -N {site_url}/api/v1/chat/completions \\
  -H "Authorization: Bearer $TURNPIKE_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{{
    "model": "{model}",
    "messages": [{{"role": "user", "content": "Say hello."}}],
    "stream": true
  }}'
""",
        "python": f"""import os
from openai import OpenAI

client = OpenAI(
    base_url="{site_url}/api/v1",
    api_key=os.environ["TURNPIKE_API_KEY"],
)
stream = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "Say hello."}}],
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="")
""",
        "javascript": f"""import OpenAI from "openai";

const client = new OpenAI({{
  baseURL: "{site_url}/api/v1",
  apiKey: process.env.TURNPIKE_API_KEY,
}});
const stream = await client.chat.completions.create({{
  model: "{model}",
  messages: [{{ role: "user", content: "Say hello." }}],
  stream: true,
}});
for await (const chunk of stream) {{
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}}
""",
    }


def prediction(model: str, version: str, *, example: Mapping[str, Any], site_url: str) -> dict[str, str]:
    """A prediction in curl, Python (replicate) and JavaScript; `example` is an input that the version takes."""
    body = json.dumps({"version": version, "input": example}, indent=2).replace("\n", "\n  ")
    quoted = body.replace("'", "'\\''")  # a publisher's own words may end the shell's string
    inputs = "".join(f"        {json.dumps(name)}: {_python(value)},\n" for name, value in example.items())
    return {
        "curl": f"""curl {site_url}/v1/predictions \\
  -H "Authorization: Bearer $TURNPIKE_API_KEY" \\
  -H "Content-Type: application/json" \\
  -H "Prefer: wait" \\
  -d '{quoted}'
""",
        "python": f"""import os
import replicate

client = replicate.Client(
    base_url="{site_url}",
    api_token=os.environ["TURNPIKE_API_KEY"],
)
output = client.run(
    "{model}:{version}",
    input={{
{inputs}    }},
)
print(output)
""",
        "javascript": f"""const response = await fetch("{site_url}/v1/predictions", {{
  method: "POST",
  headers: {{
    Authorization: `Bearer ${{process.env.TURNPIKE_API_KEY}}`,
    "Content-Type": "application/json",
    Prefer: "wait",
  }},
  body: JSON.stringify({body}),
}});
console.log((await response.json()).output);
""",
    }


def _python(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)
