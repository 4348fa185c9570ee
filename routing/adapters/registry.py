"""Every provider dialect, by the name that a provider's row stores."""

from functools import cache
from importlib import import_module
from typing import Final, cast

from routing.adapters.base import Adapter

ADAPTERS: Final[dict[str, str]] = {
    "openai_chat": "routing.adapters.openai_alikes.OPENAI_CHAT",
    "generic": "routing.adapters.openai_alikes.GENERIC",
    "groq": "routing.adapters.openai_alikes.GROQ",
    "deepseek": "routing.adapters.openai_alikes.DEEPSEEK",
    "together": "routing.adapters.openai_alikes.TOGETHER",
    "fireworks": "routing.adapters.openai_alikes.FIREWORKS",
    "nebius": "routing.adapters.openai_alikes.NEBIUS",
    "mistral": "routing.adapters.openai_alikes.MISTRAL",
    "xai": "routing.adapters.openai_alikes.XAI",
    "qwen_compatible": "routing.adapters.openai_alikes.QWEN_COMPATIBLE",
    "anthropic": "routing.adapters.anthropic.adapter.ANTHROPIC",
    "gemini": "routing.adapters.gemini.adapter.GEMINI",
}


@cache
def adapter_for(kind: str) -> Adapter:
    """The adapter of a dialect, imported on first use. Raises KeyError for a dialect that we do not speak."""
    module, _, name = ADAPTERS[kind].rpartition(".")
    return cast(Adapter, getattr(import_module(module), name))
