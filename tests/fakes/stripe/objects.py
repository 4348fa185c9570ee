"""What all parts of the fake Stripe stand on: its objects, its books and the events that they make."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

from tests.fakes.stripe.refused import Refused


class Objects:
    """Everything behind one lock, as one database would have it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.objects: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.thin_events: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)

    def balance_cents(self) -> int:
        """What the account at Stripe holds."""
        with self.lock:
            return sum(one["net"] for one in self.objects.values() if one["object"] == "balance_transaction")

    def shown(self, one: dict[str, Any], expand: list[str] | None = None) -> dict[str, Any]:
        """An object as the API shows it: without what is ours, with what was asked to be expanded."""
        seen = {name: value for name, value in one.items() if not name.startswith("_")}
        for path in expand or []:
            name, _, rest = path.partition(".")
            if name == "data":
                seen["data"] = [self.shown(row, [rest]) for row in seen["data"]]
            elif isinstance(seen.get(name), str) and seen[name] in self.objects:
                seen[name] = self.shown(self.objects[seen[name]], [rest] if rest else [])
            elif isinstance(seen.get(name), dict) and rest:
                seen[name] = self.shown(seen[name], [rest])
        return seen

    def _line(self, kind: str, amount: int, fee: int, source: str) -> dict[str, Any]:
        return self._new(
            "txn", "balance_transaction", type=kind, amount=amount, fee=fee, net=amount - fee, source=source
        )

    def _new(self, prefix: str, kind: str, **fields: Any) -> dict[str, Any]:
        object_id = f"{prefix}_{next(self._numbers):08d}"
        made = {"id": object_id, "object": kind, "created": int(time.time()), "livemode": False, **fields}
        self.objects[object_id] = made
        return made

    def _there(self, object_id: str, kind: str) -> dict[str, Any]:
        found = self.objects.get(object_id)
        if found is None or found["object"] != kind:
            raise Refused(404, "invalid_request_error", f"No such {kind}: '{object_id}'", code="resource_missing")
        return found

    def _tell(self, kind: str, one: dict[str, Any], **more: Any) -> None:
        self.events.append(
            {
                "id": f"evt_{next(self._numbers):08d}",
                "object": "event",
                "type": kind,
                "created": int(time.time()),
                "data": {"object": self.shown(one)},
                **more,
            }
        )

    def _tell_thinly(self, kind: str, one: dict[str, Any] | None) -> dict[str, Any]:
        """A thin event; what it is about, if anything, is only named."""
        made: dict[str, Any] = {
            "id": f"evt_thin_{next(self._numbers):08d}",
            "object": "v2.core.event",
            "type": kind,
            "created": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
            "livemode": False,
        }
        if one is not None:
            version = "v2/core/accounts" if one["object"].startswith("v2") else "v1/billing/meters"
            made["related_object"] = {"id": one["id"], "type": one["object"], "url": f"/{version}/{one['id']}"}
        self.thin_events.append(made)
        return made
