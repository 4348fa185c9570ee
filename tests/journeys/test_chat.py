"""A chat on the whole running system: official client, failover, money to the nano-dollar, death of the web process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest
from openai import APIStatusError, AuthenticationError, OpenAI

from tests.servers.system import ROOT, System, wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

MODEL = "journey/echo"
HELLO: list[Any] = [{"role": "user", "content": "Tell me something about turnpikes"}]
FAULTS = ["500", "429:1", "hang", "malformed", "cut:0"]
PLACES = ("sim-swift", "sim-harbour")  # the cheap one first

# Two endpoints of one model at the system's own simulated providers: free input, a dollar per thousand tokens out.
CATALOGUE = """
import datetime as dt
from marketplace.models import Endpoint, Model, Provider, Publisher
from marketplace.services import prices
publisher, _ = Publisher.objects.get_or_create(slug="journey", defaults={"name": "Journey"})
model, _ = Model.objects.get_or_create(publisher=publisher, slug="echo", defaults={"name": "Echo"})
for slug, dollars in (("sim-swift", 1000), ("sim-harbour", 1200)):
    endpoint, _ = Endpoint.objects.get_or_create(
        model=model, provider=Provider.objects.get(slug=slug), upstream="simulated",
        defaults={"context_length": 8192, "max_output": 4096, "parameters": ["tools"]},
    )
    prices.set_prices(endpoint=endpoint, prices={"prompt": 0, "completion": dollars * 10**9})
result = True
"""
SHARES = """
from billing.models import Charge
found = Charge.objects.filter(account__slug={slug!r})
result = [[c.amount_nano, [[s["kind"], s["amount_nano"]] for s in c.shares]] for c in found]
"""
BOOKS = """
from billing.models import Charge, Hold, Wallet
wallet = Wallet.objects.get(account__slug={slug!r})
result = {{
    "balance": wallet.balance_nano, "held": wallet.held_nano,
    "charged": [c.amount_nano for c in Charge.objects.filter(account=wallet.account)],
    "open": Hold.objects.filter(wallet=wallet, state="open").count(),
}}
"""
GENERATION = """
from routing.models import Generation
row = Generation.objects.filter(account__slug={slug!r}).latest("created_at")
result = [row.status, row.delivered_bytes, row.cost_nano]
"""


class Buyer:
    """An account of its own on the system, so that journeys do not spend each other's money."""

    def __init__(self, system: System, slug: str, *, credit: str, limit: str | None = None) -> None:
        self.system = system
        self.slug = slug
        make = (
            "from marketplace.models import User\nfrom marketplace.services import accounts, keys\n"
            "from billing.services import credits\nfrom marketplace.lib import money\n"
            f"user = User.objects.create_user({slug + '@example.com'!r})\n"
            f"account = accounts.open_personal(user=user, slug={slug!r})\n"
            f"nano = money.parse_usd({credit!r})\n"
            f"nano and credits.grant(account_id=account.pk, amount_nano=nano, reference={slug!r})\n"
            f"limit = money.parse_usd({limit!r}) if {limit!r} else None\n"
            "result = keys.issue(account=account, name='journey', limit_nano=limit)[1]"
        )
        self.key = str(system.query(make))

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    def ask(self, max_tokens: int = 5, **fields: Any) -> int:
        """The status of a plain chat."""
        body = {"model": MODEL, "messages": HELLO, "max_tokens": max_tokens} | fields
        url = f"{self.system.base_url}/api/v1/chat/completions"
        return httpx.post(url, json=body, headers=self.headers, timeout=120).status_code

    def books(self) -> dict[str, Any]:
        return dict(self.system.query(BOOKS.format(slug=self.slug)))


@pytest.fixture
def market(live: System) -> Iterator[System]:
    """The running system with the journey's model, its providers quick and well."""
    live.query(CATALOGUE)
    pace(live, ttft=0.0, tps=0, tokens=12)
    yield live
    pace(live, ttft=0.1, tps=160, tokens=40)


def control(system: System, slug: str, path: str, data: dict[str, Any]) -> None:
    url = f"http://127.0.0.1:{system.simulated_ports[slug]}{path}"
    httpx.post(url, json=data, timeout=30).raise_for_status()


def pace(system: System, **values: float) -> None:
    for slug in PLACES:
        control(system, slug, "/_settings", values)
        control(system, slug, "/_faults", {"script": ["ok"], "always": True})


def client(system: System, key: str) -> OpenAI:
    return OpenAI(base_url=f"{system.base_url}/api/v1", api_key=key, max_retries=0, timeout=60)


def slug_of(system: System, name: str) -> str:
    """A name that is free on this system, however often a journey runs on it."""
    return f"{name}-{time.time_ns() % 10**9}"


def test_the_official_client_and_every_nano_dollar(market: System) -> None:
    buyer = Buyer(market, slug_of(market, "chat"), credit="5.00")
    asked: dict[str, Any] = {"model": MODEL, "messages": HELLO, "max_tokens": 50}
    asked["extra_body"] = {"provider": {"only": ["sim-swift"]}}  # whose faults another test may just have played
    with client(market, buyer.key) as openai:
        plain = openai.chat.completions.create(**asked)
        chunks: list[Any] = list(openai.chat.completions.create(**asked, stream=True))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "simulated" in said
    assert said == plain.choices[0].message.content
    charges = market.query(SHARES.format(slug=buyer.slug))
    assert [amount for amount, _ in charges] == [12_000_000, 12_000_000]
    for amount, shares in charges:
        assert dict(shares) == {"provider_payable": amount * 9_500 // 10_000, "platform_revenue": amount // 20}
    assert buyer.books() == {
        "balance": 5 * 10**9 - 24_000_000, "held": 0, "charged": [12_000_000, 12_000_000], "open": 0,
    }  # fmt: skip
    told = httpx.get(
        f"{market.base_url}/api/v1/generation", params={"id": plain.id}, headers=buyer.headers, timeout=30
    ).json()
    assert told["data"]["total_cost"] == 0.012


def test_a_wrong_key_and_an_empty_wallet(market: System) -> None:
    poor = Buyer(market, slug_of(market, "poor"), credit="0")
    with client(market, "sk-tp-v1-nonsense") as openai, pytest.raises(AuthenticationError):
        openai.chat.completions.create(model=MODEL, messages=HELLO)
    with client(market, poor.key) as openai, pytest.raises(APIStatusError) as caught:
        openai.chat.completions.create(model=MODEL, messages=HELLO)
    assert caught.value.status_code == 402


@pytest.mark.parametrize("stream", [False, True])
def test_each_fault_fails_over(market: System, stream: bool) -> None:
    buyer = Buyer(market, slug_of(market, "failover"), credit="5.00")
    # An order of the caller's is obeyed, however little the first is trusted by now.
    order = {"provider": {"order": list(PLACES)}}
    for fault in FAULTS if stream else [fault for fault in FAULTS if fault != "hang"]:  # a plain hang takes minutes
        control(market, "sim-swift", "/_faults", {"script": [fault], "always": True})
        with client(market, buyer.key) as openai:
            answer = openai.chat.completions.create(
                model=MODEL, messages=HELLO, max_tokens=9, stream=stream, extra_body=order
            )
            said: list[Any] = list(answer) if stream else [answer]
        assert said[-1].model_extra["provider"] == provider_name(market, "sim-harbour"), fault
        assert asked(market, buyer, said[-1].id) == [provider_name(market, slug) for slug in PLACES], fault
    control(market, "sim-swift", "/_faults", {"script": ["ok"], "always": True})


def asked(system: System, buyer: Buyer, generation: str) -> list[str]:
    """The providers that a generation was tried at, in their order."""

    def responses() -> list[Any]:
        url = f"{system.base_url}/api/v1/generation"
        answer = httpx.get(url, params={"id": generation}, headers=buyer.headers, timeout=30).json()
        return answer["data"]["provider_responses"] if "data" in answer else []

    wait_until(responses, within=20, what="the generation is recorded")
    return [one["provider_name"] for one in responses()]


def provider_name(system: System, slug: str) -> str:
    rows = httpx.get(f"{system.base_url}/api/v1/providers", timeout=30).json()["data"]
    return next(row["name"] for row in rows if row["slug"] == slug)


def test_200_at_once_on_a_wallet_that_affords_50(market: System) -> None:
    buyer = Buyer(market, slug_of(market, "crowd"), credit="0.30")
    only = {"provider": {"only": ["sim-harbour"]}}
    pace(market, ttft=0, tps=0, tokens=5)
    answers: list[int] = []
    os.kill(market.pid("sim-harbour"), signal.SIGSTOP)  # nobody is done before all have asked
    with ThreadPoolExecutor(200) as threads:
        for _ in range(200):
            threads.submit(lambda: answers.append(buyer.ask(5, **only)))
        try:
            wait_until(lambda: len(answers) == 150, within=90, what="all but fifty are refused")
            assert set(answers) == {402}
            assert buyer.books()["open"] == 50
        finally:
            os.kill(market.pid("sim-harbour"), signal.SIGCONT)
    # Five tokens at $0.0012 are held, and used: $0.006 each.
    assert (answers.count(200), answers.count(402)) == (50, 150)
    books = buyer.books()
    assert (books["balance"], books["held"], sum(books["charged"])) == (0, 0, 300_000_000)


def test_a_key_limit_is_never_exceeded(market: System) -> None:
    buyer = Buyer(market, slug_of(market, "limited"), credit="5.00", limit="0.50")
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda _: buyer.ask(10), range(120)))
    # Ten tokens at $0.001 are $0.01, at the dearer endpoint $0.012 are held: the last of fifty may have to wait.
    assert set(answers) == {200, 402}
    books = buyer.books()
    assert len(books["charged"]) == answers.count(200)
    assert set(books["charged"]) <= {10_000_000, 12_000_000}
    assert sum(books["charged"]) <= 500_000_000
    assert books["held"] == 0


def test_2000_requests_over_four_processes_stay_within_a_key_limit(grown: System) -> None:
    grown.query(CATALOGUE)
    pace(grown, ttft=0.0, tps=0, tokens=1)
    buyer = Buyer(grown, slug_of(grown, "four"), credit="5.00", limit="0.50")
    ports = grown.spare_ports[:3]
    more = [
        subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "marketplace.asgi:application", "--port", str(port), "--lifespan", "off",
             "--log-level", "warning", "--no-access-log"],
            cwd=ROOT, env=grown.environment | {"TURNPIKE_PRIVATE_ORIGINS": origins(grown)},
        )
        for port in ports
    ]  # fmt: skip
    try:
        for port in ports:
            wait_until(partial(grown.listens, port), within=60, what=f"web on {port}")
        webs = [grown.base_url, *(f"http://127.0.0.1:{port}" for port in ports)]
        only = {"provider": {"only": ["sim-swift"]}}
        with ThreadPoolExecutor(32) as threads, httpx.Client(timeout=120) as http:

            def ask(number: int) -> int:
                body = {"model": MODEL, "messages": HELLO, "max_tokens": 1} | only
                url = f"{webs[number % 4]}/api/v1/chat/completions"
                return http.post(url, json=body, headers=buyer.headers).status_code

            answers = list(threads.map(ask, range(2_000)))
    finally:
        for process in more:
            process.terminate()
            process.wait(timeout=20)
    # A token is $0.001, held and used.
    assert (answers.count(200), answers.count(402)) == (500, 1_500)
    books = buyer.books()
    assert (sum(books["charged"]), books["held"], books["open"]) == (500_000_000, 0, 0)


def origins(system: System) -> str:
    """Every origin that the system's own web process may call."""
    listed = [f"127.0.0.1:{port}" for port in (*system.simulated_ports.values(), *system.spare_ports)]
    return ",".join(listed)


def test_kill_9_of_web_in_a_stream_is_settled_once_by_the_sweeper(market: System) -> None:
    buyer = Buyer(market, slug_of(market, "killed"), credit="5.00")
    pace(market, ttft=0, tps=20, tokens=2_000)
    body = {"model": MODEL, "messages": HELLO, "max_tokens": 2_000, "stream": True}
    url = f"{market.base_url}/api/v1/chat/completions"
    received = 0
    killed: list[int] = []

    def read_until_it_dies() -> None:
        nonlocal received
        with httpx.stream("POST", url, json=body, headers=buyer.headers, timeout=20) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    received += len(json.loads(line[6:])["choices"][0]["delta"].get("content", ""))
                if received > 200 and not killed:
                    killed.append(market.kill("web"))  # what was on its way is read on, to the break

    with pytest.raises(httpx.TransportError):
        read_until_it_dies()
    assert buyer.books()["open"] == 1
    wait_until(market.is_healthy, within=20, what="web is back")
    wait_until(lambda: buyer.books()["open"] == 0, within=60, what="the sweeper has ended the hold")
    status, delivered, cost = market.query(GENERATION.format(slug=buyer.slug))
    assert status == "swept"
    assert 0 < delivered <= received + 200
    books = buyer.books()
    assert books["charged"] == [cost]
    assert (books["balance"], books["held"]) == (5 * 10**9 - cost, 0)
