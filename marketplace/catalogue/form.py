"""What a catalogue file says, as typed data (docs/catalogue.md). Pure: no database."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from marketplace.lib import money, tariffs

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$")]
FullSlug = Annotated[str, StringConstraints(pattern=r"^~?[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._:-]*$")]
Modality = Literal["text", "image", "audio", "video", "file", "embeddings", "rerank", "speech", "transcription"]
Quantization = Literal[
    "int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown"
]
Category = Literal[
    "programming", "roleplay", "marketing", "marketing/seo", "technology", "science",
    "translation", "legal", "finance", "health", "trivia", "academia",
]  # fmt: skip
Tokenizer = Literal[
    "Router", "Media", "Other", "GPT", "Claude", "Gemini", "Gemma", "Grok", "Cohere", "Nova", "Qwen", "Yi", "DeepSeek",
    "Mistral", "Llama2", "Llama3", "Llama4", "PaLM", "RWKV", "Qwen3",
]  # fmt: skip

# How a price is written, by its key: dollars per million tokens, or per single thing.
PER_MILLION_TOKENS = frozenset(
    {
        "prompt",
        "completion",
        "cached_read",
        "cached_write",
        "cached_write_1h",
        "reasoning",
        "audio",
        "audio_output",
        "image_token",
        "image_output",
    }
)
PER_ONE = frozenset(
    {
        "image",
        "generated_image",
        "request",
        "page",
        "web_search",
        "search_unit",
        "audio_second",
        "video_second",
        "second",
        "character",
    }
)
# The names that OpenRouter's catalogue uses for the same things.
ALIASES = {
    "input_cache_read": "cached_read",
    "input_cache_write": "cached_write",
    "input_cache_write_1h": "cached_write_1h",
    "internal_reasoning": "reasoning",
}


class Form(BaseModel):
    """A part of the file; unknown keys are refused, so that a typing error is no silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_prices(given: Any, *, is_whole: bool = True) -> dict[str, int]:
    """Key -> dollars as text, to key -> nano-USD per million units; conditions as in `tariffs`. Raises ValueError.

    `is_whole` is False for a part of a table, whose keys need not fit together yet.
    """
    if not isinstance(given, dict):
        raise ValueError('write prices as a mapping, such as {prompt: "0.15", completion: "0.60"}')
    table = dict(_price(str(key), text) for key, text in given.items())
    if is_whole and (problems := tariffs.contradictions(table)):
        raise ValueError("; ".join(problems))
    return table


def _price(key: str, text: Any) -> tuple[str, int]:
    named, condition = tariffs.parse(key)
    unit = ALIASES.get(named, named)
    if unit not in PER_MILLION_TOKENS | PER_ONE:
        known = ", ".join(sorted(PER_MILLION_TOKENS | PER_ONE))
        raise ValueError(f"{named!r} is no price that we know: use {known}")
    if not isinstance(text, str):
        raise ValueError(f'{key}: write the price as a quoted string ("{text}"), so that no digit is lost')
    nano = money.price_per_million(text) if unit in PER_MILLION_TOKENS else money.price_per_unit(text)
    if nano < 0:
        raise ValueError(f"{key}: a price is not negative")
    return tariffs.key_of(unit, condition), nano


def write_price(key: str, nano: int) -> str:
    """The dollars that `read_prices` reads as this price."""
    if tariffs.unit_of(key) in PER_MILLION_TOKENS:
        return money.format_price_per_million(nano)
    return money.format_price_per_unit(nano)


class Modalities(Form):
    """What goes in and what comes out."""

    input: list[Modality] = Field(default=["text"], min_length=1)
    output: list[Modality] = Field(default=["text"], min_length=1)


class Offer(Form):
    """One model at one provider: an endpoint."""

    model: FullSlug
    upstream: str = Field(min_length=1, max_length=200)
    context_length: int = Field(gt=0)
    max_output: int | None = Field(default=None, gt=0)
    modalities: Modalities = Modalities()
    parameters: list[str] = []
    quantization: Quantization = "unknown"
    price: dict[str, int]
    cost: dict[str, int] = {}
    allow_loss: bool = False

    @field_validator("price", "cost", mode="before")
    @classmethod
    def _read(cls, given: Any) -> dict[str, int]:
        return read_prices(given)

    @model_validator(mode="after")
    def _sound(self) -> Offer:
        if not self.price:
            raise ValueError('price: name at least one price; a free model says prompt: "0"')
        if self.max_output is not None and self.max_output > self.context_length:
            raise ValueError(f"max_output {self.max_output} is more than context_length {self.context_length}")
        return self


class Policy(Form):
    """What the provider does with data."""

    trains: bool = False
    retains: bool = False
    retention_days: int | None = Field(default=None, ge=0)
    zdr: bool = False
    region: str = ""
    privacy_policy_url: str = ""
    terms_of_service_url: str = ""
    status_page_url: str = ""
    headquarters: str = ""
    datacenters: list[str] = []


class ProviderEntry(Form):
    """A provider with what it serves."""

    slug: Slug
    name: str = Field(min_length=1, max_length=200)
    dialect: str
    base_url: str = Field(pattern=r"^https?://[^\s/?#]+[^\s?#]*$", max_length=500)
    listing_url: str = Field(default="", pattern=r"^(https?://\S+)?$", max_length=500)
    credentials: dict[str, str] = {}
    policy: Policy = Policy()
    account: Slug | None = None
    simulated: bool = False
    disabled: bool = False
    models: list[Offer] = Field(default=[])


class Benchmarks(Form):
    """Scores from 0 to 100 that the operator vouches for, under Artificial Analysis' names."""

    intelligence: float | None = Field(default=None, ge=0, le=100)
    coding: float | None = Field(default=None, ge=0, le=100)
    agentic: float | None = Field(default=None, ge=0, le=100)


class DefaultParameters(Form):
    """Sampling that the model's author advises."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None


class ModelFacts(Form):
    """What is known of a model and cannot be read off its endpoints."""

    hugging_face_id: str | None = Field(default=None, max_length=200)
    instruct_type: str | None = Field(default=None, max_length=32)
    knowledge_cutoff: dt.date | None = None
    expiration_date: dt.date | None = None
    categories: list[Category] = []
    distillable: bool | None = None
    default_parameters: DefaultParameters | None = None
    benchmarks: Benchmarks = Benchmarks()


class ModelEntry(Form):
    """What is said of a model beyond its endpoints."""

    model: FullSlug
    name: str = Field(default="", max_length=200)
    description: str = ""
    tokenizer: Tokenizer = "Other"
    example: bool = False
    facts: ModelFacts = ModelFacts()


class Catalogue(Form):
    """The whole file."""

    providers: list[ProviderEntry] = []
    models: list[ModelEntry] = []
