"""A published server of chats is a model of the gateway: streamed from its warm instance, charged by the token."""

from __future__ import annotations

import json

import pytest
from openai import OpenAI

from tests.journeys.hosting import customer, published
from tests.servers.system import System

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

_CHARGES = """
from billing.models import Charge, Hold, Wallet
found = Charge.objects.filter(account_id={account_id}).order_by("pk")
result = {{
    "charges": [
        [one.amount_nano, [[part["kind"], part["account_id"], part["amount_nano"]] for part in one.shares]]
        for one in found
    ],
    "open": Hold.objects.filter(wallet=Wallet.objects.get(account_id={account_id}), state="open").count(),
}}
"""
_OWNER = """
from marketplace.models import Publisher
result = Publisher.objects.get(slug={slug!r}).account_id
"""
PROMPT, COMPLETION = 100, 400  # nano-USD for a token: the prices in chat-echo's cog.yaml


def test_publish_then_chat_then_be_charged_and_paid(live: System) -> None:
    name = published(live, "chat-echo").partition(":")[0]
    payer = customer(live)
    with payer.client() as http, OpenAI(api_key=payer.key, base_url=f"{live.base_url}/api/v1") as client:
        listed = {one["id"]: one for one in http.get("/api/v1/models").json()["data"]}
        assert listed[name]["context_length"] == 4096
        assert float(listed[name]["pricing"]["completion"]) == 0.0000004
        plain = client.chat.completions.create(model=name, messages=[{"role": "user", "content": "good day"}])
        assert plain.choices[0].message.content == "You said: good day"
        stream = client.chat.completions.create(
            model=name,
            messages=[{"role": "user", "content": "one two three"}],
            max_tokens=4,
            stream=True,
            stream_options={"include_usage": True},
        )
        pieces = list(stream)
        assert "".join(one.choices[0].delta.content or "" for one in pieces if one.choices) == "You said: one two"
        assert [one.choices[0].finish_reason for one in pieces if one.choices][-1] == "length"
        refused = http.post(f"/v1/models/{name}/predictions", json={"input": {}})
        assert (refused.status_code, "chat/completions" in refused.json()["detail"]) == (422, True)
        page = http.get(f"/{name}").text
        assert "Playground" in page
    books = live.query(_CHARGES.format(account_id=payer.account_id))
    assert books["open"] == 0
    amounts = [amount for amount, _ in books["charges"]]
    assert amounts == [2 * PROMPT + 4 * COMPLETION, 3 * PROMPT + 4 * COMPLETION]
    maker = live.query(_OWNER.format(slug=name.partition("/")[0]))
    for amount, shares in books["charges"]:
        earned = {kind: (owner, nano) for kind, owner, nano in shares}
        assert earned["provider_payable"] == (maker, amount * 95 // 100)
        assert sum(nano for _, nano in earned.values()) == amount, json.dumps(shares)
