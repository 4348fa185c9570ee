"""Every provider dialect, by the name that a provider's row stores."""

from functools import cache
from importlib import import_module
from typing import Any, Final, cast

from routing.adapters.base import Adapter, Exchange, LongExchange
from routing.operations.videos import Job, VideoRequest

ADAPTERS: Final[dict[str, str]] = {
    "openai_chat": "routing.adapters.openai_alikes.OPENAI_CHAT",
    "openai_responses": "routing.adapters.openai_responses.adapter.OPENAI_RESPONSES",
    "azure_openai": "routing.adapters.openai_alikes.AZURE_OPENAI",
    "generic": "routing.adapters.openai_alikes.GENERIC",
    "groq": "routing.adapters.openai_alikes.GROQ",
    "deepseek": "routing.adapters.openai_alikes.DEEPSEEK",
    "together": "routing.adapters.openai_alikes.TOGETHER",
    "fireworks": "routing.adapters.openai_alikes.FIREWORKS",
    "nebius": "routing.adapters.openai_alikes.NEBIUS",
    "mistral": "routing.adapters.openai_alikes.MISTRAL",
    "xai": "routing.adapters.openai_alikes.XAI",
    "qwen_compatible": "routing.adapters.openai_alikes.QWEN_COMPATIBLE",
    "dashscope_native": "routing.adapters.dashscope.adapter.DASHSCOPE",
    "cohere": "routing.adapters.cohere.adapter.COHERE",
    "bedrock_converse": "routing.adapters.bedrock.adapter.BEDROCK",
    "anthropic": "routing.adapters.anthropic.adapter.ANTHROPIC",
    "gemini": "routing.adapters.gemini.adapter.GEMINI",
}
# What is no chat: operation -> dialect -> where its exchange is.
EXCHANGES: Final[dict[str, dict[str, str]]] = {
    "embeddings": {
        **dict.fromkeys(
            ("openai_chat", "generic", "together", "fireworks", "nebius", "qwen_compatible"),
            "routing.adapters.openai_embeddings.EMBEDDINGS",
        ),
        "mistral": "routing.adapters.openai_embeddings.MISTRAL",
        "cohere": "routing.adapters.cohere_embeddings.EMBEDDINGS",
        "gemini": "routing.adapters.gemini_embeddings.EMBEDDINGS",
    },
    "rerank": {
        # OpenAI itself ranks nothing; servers that copy its API do, at the path that Jina's has.
        **dict.fromkeys(("openai_chat", "generic", "together", "fireworks"), "routing.adapters.openai_rerank.RERANK"),
        "cohere": "routing.adapters.cohere_rerank.RERANK",
    },
    "speech": {
        "openai_chat": "routing.adapters.openai_speech.SPEECH",
        **dict.fromkeys(("generic", "together", "groq"), "routing.adapters.openai_speech.PLAIN"),
    },
    "transcription": {
        **dict.fromkeys(
            ("openai_chat", "generic", "together", "groq", "fireworks"),
            "routing.adapters.openai_transcriptions.TRANSCRIPTIONS",
        ),
        "mistral": "routing.adapters.openai_transcriptions.MISTRAL",
    },
    "images": {
        "openai_chat": "routing.adapters.openai_images.OPENAI",
        **dict.fromkeys(("generic", "nebius"), "routing.adapters.openai_images.GENERIC"),
        "xai": "routing.adapters.openai_images.XAI",
        "together": "routing.adapters.openai_images.TOGETHER",
    },
    "videos": dict.fromkeys(("openai_chat", "generic"), "routing.adapters.openai_videos.VIDEOS"),
}
DIALECTS: Final = frozenset(ADAPTERS).union(*EXCHANGES.values())


def dialects_of(operation: str) -> frozenset[str]:
    """The dialects that have an operation: "chat", or one of EXCHANGES."""
    return frozenset(ADAPTERS if operation == "chat" else EXCHANGES[operation])


@cache
def exchange_for(operation: str, kind: str) -> Exchange[Any, Any]:
    """The exchange of an operation in a dialect, imported on first use. Raises KeyError where it has none."""
    module, _, name = EXCHANGES[operation][kind].rpartition(".")
    return cast("Exchange[Any, Any]", getattr(import_module(module), name))


def film_exchange_for(kind: str) -> LongExchange[VideoRequest, Job]:
    """The exchange for films in a dialect. Raises KeyError where it has none."""
    return cast("LongExchange[VideoRequest, Job]", exchange_for("videos", kind))


@cache
def adapter_for(kind: str) -> Adapter:
    """The adapter of a dialect, imported on first use. Raises KeyError for a dialect that we do not speak."""
    module, _, name = ADAPTERS[kind].rpartition(".")
    return cast(Adapter, getattr(import_module(module), name))
