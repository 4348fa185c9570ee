"""Guardrails: make, change, assign; and what binds a request, merged into one policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from marketplace.lib import screening
from marketplace.lib.errors import Forbidden, InvalidRequest, NotFound
from marketplace.lib.screening import BUILTINS, BadPattern, Filter
from marketplace.models import Account, ApiKey, Guardrail, GuardrailKey, GuardrailMember, Member, User

MAX_NAMES: Final = 500
MAX_FILTERS: Final = 50
ACTIONS: Final = ("block", "redact")
SCOPES: Final = ("all_messages", "user_only")
FIELDS: Final = frozenset(
    {
        "name", "description", "allowed_models", "ignored_models", "allowed_providers", "ignored_providers",
        "enforce_zdr", "deny_data_collection", "limit_nano", "limit_reset", "content_filters",
        "content_filter_builtins",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Policy:
    """What binds a request: lists of what is allowed intersect, everything else adds up."""

    names: tuple[str, ...] = ()
    allowed_models: tuple[frozenset[str], ...] = ()
    ignored_models: frozenset[str] = frozenset()
    allowed_providers: tuple[frozenset[str], ...] = ()
    ignored_providers: frozenset[str] = frozenset()
    zdr: bool = False
    deny_data_collection: bool = False
    filters: tuple[Filter, ...] = field(default=())

    def admits_model(self, full_slug: str) -> bool:
        """Whether a model may be used; lists may say `publisher/*`."""
        return all(_listed(full_slug, names) for names in self.allowed_models) and not _listed(
            full_slug, self.ignored_models
        )

    def admits_provider(self, slug: str) -> bool:
        """Whether a provider may serve; a base slug stands for its variants too."""
        forms = (slug, slug.partition("/")[0])
        return all(names.intersection(forms) for names in self.allowed_providers) and not (
            self.ignored_providers.intersection(forms)
        )

    def require_model(self, full_slug: str) -> None:
        """Raise Forbidden for a model that may not be used."""
        if not self.admits_model(full_slug):
            raise self.refusal(f"{full_slug} is not among the models that may be used", models=[full_slug])

    def text(self, text: str, *, is_users: bool = True) -> str:
        """The text with what is to be redacted taken out. Raises Forbidden when it holds what is blocked."""
        filters = [one for one in self.filters if is_users or not one.user_only]
        found = screening.screen(text, filters)
        if found.blocked_by:
            named = ", ".join(found.blocked_by)
            raise self.refusal(f"the input holds {named}", patterns=list(found.blocked_by))
        return found.text

    def value(self, value: Any) -> Any:
        """The same for every text in a JSON value; files inside it (data: URLs) are no texts."""
        match value:
            case str():
                return value if value.startswith("data:") else self.text(value)
            case list():
                return [self.value(one) for one in value]
            case dict():
                return {key: self.value(one) for key, one in value.items()}
        return value

    def refusal(self, why: str, **metadata: Any) -> Forbidden:
        """The error, to be raised: what blocks, and whose rule it is."""
        whose = ", ".join(repr(name) for name in self.names)
        return Forbidden(
            f"Request blocked by the guardrail {whose}: {why}. Change the request, or ask an admin of the account "
            "to change the guardrail.",
            metadata={"guardrails": list(self.names), **metadata},
        )


NOTHING: Final = Policy()


def policy_of(*, key_id: int | None, account_id: int, user_id: int | None = None) -> Policy:
    """What binds a request made with this key (or, in the portal, by this user). One query."""
    return merged(binding(key_id=key_id, account_id=account_id, user_id=user_id))


def binding(*, key_id: int | None, account_id: int, user_id: int | None = None) -> list[Guardrail]:
    """The guardrails of the key, and of the member who made it or (without a key) acts."""
    living = Guardrail.objects.for_account(account_id).filter(deleted_at=None)
    # Most accounts have none, and to ask for that is much cheaper than the joins below.
    if (key_id is None and user_id is None) or not living.exists():
        return []
    mine = Q(members__member__account_id=account_id)
    if key_id is not None:
        makers = ApiKey.objects.filter(pk=key_id).values("created_by_id")
        wanted = Q(keys__key_id=key_id) | (mine & Q(members__member__user_id__in=makers))
    else:
        wanted = mine & Q(members__member__user_id=user_id)
    return list(living.filter(wanted).distinct())


def merged(rows: Iterable[Guardrail]) -> Policy:
    """Several guardrails as one policy."""
    found = list(rows)
    if not found:
        return NOTHING
    return Policy(
        names=tuple(row.name for row in found),
        allowed_models=tuple(frozenset(row.allowed_models) for row in found if row.allowed_models is not None),
        ignored_models=frozenset(name for row in found for name in row.ignored_models),
        allowed_providers=tuple(frozenset(row.allowed_providers) for row in found if row.allowed_providers is not None),
        ignored_providers=frozenset(name for row in found for name in row.ignored_providers),
        zdr=any(row.enforce_zdr for row in found),
        deny_data_collection=any(row.deny_data_collection for row in found),
        filters=tuple(one for row in found for one in _filters(row)),
    )


def listed(*, account_id: int) -> list[Guardrail]:
    """The account's guardrails, by name."""
    return list(Guardrail.objects.for_account(account_id).filter(deleted_at=None))


def find(*, account_id: int, guardrail_id: UUID) -> Guardrail:
    """One of the account's. Raises NotFound, also for a stranger's."""
    row = Guardrail.objects.for_account(account_id).filter(pk=guardrail_id, deleted_at=None).first()
    if row is None:
        raise NotFound("There is no such guardrail in this account.")
    return row


def create(*, account: Account, values: Mapping[str, Any]) -> Guardrail:
    """Make a guardrail of `FIELDS`. Raises InvalidRequest."""
    row = Guardrail(account=account)
    _apply(row, values)
    row.save()
    return row


def change(*, row: Guardrail, values: Mapping[str, Any]) -> Guardrail:
    """Change the fields that are given; it binds from the next request on. Raises InvalidRequest."""
    _apply(row, values)
    row.updated_at = timezone.now()
    row.save()
    return row


@transaction.atomic
def delete(*, row: Guardrail) -> None:
    """End a guardrail and its assignments."""
    row.keys.all().delete()
    row.members.all().delete()
    row.deleted_at = timezone.now()
    row.save(update_fields=["deleted_at"])


@transaction.atomic
def assign_keys(*, row: Guardrail, keys: Sequence[ApiKey], by: User | None = None) -> int:
    """Put keys of its account under the guardrail, taking them from any other; how many are new under it."""
    GuardrailKey.objects.filter(key__in=keys).exclude(guardrail=row).delete()
    held = set(GuardrailKey.objects.filter(key__in=keys).values_list("key_id", flat=True))
    fresh = [key for key in keys if key.pk not in held]
    GuardrailKey.objects.bulk_create(
        [GuardrailKey(guardrail=row, key=key, assigned_by=by) for key in fresh], ignore_conflicts=True
    )
    return len(fresh)


def unassign_keys(*, row: Guardrail, keys: Sequence[ApiKey]) -> int:
    """Take keys from the guardrail; how many were under it."""
    return row.keys.filter(key__in=keys).delete()[0]


@transaction.atomic
def assign_members(*, row: Guardrail, members: Sequence[Member], by: User | None = None) -> int:
    """Put members of its account under the guardrail, taking them from any other; how many are new under it."""
    GuardrailMember.objects.filter(member__in=members).exclude(guardrail=row).delete()
    held = set(GuardrailMember.objects.filter(member__in=members).values_list("member_id", flat=True))
    fresh = [member for member in members if member.pk not in held]
    GuardrailMember.objects.bulk_create(
        [GuardrailMember(guardrail=row, member=member, assigned_by=by) for member in fresh], ignore_conflicts=True
    )
    return len(fresh)


def unassign_members(*, row: Guardrail, members: Sequence[Member]) -> int:
    """Take members from the guardrail; how many were under it."""
    return row.members.filter(member__in=members).delete()[0]


def _apply(row: Guardrail, values: Mapping[str, Any]) -> None:
    if unknown := values.keys() - FIELDS:
        raise ValueError(f"a guardrail has no {', '.join(sorted(unknown))}")
    for name, value in values.items():
        setattr(row, name, value)
    row.name = row.name.strip()[:200]
    if not row.name:
        raise InvalidRequest("A guardrail needs a name.", metadata={"field": "name"})
    for name in ("allowed_models", "ignored_models", "allowed_providers", "ignored_providers"):
        setattr(row, name, _names(name, getattr(row, name)))
    if row.limit_nano is not None and row.limit_nano < 0:
        raise InvalidRequest("A budget is zero or more dollars.", metadata={"field": "limit_usd"})
    if len(row.content_filters) + len(row.content_filter_builtins) > MAX_FILTERS:
        raise InvalidRequest(f"A guardrail has at most {MAX_FILTERS} filters.", metadata={"field": "content_filters"})
    row.content_filters = [_pattern(one) for one in row.content_filters]
    row.content_filter_builtins = [_builtin(one) for one in row.content_filter_builtins]


def _names(where: str, given: Sequence[str] | None) -> list[str] | None:
    if given is None:
        return None if where.startswith("allowed") else []
    names = sorted({one.strip().lower() for one in given if one.strip()})
    if len(names) > MAX_NAMES or any(len(one) > 200 for one in names):
        raise InvalidRequest(
            f"'{where}' takes at most {MAX_NAMES} names of 200 characters at most.", metadata={"field": where}
        )
    return names


def _pattern(given: Mapping[str, Any]) -> dict[str, str]:
    pattern, action, label = given["pattern"], given["action"], given.get("label") or "FILTERED"
    _check_action(action, "content_filters")
    try:
        screening.check_pattern(pattern)
    except BadPattern as error:
        raise InvalidRequest(f"The pattern {pattern[:100]!r} {error}.", metadata={"field": "content_filters"}) from None
    return {"pattern": pattern, "action": action, "label": label[:100]}


def _builtin(given: Mapping[str, Any]) -> dict[str, str]:
    slug, action = given["slug"], given["action"]
    _check_action(action, "content_filter_builtins")
    if slug not in BUILTINS:
        raise InvalidRequest(
            f"There is no builtin filter {slug[:40]!r} here: choose {', '.join(BUILTINS)}. Names of people and postal "
            "addresses need a language model, which this installation does not have.",
            metadata={"field": "content_filter_builtins"},
        )
    scope = given.get("scan_scope") or SCOPES[0]
    if scope not in SCOPES:
        raise InvalidRequest(f"'scan_scope' is one of {', '.join(SCOPES)}.", metadata={"field": "scan_scope"})
    label = given.get("label") or slug.upper().replace("-", "_")
    return {"slug": slug, "action": action, "label": label[:100], "scan_scope": scope}


def _check_action(action: str, where: str) -> None:
    if action not in ACTIONS:
        raise InvalidRequest(
            f"'action' is block or redact, not {action[:20]!r}: nothing is stored here that could be flagged.",
            metadata={"field": where},
        )


def _filters(row: Guardrail) -> list[Filter]:
    own = [Filter(label=one["label"], action=one["action"], pattern=one["pattern"]) for one in row.content_filters]
    known = [
        Filter(label=one["label"], action=one["action"], slug=one["slug"], user_only=one["scan_scope"] == "user_only")
        for one in row.content_filter_builtins
    ]
    return own + known


def _listed(full_slug: str, names: frozenset[str]) -> bool:
    return full_slug in names or any(fnmatchcase(full_slug, name) for name in names if name.endswith("/*"))
