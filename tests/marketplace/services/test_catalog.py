"""Applying a catalogue: once makes it so, twice changes nothing, old prices stay in the books."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from marketplace.catalogue.reader import BadCatalogue
from marketplace.lib import crypto
from marketplace.models import Endpoint, Model, Price, Provider
from marketplace.services import catalog, prices

pytestmark = pytest.mark.django_db

TEXT = """\
providers:
  - slug: north
    name: North
    dialect: openai_chat
    base_url: https://north.example/v1
    credentials: {api_key: "env:NORTH_KEY"}
    policy: {zdr: true}
    models:
      - model: acme/one
        upstream: one-v1
        context_length: 1000
        modalities: {input: [text, image], output: [text]}
        price: {prompt: "1", completion: "2"}
      - model: acme/two
        upstream: two-v1
        context_length: 2000
        price: {prompt: "3"}
models:
  - model: acme/one
    name: The One
    example: true
"""


def apply(text: str) -> catalog.Applied:
    """Read and apply."""
    return catalog.apply(catalog.read(text))


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment has the provider's key."""
    monkeypatch.setenv("NORTH_KEY", "north-secret")


def test_it_becomes_so() -> None:
    apply(TEXT)
    provider = Provider.objects.get()
    assert provider.credentials() == {"api_key": "north-secret"}
    assert "north-secret" not in provider.sealed_credentials
    assert provider.account.slug == catalog.HOUSE_SLUG
    one = Model.objects.get(slug="one")
    assert (one.full_slug, one.name, one.is_example) == ("acme/one", "The One", True)
    assert one.input_modalities == ["text", "image"]
    endpoint = Endpoint.objects.get(upstream="one-v1")
    assert prices.snapshot(endpoint_id=endpoint.pk) == {"prompt": 10**9, "completion": 2 * 10**9}


def test_a_second_time_changes_nothing() -> None:
    apply(TEXT)
    sealed = Provider.objects.get().sealed_credentials
    assert apply(TEXT).changed == []
    assert Provider.objects.get().sealed_credentials == sealed


def test_facts_of_a_model_are_kept_and_checked() -> None:
    facts = "    facts: {categories: [legal], knowledge_cutoff: 2026-01-31, benchmarks: {coding: 40}}\n"
    apply(TEXT + facts)
    assert Model.objects.get(slug="one").facts == {
        "categories": ["legal"],
        "knowledge_cutoff": "2026-01-31",
        "benchmarks": {"coding": 40},
    }
    assert apply(TEXT + facts).changed == []
    with pytest.raises(BadCatalogue, match=r"line 22.*categories"):
        catalog.read(TEXT + facts.replace("legal", "cooking"))


def test_a_new_price_ends_the_old_row_and_keeps_it() -> None:
    apply(TEXT)
    apply(TEXT.replace('completion: "2"', 'completion: "5"'))
    rows = Price.objects.filter(endpoint__upstream="one-v1", unit="completion").order_by("effective_from")
    assert [(row.nano_per_million, row.effective_to is None) for row in rows] == [(2 * 10**9, False), (5 * 10**9, True)]
    assert rows[0].effective_to == rows[1].effective_from
    assert Price.objects.filter(endpoint__upstream="one-v1", unit="prompt").count() == 1


def test_an_endpoint_that_is_no_longer_listed_is_switched_off() -> None:
    apply(TEXT)
    without_two = TEXT[: TEXT.index("      - model: acme/two")] + TEXT[TEXT.index("models:\n  - model") :]
    assert [change.sign + change.what for change in apply(without_two).changed] == ["-endpoint acme/two at north"]
    assert list(Endpoint.objects.filter(is_active=True).values_list("upstream", flat=True)) == ["one-v1"]


def test_a_missing_key_switches_the_provider_off_until_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NORTH_KEY")
    assert "NORTH_KEY" in apply(TEXT).warnings[0]
    assert Provider.objects.get().is_active is False
    monkeypatch.setenv("NORTH_KEY", "later")
    apply(TEXT)
    assert Provider.objects.get().is_active is True
    assert Provider.objects.get().credentials() == {"api_key": "later"}


def test_credentials_do_not_open_at_another_address() -> None:
    apply(TEXT)
    provider = Provider.objects.get()
    provider.base_url = "https://evil.example/v1"
    with pytest.raises(crypto.WrongSecret):
        provider.credentials()


def test_a_mistake_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.yaml"
    file.write_text(TEXT.replace("context_length: 2000", "context_length: none"))
    with pytest.raises(CommandError, match="line 16"):
        call_command("apply", str(file))
    assert not Provider.objects.exists()


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "catalogue.yaml"
    file.write_text(TEXT)
    call_command("apply", str(file))
    assert "+ endpoint acme/one at north" in capsys.readouterr().out
    call_command("apply", str(file))
    assert capsys.readouterr().out == "0 changes.\n"


def test_the_seeds_are_sound() -> None:
    seeds = Path(settings.BASE_DIR) / "marketplace" / "seeds" / "catalogue.yaml"
    said = catalog.read(seeds.read_text())
    catalog.apply(said)
    assert Model.objects.count() == len({offer.model for provider in said.providers for offer in provider.models})
    assert Provider.objects.filter(is_simulated=True).count() == len(said.providers) >= 6
    assert not Model.objects.filter(is_example=False).exists()
