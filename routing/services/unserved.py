"""The refusal of a request that no endpoint can serve: what keeps each, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from marketplace.lib.errors import AppError, InvalidRequest, NotFound
from marketplace.models import Model
from routing.selection.candidates import Need
from routing.selection.filters import Exclusion
from routing.services.routes import models_that

EXCLUDED_SHOWN: Final = 20
_REASONS_TOLD: Final = 3
_PROVIDERS_TOLD: Final = 3  # by name with each reason
_CHOICE: Final = "allowed_providers"
_PRICE: Final = "max_price"
_LENGTH: Final = "context_length"
# What a model gives -> where it is asked for.
_PATHS: Final[Mapping[str, str]] = {
    "text": "chat/completions", "image": "images", "embeddings": "embeddings", "rerank": "rerank",
    "speech": "audio/speech", "transcription": "audio/transcriptions", "video": "videos",
}  # fmt: skip


def nothing_fits(
    names: Sequence[str], need: Need, excluded: Sequence[Exclusion], *, account_id: int, for_free: bool = False
) -> AppError:
    """The error to be raised: a 404 whose metadata have each endpoint with its reason, its message what they share.

    A model that takes predictions is a 400 with the reference's code wrong_endpoint, and so is a request that only
    asks for too many tokens (decision 0033). `for_free`: the name ended in
    `:free`, so that a limit of price is not the caller's own word.
    """
    hosted = [] if excluded else _hosted(names, account_id=account_id)
    if hosted:
        message = (
            f"{hosted[0]} answers no such request: it is hosted here and takes predictions. "
            f"Use POST /v1/models/{hosted[0]}/predictions."
        )
        return InvalidRequest(message, metadata=_metadata(names, (), code="wrong_endpoint"))
    if not excluded:
        message = f"No endpoint serves {', '.join(names)} at the moment."
        return NotFound(
            message + _instead(need, account_id=account_id), metadata=_metadata(names, (), code="no_endpoints")
        )
    if long := [one for one in excluded if one.reason == _LENGTH]:
        return _too_long(names, need, long, excluded)
    message = f"No endpoint of {', '.join(names)} can serve this request as asked. {_reasons(excluded)}."
    message += _there_are(excluded)
    if for_free and all(one.reason == _PRICE for one in excluded):
        message = f"No endpoint serves {', '.join(names)} free of charge: ask for it without ':free'."
    if all(_is_of_another_kind(one, need) for one in excluded):
        message += _elsewhere(names, need, excluded) + _instead(need, account_id=account_id)
    return NotFound(message, metadata=_metadata(names, excluded, code="constraint_filtered"))


def untried(requested: str, *, strategy: str, excluded: Sequence[Exclusion]) -> dict[str, object]:
    """The reference's `openrouter_metadata` of a request that went to no endpoint."""
    return {
        "requested": requested,
        "strategy": strategy,
        "region": None,
        "summary": f"available=0, excluded={len(excluded)}, selected=none",
        "attempt": 0,
        "is_byok": False,
        "endpoints": {"total": len(excluded), "available": []},
    }


def _too_long(
    names: Sequence[str], need: Need, long: Sequence[Exclusion], excluded: Sequence[Exclusion]
) -> InvalidRequest:
    """The 400 where endpoints would serve the request were it shorter, in words that clients know a full context by."""
    fitting = [one.candidate for one in long if need.input_estimate <= one.candidate.context_length]
    if fitting:
        kind, field = "max_tokens_exceeded", "max_tokens"
        message = (
            f"max_tokens is too large: {need.max_tokens} are asked for, and {', '.join(names)} can give at most "
            f"{max(one.most_output() for one in fitting)} tokens here. Ask for fewer, or another model."
        )
    else:
        kind, field = "context_length_exceeded", "input"
        message = (
            f"The prompt is too long ({kind}): about {need.input_estimate} tokens, and the maximum context length is "
            f"{max(one.candidate.context_length for one in long)} tokens ({', '.join(names)}). Shorten it, or ask a "
            f"model that takes more: GET /api/v1/models?context={need.input_estimate} lists them."
        )
    others = [one for one in excluded if one.reason != _LENGTH]
    told = f" Endpoints with other reasons: {_reasons(others)}." if others else ""
    metadata = _metadata(names, excluded, code="constraint_filtered", constraint={"field": field, "detail": message})
    return InvalidRequest(message + told, metadata=metadata, error_type=kind)


def not_distillable(names: Sequence[str]) -> NotFound:
    """The 404 for `enforce_distillable_text`, to be raised, where no author of the models permits it."""
    verb = "does" if len(names) == 1 else "do"
    return NotFound(
        f"{', '.join(names)} {verb} not let others learn from the texts, and provider.enforce_distillable_text asks "
        "for it. GET /api/v1/models?distillable=true lists those that do.",
        metadata={"availability": {
            "code": "constraint_filtered", "retryable": False, "requested_models": list(names),
            "excluded_by": ["enforce_distillable_text"],
        }},
    )  # fmt: skip


def _is_of_another_kind(one: Exclusion, need: Need) -> bool:
    """Whether the endpoint gives or takes other media than the request has; the words of a document may do."""
    return bool(need.outputs - one.candidate.outputs or need.inputs - one.candidate.inputs - {"file"})


def _metadata(
    names: Sequence[str], excluded: Sequence[Exclusion], *, code: str, constraint: Mapping[str, str] | None = None
) -> dict[str, object]:
    availability: dict[str, object] = {
        "code": code,
        "retryable": False,
        "requested_models": list(names),
        "excluded_by": sorted({one.reason for one in excluded}),
    }
    if constraint:
        availability["constraint"] = dict(constraint)
    reasons = [
        {"provider": one.candidate.provider, "model": one.candidate.model, "reason": one.reason, "detail": one.detail}
        for one in excluded[:EXCLUDED_SHOWN]
    ]
    return {"availability": availability, "excluded": reasons}


def _reasons(excluded: Sequence[Exclusion]) -> str:
    """ "Swift, Steady: gives at most 16384 tokens, 20000 are asked for; Harbour: takes no image"."""
    by_detail: dict[str, list[str]] = {}
    for one in excluded:
        by_detail.setdefault(one.detail, []).append(one.candidate.provider_name)
    told = [f"{_some(list(dict.fromkeys(who)))}: {detail}" for detail, who in by_detail.items()]
    more = len(told) - _REASONS_TOLD
    return "; ".join(told[:_REASONS_TOLD]) + (f"; and {more} more reasons, in the metadata" if more > 0 else "")


def _some(names: Sequence[str]) -> str:
    more = len(names) - _PROVIDERS_TOLD
    return ", ".join(names[:_PROVIDERS_TOLD]) + (f" and {more} more" if more > 0 else "")


def _there_are(excluded: Sequence[Exclusion]) -> str:
    """Which providers a request may name that named others."""
    if all(one.reason != _CHOICE for one in excluded):
        return ""
    slugs = list(dict.fromkeys(one.candidate.provider for one in excluded))[:EXCLUDED_SHOWN]
    return f" Its providers: {', '.join(slugs)}."


def _hosted(names: Sequence[str], *, account_id: int) -> list[str]:
    """Those of the models that run here and take predictions."""
    rows = [Model.objects.visible_to(account_id).named(name).filter(hardware__isnull=False).first() for name in names]
    return [row.full_slug for row in rows if row is not None and row.versions.exists()]


def _elsewhere(names: Sequence[str], need: Need, excluded: Sequence[Exclusion]) -> str:
    """Where models answer that give something else than is asked for here."""
    given = frozenset[str].intersection(*(one.candidate.outputs for one in excluded))
    is_chat = "text" in need.outputs
    if ("text" in given) is is_chat and not need.outputs.isdisjoint(given):
        return ""
    path = next((path for output, path in _PATHS.items() if output in given), None)
    verb = "answers" if len(names) == 1 else "answer"
    return f" {', '.join(names)} {verb} at POST /api/v1/{path}." if path else ""


def _instead(need: Need, *, account_id: int) -> str:
    """A hint for a request that went to the wrong kind of model."""
    taken = need.inputs - {"text", "file"}
    able = models_that(give=need.outputs, take=taken, account_id=account_id)
    wanted = f"give {', '.join(sorted(need.outputs))}" + (f" and take {', '.join(sorted(taken))}" if taken else "")
    return f" Models that {wanted}: {', '.join(able)}." if able else f" No model here can {wanted}."
