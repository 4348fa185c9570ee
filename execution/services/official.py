"""Official models: staff vouch for them, and have instances of them kept warm at the platform's expense."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils import timezone

from execution import limits
from execution.models import Host
from marketplace.lib.errors import Unprocessable
from marketplace.models import Model, Version

MOST_WARM: Final = 20


def mark(*, model: Model, warm_instances: int) -> None:
    """Make a hosted public model official, with so many warm instances. Raises Unprocessable with what to change."""
    check(model=model, warm_instances=warm_instances)
    Model.objects.filter(pk=model.pk).update(is_official=True, warm_instances=warm_instances)


def check(*, model: Model, warm_instances: int) -> None:
    """Raises Unprocessable when the model cannot be made official, or has not so many instances."""
    if model.hardware_id is None:
        raise Unprocessable(f"{model.full_slug} does not run here: only hosted models are made official.")
    if model.visibility != Model.Visibility.PUBLIC:
        raise Unprocessable(f"{model.full_slug} is private: only public models are made official.")
    if not 0 <= warm_instances <= MOST_WARM:
        raise Unprocessable(f"The number of warm instances is from 0 to {MOST_WARM}.")


def unmark(*, model: Model) -> None:
    """It is a model as any other from now on."""
    Model.objects.filter(pk=model.pk).update(is_official=False, warm_instances=0)


def to_keep_warm(*, hardware: str) -> list[tuple[Version, int]]:
    """The newest version of each official model of this hardware, and how many instances of it are to be warm."""
    rows = Model.objects.filter(
        warm_instances__gt=0, hardware__sku=hardware, visibility=Model.Visibility.PUBLIC
    ).select_related("publisher__account")
    found: list[tuple[Version, int]] = []
    for row in rows:
        version = row.versions.order_by("-created_at").first()
        if version is not None:
            version.model = row
            found.append((version, row.warm_instances))
    return found


def standing(*, version_id: str, hardware: str) -> Mapping[str, int]:
    """Instances of a version that anybody's runs may take, started or starting, by the name of the host that has them.

    As the hosts have said within the last seconds.
    """
    live = Host.objects.filter(hardware=hardware, beat_at__gte=timezone.now() - limits.LEASE)
    said = {name: instances.get(version_id) for name, instances in live.values_list("name", "instances")}
    return {name: int(one.get("standing", 0)) for name, one in said.items() if one}


def standing_now(*, model: Model) -> int:
    """How many instances of its newest version there are on workers of its hardware."""
    version = model.versions.order_by("-created_at").first()
    if version is None or model.hardware is None:
        return 0
    return sum(standing(version_id=version.pk, hardware=model.hardware.sku).values())
