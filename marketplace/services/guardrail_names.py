"""Names in a guardrail that are nobody's: misspelt, as a rule, so that it binds less or more than was meant."""

from __future__ import annotations

from fnmatch import fnmatchcase

from marketplace.models import Guardrail, Model, Provider


def unknown(row: Guardrail) -> list[str]:
    """The models and providers that it names and that are not there for its account, in the order of its fields."""
    models = [*(row.allowed_models or ()), *row.ignored_models]
    providers = [*(row.allowed_providers or ()), *row.ignored_providers]
    found = [name for name in models if not _is_model(name, account_id=row.account_id)] if models else []
    slugs = set(Provider.objects.filter(slug__in=providers).values_list("slug", flat=True)) if providers else set()
    return list(dict.fromkeys([*found, *(name for name in providers if name not in slugs)]))


def _is_model(name: str, *, account_id: int) -> bool:
    """Whether a name, or a pattern such as `acme/*`, is of a model that the account may see."""
    visible = Model.objects.visible_to(account_id)
    if not name.endswith("/*"):
        return visible.named(name).exists()
    rows = visible.values_list("publisher__slug", flat=True).distinct()
    return any(fnmatchcase(f"{author}/", name[:-1]) for author in rows)
