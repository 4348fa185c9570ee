"""Models, endpoints and generations as the public reference writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from marketplace.lib import money, tariffs
from marketplace.models import Model, Provider
from marketplace.services.browse import Listing, Offer
from routing.canonical import Json
from routing.ingress.openai_chat_answers import dollars
from routing.models import Generation
from routing.selection.candidates import INSTANCE_MS
from routing.services import records
from routing.services.measured import Measured

# Our unit -> the reference's name of its price
PRICE_NAMES: Final = {
    "prompt": "prompt",
    "completion": "completion",
    "request": "request",
    "image": "image",
    "image_token": "image_token",
    "image_output": "image_output",
    "audio": "audio",
    "audio_output": "audio_output",
    "cached_read": "input_cache_read",
    "cached_write": "input_cache_write",
    "cached_write_1h": "input_cache_write_1h",
    "reasoning": "internal_reasoning",
    "web_search": "web_search",
    # Units that the reference has no name for go under our own.
    "generated_image": "generated_image",
    "search_unit": "search_unit",
    "character": "character",
    "audio_second": "audio_second",
    "video_second": "video_second",
    "hardware_ms": "hardware_ms",
}
POLICY_LINKS: Final = ("privacy_policy_url", "terms_of_service_url", "status_page_url", "headquarters", "datacenters")


def pricing(prices: Mapping[str, int]) -> dict[str, Json]:
    """Dollars for a single unit, as decimal strings; prices under a condition follow as `overrides`."""
    told: dict[str, Json] = {"prompt": "0", "completion": "0", **_named(prices)}
    conditional = tariffs.overrides(prices)
    if conditional:
        told["overrides"] = [{**_condition(condition), **_named(table)} for condition, table in conditional]
    return told


def _named(prices: Mapping[str, int]) -> dict[str, Json]:
    return {name: money.format_price_per_unit(prices[unit]) for unit, name in PRICE_NAMES.items() if unit in prices}


def _condition(condition: tariffs.Condition) -> dict[str, Json]:
    told: dict[str, Json] = {}
    if condition.min_prompt_tokens:
        told["min_prompt_tokens"] = condition.min_prompt_tokens
    if condition.window is not None:
        told["utc_start"], told["utc_end"] = condition.window
    return told


def architecture(model: Model) -> dict[str, Json]:
    """What goes in and what comes out."""
    inputs, outputs = model.input_modalities, model.output_modalities
    return {
        "modality": f"{'+'.join(inputs)}->{'+'.join(outputs)}",
        "input_modalities": inputs,
        "output_modalities": outputs,
        "tokenizer": model.tokenizer,
        "instruct_type": model.facts.get("instruct_type"),
    }


def aliased(listing: Listing, *, asked: str) -> dict[str, Json]:
    """A model as it was asked for: under `~author/family-latest` its row has that name, and says whose it is."""
    found = model(listing)
    if not asked.startswith("~"):
        return found
    return found | {"id": asked, "alias_target": {"name": listing.model.name, "slug": listing.model.full_slug}}


def model(listing: Listing) -> dict[str, Json]:
    """A row of GET /models."""
    row, best, facts = listing.model, listing.best, listing.model.facts
    supported = sorted({name for offer in listing.offers for name in offer.endpoint.parameters})
    return {
        "id": row.full_slug,
        "canonical_slug": row.full_slug,
        "name": row.name,
        "created": int(row.created_at.timestamp()),
        "description": row.description,
        "context_length": listing.context_length,
        "architecture": architecture(row),
        "pricing": pricing(best.prices if best else {}),
        "top_provider": {
            "context_length": best.endpoint.context_length if best else None,
            "max_completion_tokens": best.endpoint.max_output if best else None,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": supported,
        "supported_voices": None,
        "default_parameters": facts.get("default_parameters"),
        "hugging_face_id": facts.get("hugging_face_id"),
        "knowledge_cutoff": facts.get("knowledge_cutoff"),
        "expiration_date": facts.get("expiration_date"),
        "links": {"details": f"/api/v1/models/{row.full_slug}/endpoints"},
    }


def endpoint(
    listing: Listing, offer: Offer, *, measured: Measured | None = None, is_known: bool = False
) -> dict[str, Json]:
    """An entry of a model's endpoints; percentiles are for callers who are known, as in the reference."""
    seen = measured if is_known else None
    row, provider = offer.endpoint, offer.endpoint.provider
    return {
        "name": f"{provider.name} | {listing.model.full_slug}",
        "model_id": listing.model.full_slug,
        "model_name": listing.model.name,
        "provider_name": provider.name,
        "tag": provider.slug,
        "context_length": row.context_length,
        "max_completion_tokens": row.max_output,
        "max_prompt_tokens": None,
        "quantization": row.quantization,
        "pricing": pricing(offer.prices),
        "supported_parameters": sorted(row.parameters),
        "supports_implicit_caching": "cached_read" in offer.prices,
        "is_simulated": provider.is_simulated,
        "status": 0,
        "uptime_last_5m": measured.last_5m.uptime if measured else None,
        "uptime_last_30m": measured.last_30m.uptime if measured else None,
        "uptime_last_1d": measured.last_1d.uptime if measured else None,
        # Seconds to the first token, and tokens a second of the whole answer.
        "latency_last_30m": _percentiles(seen.last_30m.latency_s) if seen else None,
        "throughput_last_30m": _percentiles(seen.last_30m.throughput) if seen else None,
    }


def _percentiles(values: Mapping[int, float]) -> dict[str, float] | None:
    return {f"p{name}": round(value, 3) for name, value in values.items()} or None


def endpoints(
    listing: Listing, *, measured: Mapping[int, Measured] | None = None, is_known: bool = False
) -> dict[str, Json]:
    """A model with all its endpoints, the cheapest first."""
    row, seen = listing.model, measured or {}
    return {
        "id": row.full_slug,
        "name": row.name,
        "created": int(row.created_at.timestamp()),
        "description": row.description,
        "architecture": architecture(row),
        "endpoints": [
            endpoint(listing, offer, measured=seen.get(offer.endpoint.pk), is_known=is_known)
            for offer in listing.offers
        ],
    }


def provider(row: Provider) -> dict[str, Json]:
    """A row of GET /providers."""
    links = {name: row.policy.get(name) for name in POLICY_LINKS}
    return {"name": row.name, "slug": row.slug, "is_simulated": row.is_simulated, **links}


# The reference's words for our operations, where they differ.
API_TYPES: Final = {
    "chat": "completions",
    "speech": "tts",
    "transcriptions": "stt",
    "images": "image",
    "videos": "video",
}
# What the reference tells of generations and this installation has no word for.
_UNTOLD: Final = (
    "upstream_id", "app_id", "moderation_latency", "service_tier", "native_tokens_completion_images",
    "num_media_prompt", "num_media_completion", "num_input_audio_prompt", "num_search_results", "num_fetches",
    "web_search_engine", "external_user", "preset_id", "router", "user_agent", "http_referer", "workspace_id",
)  # fmt: skip


def routing(row: Generation) -> dict[str, Json] | None:
    """Why it went where it went: each endpoint's expected cost by its terms, in dollars, and the seed of the choice."""
    why = records.why(row)
    if why is None:
        return None
    return {
        "reason": why.sentence,
        "strategy": why.strategy or None,
        "model_reason": why.reason or None,
        "unknown_models": list(why.unknown),
        "seed": why.seed,
        "replays": why.replays,
        "endpoints": [
            {
                "provider_name": one.provider,
                "model": one.model,
                "selected": one.is_chosen,
                "state": one.state,
                "expected_cost": dollars(one.cost_nano),
                "terms": {name: dollars(nano) for name, nano in one.terms.items()},
                "expected_latency": round(one.first_token_s, 3),
                "expected_cached_tokens": one.cached_tokens,
                "expected_failure_percent": round(one.failure_percent, 2),
            }
            for one in why.weighed
        ],
        "excluded": [
            {"provider_name": one["provider"], "model": one["model"], "reason": one["reason"], "detail": one["detail"]}
            for one in why.excluded
        ],
    }


def generation(row: Generation) -> dict[str, Any]:
    """What GET /generation tells of one generation: counts and times, no words."""
    cost, discount = dollars(row.cost_nano), records.cache_discount(row)
    return {
        **dict.fromkeys(_UNTOLD),
        "id": row.public_id,
        "model": row.model or row.requested_model,
        "origin": "",
        "data_region": "global",
        "provider_name": row.provider.name if row.provider else None,
        "api_type": API_TYPES.get(row.operation, row.operation),
        "created_at": row.created_at.isoformat(),
        "status": row.status,
        "total_cost": cost,
        "usage": cost,
        "upstream_inference_cost": dollars(row.upstream_nano) if row.is_byok else None,
        "cache_discount": None if discount is None else dollars(discount),
        "is_byok": row.is_byok,
        "tokens_prompt": row.prompt_tokens,
        "tokens_completion": row.completion_tokens,
        "native_tokens_prompt": row.prompt_tokens,
        "native_tokens_completion": row.completion_tokens,
        "native_tokens_reasoning": row.reasoning_tokens,
        "native_tokens_cached": row.cached_tokens,
        "usage_source": row.usage_source or None,
        "latency": row.latency_ms,
        "generation_time": row.generation_ms,
        # Where the time that it ran is what was charged: in milliseconds, as its host measured it.
        **({"hardware_ms": row.units.get(INSTANCE_MS, 0)} if INSTANCE_MS in row.prices else {}),
        "streamed": row.streamed,
        "cancelled": row.status == Generation.Status.CANCELED,
        "finish_reason": row.finish_reason or None,
        "native_finish_reason": row.native_finish_reason or None,
        "session_id": row.session_id or None,
        "routing": routing(row),
        "provider_responses": [
            {
                "provider_name": attempt.provider_name,
                "model_permaslug": attempt.model,
                "endpoint_id": str(attempt.endpoint_id) if attempt.endpoint_id else None,
                "status": attempt.status_code or (200 if not attempt.error_kind else None),
                "error_type": attempt.error_kind or records.broke_off(attempt) or None,
                "latency": attempt.latency_ms,
                "is_byok": attempt.is_byok,
            }
            for attempt in row.attempts.all()
        ],
    }
