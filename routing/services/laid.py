"""A chat with a preset laid under it, and the preset named where what it adds keeps the chat from being served."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from marketplace.lib.errors import AppError
from routing.canonical import ChatRequest, ProviderPreferences

# What a body calls the preferences that have other names here.
CALLED: Final[Mapping[str, str]] = {
    "distillable": "enforce_distillable_text", "least_throughput": "preferred_min_throughput",
    "most_latency": "preferred_max_latency", "partition": "sort",
}  # fmt: skip
# What a request cannot take back by saying the opposite, as a preference that is not said is the same.
BINDS: Final = frozenset(
    {
        "provider.zdr", "provider.data_collection", "provider.enforce_distillable_text", "provider.require_parameters",
        "provider.allow_fallbacks",
    }
)  # fmt: skip
_ASKED: Final = frozenset({"model", "models"})  # these lead to all endpoints that were looked at
# A word of `excluded_by` or a kind of error -> the fields that can be why.
CAUSES: Final[Mapping[str, frozenset[str]]] = {
    "allowed_providers": frozenset({f"provider.{name}" for name in ("only", "ignore", "order", "allow_fallbacks")}),
    "data_policy:training": frozenset({"provider.data_collection"}),
    "data_policy:zdr": frozenset({"provider.zdr"}),
    "enforce_distillable_text": frozenset({"provider.enforce_distillable_text"}),
    "quantization": frozenset({"provider.quantizations"}),
    "max_price": frozenset({"provider.max_price"}),
    "context_length_exceeded": frozenset({"system_prompt", "tools"}),
    "max_tokens_exceeded": frozenset({"max_tokens"}),
    "payment_required": frozenset({"max_tokens"}),
    "permission_denied": frozenset({"system_prompt"}),
}


@dataclass(frozen=True, slots=True)
class Laid:
    """The request as it is to be served, the preset's short name ("" without one), and the fields that it added."""

    request: ChatRequest
    slug: str = ""
    adds: tuple[str, ...] = ()

    def explained(self, error: AppError) -> AppError:
        """The same error, which names the preset and what it adds where that can be why."""
        causes = [name for name in self.adds if name in self._possible(error)]
        if causes:
            error.message += f" {self._way_out(causes)}"
            error.metadata["preset"] = {"slug": self.slug, "fields": causes}
        return error

    def _possible(self, error: AppError) -> frozenset[str]:
        availability = error.metadata.get("availability", {})
        words = availability.get("excluded_by", ())
        if not availability and error.kind not in CAUSES:
            return frozenset()
        found = _ASKED.union(CAUSES.get(error.kind, ()), *(CAUSES.get(word, ()) for word in words))
        if "require_parameters" in words:
            found |= set(self.adds) - {"system_prompt"} - {name for one in CAUSES.values() for name in one}
            found |= {"tools"}
        return frozenset(found)

    def _way_out(self, causes: list[str]) -> str:
        usual = ", which is laid under every chat that names none," if self.slug == "default" else ""
        told = ", ".join(causes)
        say = "" if BINDS.intersection(causes) else f"say {told} in the request, or "
        return (
            f"The account's preset '{self.slug}'{usual} adds {told} here: {say}keep the preset without, or disable it "
            f"(page Presets, or PATCH /api/v1/presets/{self.slug})."
        )


def added(asked: ChatRequest, laid: ChatRequest, *, prompt: str) -> tuple[str, ...]:
    """What a preset with this system prompt added to a request, by the fields' names in a body."""
    usual = ProviderPreferences()
    whole = [name for name in ("model", "models", "max_tokens", "tools", "tool_choice", "reasoning", "response_format")
             if getattr(asked, name) != getattr(laid, name)]  # fmt: skip
    wishes = [
        f"provider.{CALLED.get(one.name, one.name)}"
        for one in dataclasses.fields(usual)
        if getattr(asked.preferences, one.name) != getattr(laid.preferences, one.name)
    ]
    more = [name for name in laid.parameters if name not in asked.parameters]
    return tuple(dict.fromkeys([*whole, *(["system_prompt"] if prompt else []), *more, *wishes]))
