"""A deployment on the whole system: kept warm, used, scaled up, drained by an empty wallet, back with credit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.journeys.hosting import Customer, customer, published
from tests.servers.system import System, wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

_SEEN = """
from billing.models import Charge
from execution.models import Deployment, WarmInstance
row = Deployment.objects.get(account_id={account_id})
paid = Charge.objects.filter(account_id={account_id}, kind="instance")
result = {{
    "wanted": row.wanted, "drained": row.drained_because,
    "ready": WarmInstance.objects.filter(deployment=row, ended_at=None, ready_at__isnull=False).count(),
    "instances": WarmInstance.objects.filter(deployment=row).count(),
    "minutes": list(paid.values_list("reference", flat=True)),
}}
"""
_LOCK_AWAY = """
import datetime as dt
from django.db.models import F
from billing.services import holds
from execution.models import WarmInstance
free = holds.affordable(account_id={account_id}, key_id=None)
hold = holds.place(account_id={account_id}, key_id=None, amount_nano=free, kind="test", reference="all:{account_id}",
                   expires_in=dt.timedelta(hours=1))
WarmInstance.objects.filter(account_id={account_id}, ended_at=None).update(
    minute_began_at=F("minute_began_at") - dt.timedelta(seconds=60))
result = str(hold.pk)
"""
_GIVE_BACK = "from billing.services import holds; result = holds.release(hold_id={hold_id!r})"


class Kept:
    """One customer's deployment of hello-text."""

    def __init__(self, owner: Customer, reference: str) -> None:
        self.owner = owner
        model, _, version = reference.partition(":")
        made = {"name": "kept", "model": model, "version": version, "hardware": "cpu"}
        self.call("POST", "", 200, made | {"min_instances": 1, "max_instances": 2})

    def call(self, method: str, path: str, status: int, body: dict[str, Any] | None = None) -> dict[str, Any]:
        with self.owner.client() as client:
            answer = client.request(method, f"/v1/deployments{path}", json=body, headers={"Prefer": "wait=30"})
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    def run(self, **given: Any) -> dict[str, Any]:
        return self.call("POST", f"/{self.owner.slug}/kept/predictions", 201, {"input": given})

    def seen(self) -> dict[str, Any]:
        return dict(self.owner.system.query(_SEEN.format(account_id=self.owner.account_id)))

    def until(self, what: str, **wanted: Any) -> None:
        def there() -> bool:
            seen = self.seen()
            return all(seen[name] == value for name, value in wanted.items())

        wait_until(there, within=60, what=what)

    def queue(self, *, runs: int, seconds: int) -> list[str]:
        with self.owner.client() as client:
            body = {"input": {"text": "a", "times": seconds, "seconds": seconds}}
            path = f"/v1/deployments/{self.owner.slug}/kept/predictions"
            return [client.post(path, json=body).json()["id"] for _ in range(runs)]


def test_a_deployment_is_kept_used_scaled_drained_and_comes_back(live: System) -> None:
    owner = customer(live)
    kept = Kept(owner, published(live, "hello-text"))
    kept.until("one instance is warm", ready=1)
    done = kept.run(text="you")
    assert (done["status"], "".join(done["output"]), done["deployment"]) == ("succeeded", "hello you", "kept")

    made = kept.queue(runs=4, seconds=6)
    kept.until("a second instance is warm", ready=2)
    assert [owner.until(one, within=60)["status"] for one in made] == ["succeeded"] * 4

    hold_id = live.query(_LOCK_AWAY.format(account_id=owner.account_id))
    kept.until("it is drained", ready=0, wanted=0)
    refused = kept.call("POST", f"/{owner.slug}/kept/predictions", 402, {"input": {"text": "a"}})
    assert "wallet no longer pays" in refused["detail"]
    assert live.query(_GIVE_BACK.format(hold_id=hold_id))
    kept.until("it is back", ready=1, drained="")

    kept.call("PATCH", f"/{owner.slug}/kept", 200, {"min_instances": 0, "max_instances": 0})
    kept.until("nothing is kept", ready=0, wanted=0)
    minutes = kept.seen()["minutes"]
    assert len(set(minutes)) == len(minutes) >= kept.seen()["instances"]
    books = owner.books()
    assert (books["open_holds"], books["held"]) == (0, 0)
    assert {row["amount_nano"] for row in books["predictions"]} == {0}
