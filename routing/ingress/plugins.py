"""The reference's `plugins`: what they would do here is done anyway, or is refused where its absence would mislead."""

from typing import Final

from routing.canonical import Json
from routing.ingress import fields

MAX_PLUGINS: Final = 50
# What an answer cannot have here: who asks for one of these would take an answer without for one with it.
MISSING: Final = {
    "web": "models answer from what they are sent; search yourself and send what you found",
    "web-fetch": "models answer from what they are sent; fetch the page and send it",
    "fusion": "one model answers; ask several and compare",
    "moderation": "nothing is judged beside the model; a guardrail can block and redact",
}


def require_served(value: Json) -> None:
    """Raise InvalidRequest for an enabled plugin of which there is none here. Documents are read without one."""
    if value is None:
        return
    if not isinstance(value, list) or len(value) > MAX_PLUGINS or not all(isinstance(one, dict) for one in value):
        raise fields.wrong("plugins", f"must be an array of at most {MAX_PLUGINS} objects")
    for place, one in enumerate(value):
        name = one.get("id") if isinstance(one, dict) and one.get("enabled") is not False else None
        if isinstance(name, str) and name in MISSING:
            raise fields.wrong(f"plugins[{place}].id", f"cannot be {name}: {MISSING[name]}")
