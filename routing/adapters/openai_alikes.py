"""The providers that speak OpenAI's chat dialect with small differences: a row each, no code.

A name in `excluded` is one that the provider refuses or does not know; it is dropped silently unless
the caller asks for require_parameters. docs/adding-a-provider.md leads through adding a row.
"""

from typing import Final

from routing.adapters.dialect import Dialect
from routing.adapters.openai_compat import OpenAICompatible

# What only this gateway's callers and a few providers know.
OURS: Final = frozenset({"top_k", "top_a", "min_p", "repetition_penalty", "structured_outputs", "image_config"})
OPENAI_ONLY: Final = frozenset(
    {
        "prediction", "modalities", "audio", "verbosity", "service_tier", "metadata", "prompt_cache_key",
        "prompt_cache_options", "web_search_options", "cache_control",
    }
)  # fmt: skip
LOGPROBS: Final = frozenset({"logprobs", "top_logprobs"})
EFFORTS: Final = {"max": "high", "xhigh": "high", "minimal": "low"}

OPENAI_CHAT: Final = OpenAICompatible(
    Dialect(
        kind="openai_chat",
        excluded=OURS | {"cache_control"},
        renamed={"max_tokens": "max_completion_tokens"},
        has_developer_role=True,
        has_breakpoints=True,
        efforts={"max": "xhigh"},
    )
)
# `base_url` is the resource's endpoint (https://NAME.openai.azure.com), the model the deployment's name.
AZURE_OPENAI: Final = OpenAICompatible(
    Dialect(
        kind="azure_openai",
        path="/openai/deployments/{upstream}/chat/completions?api-version={api_version}",
        api_version="2024-10-21",
        key_header="api-key",
        excluded=OURS | {"cache_control", "prompt_cache_key", "prompt_cache_options", "web_search_options", "metadata"},
        renamed={"max_tokens": "max_completion_tokens"},
        has_developer_role=True,
        efforts={"max": "high", "xhigh": "high"},
    )
)
# vLLM, SGLang, Ollama, LM Studio, llama.cpp: they read what they know and leave the rest.
GENERIC: Final = OpenAICompatible(
    Dialect(
        kind="generic",
        excluded=OPENAI_ONLY | {"structured_outputs", "image_config", "top_a"},
        passes_unknown=True,
        efforts=EFFORTS,
    )
)
GROQ: Final = OpenAICompatible(
    Dialect(
        kind="groq",
        excluded=OURS | OPENAI_ONLY - {"service_tier"} | LOGPROBS | {"logit_bias"},
        renamed={"max_tokens": "max_completion_tokens"},
        asks_for_usage=False,
        takes_names=False,
        takes_strict_tools=False,
        reasoning_field="reasoning",
        efforts=EFFORTS,
    )
)
DEEPSEEK: Final = OpenAICompatible(
    Dialect(
        kind="deepseek",
        excluded=OURS | OPENAI_ONLY | {"logit_bias", "parallel_tool_calls", "seed", "user"},
        failed_finishes=frozenset({"insufficient_system_resource"}),
        takes_strict_tools=False,
        reasoning_field="reasoning_content",
        effort_field=None,
    )
)
TOGETHER: Final = OpenAICompatible(
    Dialect(
        kind="together",
        excluded=OPENAI_ONLY | {"top_a", "structured_outputs", "image_config", "parallel_tool_calls", "user"},
        asks_for_usage=False,
        finish_reasons={"eos": "stop"},
        takes_strict_tools=False,
        efforts=EFFORTS,
    )
)
FIREWORKS: Final = OpenAICompatible(
    Dialect(
        kind="fireworks",
        excluded=OPENAI_ONLY | {"top_a", "structured_outputs", "image_config"},
        asks_for_usage=False,
        takes_strict_tools=False,
        reasoning_field="reasoning_content",
        efforts=EFFORTS,
    )
)
NEBIUS: Final = OpenAICompatible(
    Dialect(
        kind="nebius",
        excluded=OPENAI_ONLY | {"top_a", "structured_outputs", "image_config"},
        efforts=EFFORTS,
    )
)
# Refuses every field that it does not know (422 extra_forbidden).
MISTRAL: Final = OpenAICompatible(
    Dialect(
        kind="mistral",
        excluded=OURS | OPENAI_ONLY - {"prediction"} | LOGPROBS | {"logit_bias", "user"},
        renamed={"seed": "random_seed"},
        asks_for_usage=False,
        finish_reasons={"model_length": "length"},
        takes_names=False,
        takes_strict_tools=False,
        tool_choices={"required": "any"},
        tool_id_length=9,
        has_document_parts=True,
        has_plain_sound=True,
        effort_field=None,
    )
)
XAI: Final = OpenAICompatible(
    Dialect(
        kind="xai",
        excluded=OURS | OPENAI_ONLY | {"logit_bias"},
        completion_excludes_reasoning=True,
        efforts={"max": "high", "xhigh": "high", "medium": "low", "minimal": "low"},
    )
)
QWEN_COMPATIBLE: Final = OpenAICompatible(
    Dialect(
        kind="qwen_compatible",
        excluded=OPENAI_ONLY - {"modalities", "audio"}
        | {"top_a", "min_p", "repetition_penalty", "structured_outputs", "image_config", "logit_bias", "user"},
        takes_strict_tools=False,
        has_sound_urls=True,
        effort_field=None,
        thinking_switch="enable_thinking",
        thinking_budget="thinking_budget",
    )
)
