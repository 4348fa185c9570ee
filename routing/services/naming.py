"""Which models a request means: names with variants, the latest of a family, or the choice left to us."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.utils import timezone

from marketplace.lib import tariffs
from marketplace.lib.errors import InvalidRequest
from marketplace.models import Model
from marketplace.services import browse, nearby
from marketplace.services.browse import Offer
from routing import families
from routing.canonical import ChatRequest, Routed, Text
from routing.selection import auto, naming
from routing.selection.auto import Option
from routing.selection.candidates import INSTANCE_MS, Need
from routing.services import unserved
from routing.services.routes import distillable_models, known_models

USUAL_TOKENS: Final = 400  # of an answer
USUAL_MS: Final = 10_000  # that such an answer takes, where time is charged


@dataclass(frozen=True, slots=True)
class Meant:
    """The models in order (name -> id), the variant of each, and how they were found; names that led to none."""

    models: dict[str, int] = field(default_factory=dict)
    variants: tuple[tuple[str, ...], ...] = ()
    refused: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    strategy: str = "direct"
    reason: str = ""


def anything(name: str) -> bool:
    """What a caller without guardrails may use."""
    return True


def meant(
    *,
    names: Sequence[str],
    account_id: int,
    request: Routed | None = None,
    need: Need | None = None,
    admits: Callable[[str], bool] = anything,
) -> Meant:
    """The models that exist and the account may see; `auto` needs the request and what it needs.

    `admits` says of a model's own name whether the caller may use it: a variant, a family or `auto` leads nowhere else.
    Raises NotFound where the request wants models that others may learn from and these forbid it.
    """
    models: dict[str, int] = {}
    variants: list[tuple[str, ...]] = []
    refused: list[str] = []
    unknown: list[str] = []
    strategy = "fallback" if len(names) > 1 else "direct"
    reason = ""
    for word in names:
        named = naming.read(word)
        if named.name in naming.AUTO and request is not None and need is not None:
            found, reason = _auto(request, need, account_id, admits)
            strategy = "auto"
        elif matched := naming.LATEST.fullmatch(named.name):
            found = [newest] if (newest := latest(named.name, account_id=account_id)) else []
            strategy, reason = "latest", f"the newest {matched['family']} of {matched['author']}"
        else:
            found = [named.name]
            if "free" in named.variants:
                strategy = "free"
        known = known_models(found, account_id=account_id)
        if not known:
            unknown.append(word)
        for name, pk in known.items():
            if not admits(name):
                refused.append(name)
            elif name not in models:
                models[name] = pk
                variants.append(named.variants)
    if models and request is not None and request.preferences.distillable:
        may = distillable_models(models)
        if not may:
            raise unserved.not_distillable(list(models))
        variants = [each for name, each in zip(models, variants, strict=True) if name in may]
        models = {name: pk for name, pk in models.items() if name in may}
    return Meant(models, tuple(variants), tuple(refused), tuple(unknown), strategy, reason)


def latest(alias: str, *, account_id: int | None) -> str | None:
    """The model that `~author/family-latest` stands for; None where it is no such alias or has no model to be seen."""
    matched = naming.LATEST.fullmatch(alias)
    if matched is None:
        return None
    rows = Model.objects.visible_to(account_id).filter(publisher__slug=matched["author"])
    slugs = list(rows.order_by("-created_at", "-pk").values_list("slug", flat=True))
    slug = families.latest(slugs=slugs, family=matched["family"])
    return None if slug is None else f"{matched['author']}/{slug}"


def unknown_model(names: Sequence[str], *, account_id: int) -> InvalidRequest:
    """The error for names of which none is a model that the account can see, to be raised; it names what comes near."""
    hint = nearby.hint(*(naming.read(name).name for name in names), account_id=account_id)
    return InvalidRequest(
        f"{', '.join(names)} {'is not a model' if len(names) == 1 else 'are no models'} here.{hint} "
        "GET /api/v1/models lists all.",
        metadata={"availability": {"code": "model_not_found", "retryable": False, "requested_models": list(names)}},
    )


def _auto(request: Routed, need: Need, account_id: int, admits: Callable[[str], bool]) -> tuple[list[str], str]:
    options = []
    for listing in browse.models(account_id=account_id):
        if not admits(listing.model.full_slug):
            continue
        if request.preferences.distillable and listing.model.facts.get("distillable") is not True:
            continue
        costs = [
            _expected(offer, need)
            for offer in listing.offers
            if need.inputs - {"file"} <= set(offer.endpoint.input_modalities)
            and need.outputs <= set(offer.endpoint.output_modalities)
            and need.input_estimate <= offer.endpoint.context_length
            and (need.max_tokens is None or need.max_tokens <= (offer.endpoint.max_output or 2**31))
            and need.parameters & {"tools"} <= set(offer.endpoint.parameters)
        ]
        if costs and listing.chats:
            scores = listing.model.facts.get("benchmarks", {})
            options.append(Option(listing.model.full_slug, min(costs) / 1e6, scores.get("intelligence")))
    picked = auto.pick(options=options, task=auto.task_of(text=_last_words(request), need=need))
    return ([], "") if picked is None else (list(picked.models), picked.reason)


def _expected(offer: Offer, need: Need) -> int:
    prices = tariffs.applicable(
        offer.prices, prompt_tokens=need.input_estimate, minute=tariffs.minute_of(timezone.now())
    )
    tokens = prices.get("prompt", 0) * max(1, need.input_estimate) + prices.get("completion", 0) * USUAL_TOKENS
    return tokens + prices.get(INSTANCE_MS, 0) * USUAL_MS


def _last_words(request: Routed) -> str:
    if not isinstance(request, ChatRequest):
        return ""
    said = next((one for one in reversed(request.messages) if one.role == "user"), None)
    return " ".join(part.text for part in said.parts if isinstance(part, Text))[:20_000] if said else ""
