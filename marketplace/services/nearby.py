"""The model that a caller meant by a name which no model has."""

from __future__ import annotations

import difflib
from typing import Final

from marketplace.lib.errors import NotFound
from marketplace.models import Model

_LONGEST: Final = 200  # characters of a name that are compared
_COMPARED: Final = 1_000  # models; more are not looked through for a hint
_ALIKE: Final = 0.8  # of difflib's ratio


def near(name: str, *, account_id: int | None, most: int = 2) -> list[str]:
    """At most `most` names of models that the account may see and that come near: `gpt-4o` -> openai/gpt-4o-mini.

    What another author calls so comes first, then what begins so; else what is nearly spelt so.
    """
    author, _, slug = name[:_LONGEST].lower().rpartition("/")
    if not slug:
        return []
    rows = Model.objects.visible_to(account_id).order_by("-created_at").values_list("publisher__slug", "slug")
    found = {f"{theirs}/{called}": called for theirs, called in rows[:_COMPARED]}
    known = {full: called for full, called in found.items() if full != name}
    same = [full for full, called in known.items() if called == slug]
    longer = sorted((full for full, called in known.items() if called.startswith(slug) and called != slug), key=len)
    if same or longer:
        return [*same, *longer][:most]
    if author:
        return difflib.get_close_matches(f"{author}/{slug}", known, n=most, cutoff=_ALIKE)
    alike = difflib.get_close_matches(slug, set(known.values()), n=most, cutoff=_ALIKE)
    return [full for called in alike for full in known if known[full] == called][:most]


def hint(*names: str, account_id: int | None) -> str:
    """ "Did you mean acme/large?" with a space before it, or nothing."""
    found = dict.fromkeys(one for name in names for one in near(name, account_id=account_id))
    return f" Did you mean {' or '.join(found)}?" if found else ""


def no_such_model(full_slug: str, *, account_id: int | None) -> NotFound:
    """The error for a name that no model has which the account may see, to be raised."""
    return NotFound(f"There is no model {full_slug}.{hint(full_slug, account_id=account_id)}")
