"""POST and GET /api/v1/videos over a real socket: jobs, their one charge, their webhook."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from django.utils import timezone

from billing.models import Charge, Hold
from routing.models import Generation, VideoJob
from routing.services import sweeping, video_upkeep, video_webhooks
from tests.factories.routing import Buyer, buyer, endpoint
from tests.routing.conftest import QUICK, Simulated

Simulate = Callable[..., Simulated]
LATER = dt.timedelta(minutes=1)


def studio(base_url: str, **fields: Any) -> None:
    given = {"model_slug": "acme/studio", "output_modalities": ["video"], "per_unit": {"video_second": "0.10"}}
    endpoint(base_url, **(given | fields))


def begin(gateway: str, who: Buyer, **fields: Any) -> httpx.Response:
    asked = {"model": "acme/studio", "prompt": "a boat", "duration": 3} | fields
    return httpx.post(f"{gateway}/api/v1/videos", json=asked, headers=key(who), timeout=30)


def key(who: Buyer) -> dict[str, str]:
    return {"authorization": f"Bearer {who.key}"}


def look(job_id: str, after: dt.timedelta = LATER) -> bool:
    return video_upkeep.look(job_id=UUID(job_id.removeprefix("job-")), now=timezone.now() + after)


def test_a_film_is_made_fetched_and_charged_once(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    studio(sim.base_url)
    begun = begin(gateway, alice)
    assert (begun.status_code, begun.json()["status"]) == (202, "pending")
    job = begun.json()
    assert Hold.objects.get().state == Hold.State.OPEN
    assert sweeping.sweep(now=timezone.now() + LATER) == 0  # nobody takes it for a dead process's
    assert httpx.get(f"{job['polling_url']}/content", headers=key(alice)).status_code == 404
    assert look(job["id"])
    assert httpx.get(job["polling_url"], headers=key(alice)).json()["status"] == "in_progress"
    assert look(job["id"], 2 * LATER)
    assert not look(job["id"], 3 * LATER)
    done = httpx.get(job["polling_url"], headers=key(alice)).json()
    assert (done["status"], done["usage"]["cost"]) == ("completed", 0.3)
    film = httpx.get(done["unsigned_urls"][0], headers=key(alice))
    assert (film.headers["content-type"], film.content[4:8]) == ("video/mp4", b"ftyp")
    row, charge = Generation.objects.get(), Charge.objects.get()
    assert (row.status, row.operation, row.cost_nano) == ("finished", "videos", 300_000_000)
    assert charge.quantities["video_second"] == 3


def test_a_stranger_sees_no_job(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    studio(simulate().base_url)
    url = begin(gateway, alice).json()["polling_url"]
    stranger = key(buyer(email="stranger@example.com"))
    for address in (url, f"{url}/content"):
        assert httpx.get(address, headers=stranger).status_code == 404


def test_a_job_that_fails_costs_nothing(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    studio(simulate().base_url)
    job = begin(gateway, alice, prompt="please fail").json()
    assert look(job["id"])
    told = httpx.get(job["polling_url"], headers=key(alice)).json()
    assert (told["status"], told["error"]) == ("failed", "Simulated failure.")
    assert Hold.objects.get().state == Hold.State.RELEASED
    assert Generation.objects.get().status == "failed"


def test_a_job_that_is_never_done_expires(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    studio(simulate().base_url)
    job = begin(gateway, alice).json()
    assert look(job["id"], dt.timedelta(minutes=51))
    assert httpx.get(job["polling_url"], headers=key(alice)).json()["status"] == "expired"
    assert Hold.objects.get().state == Hold.State.RELEASED


def test_a_provider_in_trouble_is_asked_again(
    gateway: str, simulate: Simulate, alice: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "routing.upstream.sender.deadlines", lambda: QUICK
    )  # whoever looks after films brings a sender of his own
    # Whoever looks after films brings a sender of his own.
    sim = simulate()
    studio(sim.base_url)
    job = begin(gateway, alice).json()
    sim.order("500", "429:1", "hang", "malformed")
    for minutes in range(1, 5):
        assert look(job["id"], minutes * LATER)
        assert VideoJob.objects.get().state == "pending"
    sim.order("404")
    assert look(job["id"], 6 * LATER)
    assert VideoJob.objects.get().state == "failed"


def test_who_lost_the_lease_changes_nothing(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    studio(simulate().base_url)
    begin(gateway, alice)
    row = VideoJob.objects.get()
    slow = video_upkeep._claim(row.pk, timezone.now() + LATER)
    assert slow is not None
    assert video_upkeep._claim(row.pk, timezone.now() + LATER) is None
    quick = video_upkeep._claim(row.pk, timezone.now() + 10 * LATER)
    assert quick is not None
    assert not video_upkeep._end(slow, VideoJob.State.FAILED)
    assert video_upkeep._end(quick, VideoJob.State.COMPLETED)
    assert Charge.objects.count() == 1


def test_its_beginning_fails_over(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    bad, good = simulate("sim-bad"), simulate("sim-good")
    studio(bad.base_url, provider="sim-bad", per_unit={"video_second": "0.01"})
    studio(good.base_url, provider="sim-good")
    bad.order("500", always=True)
    assert begin(gateway, alice).status_code == 202
    assert Generation.objects.get().provider is not None
    assert [attempt.error_kind == "" for attempt in Generation.objects.get().attempts.all()] == [False, True]


def test_its_end_is_told_by_a_signed_webhook(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim, ear = simulate(), simulate("ear")
    studio(sim.base_url)
    url = f"{ear.base_url}/audio/transcriptions"  # answers any POST
    job = begin(gateway, alice, prompt="please fail", callback_url=url).json()
    look(job["id"])
    row = VideoJob.objects.get()
    ear.order("500", "ok")
    assert not video_webhooks.tell(job_id=row.pk)
    assert video_webhooks.tell(job_id=row.pk, now=timezone.now() + dt.timedelta(hours=1))
    assert not video_webhooks.tell(job_id=row.pk, now=timezone.now() + dt.timedelta(hours=2))
    first, second = ear.simulator.received
    assert first.body == second.body
    body = json.loads(first.body) if isinstance(first.body, str) else first.body
    assert (body["type"], body["data"]["id"]) == ("video.failed", job["id"])
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-signature"].startswith("v1,")


def test_a_callback_that_is_no_address_is_refused(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    studio(simulate().base_url)
    answer = begin(gateway, alice, callback_url="ftp://x.example")
    assert (answer.status_code, answer.json()["error"]["metadata"]["field"]) == (400, "callback_url")
