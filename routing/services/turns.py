"""Taking turns among processes: a row per thing to be done, moved on by whoever does it (a conditional UPDATE)."""

from __future__ import annotations

import datetime as dt

from routing.models import Turn


def known(prefix: str) -> dict[str, dt.datetime]:
    """Name -> when it is due again, of what begins so and was taken before."""
    return dict(Turn.objects.filter(name__startswith=prefix).values_list("name", "due_at"))


def is_due(name: str, *, now: dt.datetime) -> bool:
    """Whether its time has come; what was never done is due."""
    return not Turn.objects.filter(name=name, due_at__gt=now).exists()


def take(name: str, *, now: dt.datetime, until: dt.datetime) -> bool:
    """Whether it is ours to do: nobody else gets it before `until`."""
    Turn.objects.get_or_create(name=name, defaults={"due_at": now})
    return bool(Turn.objects.filter(name=name, due_at__lte=now).update(due_at=until))


def give_back(name: str, *, taken_until: dt.datetime, due_at: dt.datetime) -> bool:
    """Done sooner: it is due again at `due_at`. False where the time was over and somebody else has taken it."""
    return bool(Turn.objects.filter(name=name, due_at=taken_until).update(due_at=due_at))
