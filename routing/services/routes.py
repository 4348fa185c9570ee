"""The endpoints that could serve a request, read from the catalogue with their prices and addresses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from marketplace.lib import crypto, env
from marketplace.models import Endpoint, Model, Price, Provider
from marketplace.services import prices
from routing.adapters.base import Target
from routing.adapters.registry import dialects_of
from routing.canonical import UpstreamError
from routing.selection.candidates import INSTANCE_MS, Candidate

# So long may a chat run that is charged by its time; the host ends it then.
LONGEST_MS: Final = env.integer("HOSTED_CHAT_SECONDS", 300, minimum=1) * 1_000


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: what the choice sees of it, and what the sender needs."""

    candidate: Candidate
    dialect: str
    target: Target
    provider_id: int
    provider_account_id: int
    endpoint_id: int
    # With an account's own key: the prices that the fee is a part of, and where it stands in the order.
    list_prices: Mapping[str, int] | None = None
    place: tuple[int, int] = (1, 0)

    @property
    def is_own(self) -> bool:
        """Whether it is called with a key of the caller's account, which the provider bills directly."""
        return self.list_prices is not None


def known_models(names: Sequence[str], *, account_id: int) -> dict[str, int]:
    """Name -> id of those models that exist and the account may see, in the given order."""
    found: dict[str, int] = {}
    for name in names:
        row = Model.objects.visible_to(account_id).named(name).values_list("pk", flat=True).first()
        if row is not None:
            found[name] = row
    return found


def distillable_models(models: Mapping[str, int]) -> set[str]:
    """Those of the names whose author lets others learn from what they write; one that says nothing does not."""
    free = set(Model.objects.filter(pk__in=models.values(), facts__distillable=True).values_list("pk", flat=True))
    return {name for name, pk in models.items() if pk in free}


def routes(models: dict[str, int], *, operation: str = "chat") -> list[list[Route]]:
    """The active endpoints of each model, model by model, whose dialect has the operation.

    Those whose provider's key cannot be read are left out.
    """
    endpoints = list(
        Endpoint.objects.filter(
            model_id__in=models.values(),
            is_active=True,
            provider__is_active=True,
            provider__dialect__in=dialects_of(operation),
        ).select_related("provider")
    )
    priced = prices.snapshots(endpoint_ids=[endpoint.pk for endpoint in endpoints])
    groups: list[list[Route]] = []
    for name, model_id in models.items():
        group: list[Route] = []
        for endpoint in endpoints:
            if endpoint.model_id == model_id:
                try:
                    group.append(_route(name, endpoint, priced.get(endpoint.pk, {})))
                except crypto.WrongSecret:
                    continue
        groups.append(group)
    return groups


def target_of(endpoint_id: int | None) -> tuple[str, Target]:
    """(dialect, target) of an endpoint that has been chosen before, also where it serves nobody new.

    Raises UpstreamError where it is gone or its key cannot be read.
    """
    row = Endpoint.objects.filter(pk=endpoint_id or 0).select_related("provider").first()
    try:
        if row is not None:
            return row.provider.dialect, Target(row.provider.base_url, row.upstream, row.provider.credentials())
    except crypto.WrongSecret:
        pass
    raise UpstreamError("The endpoint is not there any more.", kind="unavailable", retryable=True)


def collects_data(provider: Provider) -> bool:
    """Whether it may keep what it is sent or train on it; one that says nothing of its habits is taken to."""
    return not provider.policy or bool(provider.policy.get("retains")) or bool(provider.policy.get("trains"))


def models_that(
    *, give: frozenset[str], take: frozenset[str] = frozenset(), account_id: int, most: int = 5
) -> list[str]:
    """Names of some models that the account may see and that an active endpoint serves with these media."""
    rows = Endpoint.objects.filter(
        model__in=Model.objects.visible_to(account_id), is_active=True, provider__is_active=True
    ).select_related("model__publisher")
    found = {
        row.model.full_slug for row in rows if give <= set(row.output_modalities) and take <= set(row.input_modalities)
    }
    return sorted(found)[:most]


def _route(model: str, endpoint: Endpoint, priced: dict[str, dict[str, int]]) -> Route:
    provider = endpoint.provider
    policy = provider.policy
    table = priced.get(Price.Kind.PRICE, {})
    candidate = Candidate(
        endpoint_id=endpoint.pk,
        model=model,
        provider=provider.slug,
        provider_name=provider.name,
        context_length=endpoint.context_length,
        max_output=endpoint.max_output,
        inputs=frozenset(endpoint.input_modalities),
        outputs=frozenset(endpoint.output_modalities),
        parameters=frozenset(endpoint.parameters),
        quantization=endpoint.quantization,
        prices=table,
        costs=priced.get(Price.Kind.COST, {}),
        collects_data=collects_data(provider),
        keeps_nothing=bool(policy.get("zdr")),
        dialect=provider.dialect,
        most_ms=LONGEST_MS if INSTANCE_MS in table else 0,
    )
    target = Target(provider.base_url, endpoint.upstream, provider.credentials())
    return Route(candidate, provider.dialect, target, provider.pk, provider.account_id, endpoint.pk)
