"""An export is the catalogue again, without its secrets; applying it changes nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.management import CommandError, call_command

from marketplace.catalogue.reader import BadCatalogue
from marketplace.lib.errors import Conflict
from marketplace.models import Endpoint, Price, Provider
from marketplace.services import catalog, catalog_export, prices, repricing

pytestmark = pytest.mark.django_db

TEXT = """\
providers:
  - slug: north
    name: North
    dialect: openai_chat
    base_url: https://north.example/v1
    credentials: {api_key: "env:NORTH_KEY", second: "typed-secret"}
    policy: {zdr: true, region: eu}
    models:
      - model: acme/one
        upstream: one-v1
        context_length: 1000
        max_output: 500
        parameters: [tools]
        price: {prompt: "1", completion: "2.5", image: "0.001"}
        cost: {prompt: "0.9", completion: "2.5"}
        allow_loss: true
      - model: acme/two
        upstream: two-v1
        context_length: 2000
        price: {prompt: "0"}
  - slug: south
    name: South
    dialect: openai_chat
    base_url: https://south.example/v1
    disabled: true
    models: []
models:
  - model: acme/one
    name: The One
    description: First of its "kind" – ünïcode.
    tokenizer: Llama3
    facts: {categories: [legal], knowledge_cutoff: 2026-01-31, distillable: false}
"""


@pytest.fixture(autouse=True)
def _applied(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue above, with its key in the environment."""
    monkeypatch.setenv("NORTH_KEY", "north-secret")
    catalog.apply(catalog.read(TEXT))


def test_applying_an_export_changes_nothing() -> None:
    sealed = Provider.objects.get(slug="north").sealed_credentials
    exported = catalog_export.export()
    done = catalog.apply(catalog.read(exported))
    assert (done.changed, done.warnings) == ([], [])
    assert Provider.objects.get(slug="north").sealed_credentials == sealed
    assert catalog_export.export() == exported


def test_applying_an_export_of_the_seeds_changes_nothing() -> None:
    seeds = Path(settings.BASE_DIR) / "marketplace" / "seeds" / "catalogue.yaml"
    catalog.apply(catalog.read(seeds.read_text()))
    assert catalog.apply(catalog.read(catalog_export.export())).changed == []


def test_no_secret_is_in_an_export() -> None:
    text = catalog_export.export()
    assert "secret" not in text
    told = yaml.safe_load(text)["providers"][0]["credentials"]
    assert told["api_key"] == "env:NORTH_KEY"
    assert re.fullmatch(r"kept:[0-9a-f]{12}", told["second"])


def test_an_export_restores_what_was_changed_since() -> None:
    text = catalog_export.export()
    endpoint = Endpoint.objects.get(upstream="one-v1")
    prices.set_prices(endpoint=endpoint, prices={"prompt": 7})
    Endpoint.objects.filter(upstream="two-v1").update(is_active=False)
    catalog.apply(catalog.read(text))
    assert prices.snapshot(endpoint_id=endpoint.pk)["completion"] == 2_500_000_000
    assert Endpoint.objects.filter(is_active=True).count() == 2


def test_a_kept_secret_does_not_move_to_another_address() -> None:
    text = catalog_export.export().replace("https://north.example/v1", "https://evil.example/v1")
    done = catalog.apply(catalog.read(text))
    assert "no stored second at this address" in done.warnings[0]
    provider = Provider.objects.get(slug="north")
    assert (provider.is_active, provider.credentials()) == (False, {"api_key": "north-secret"})


def test_a_kept_secret_is_known_after_a_rotation_of_our_keys(settings: Any) -> None:
    text = catalog_export.export()
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]
    assert catalog.apply(catalog.read(text)).warnings == []
    settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[:1]
    with pytest.raises(Conflict, match="credentials of north"):
        catalog_export.export()


def test_a_wrong_fingerprint_switches_off_and_loses_nothing() -> None:
    text = re.sub(r"kept:\w+", "kept:000000000000", catalog_export.export())
    assert "kept:000000000000" in catalog.apply(catalog.read(text)).warnings[0]
    provider = Provider.objects.get(slug="north")
    assert (provider.is_active, provider.credentials()["second"]) == (False, "typed-secret")


def test_a_provider_whose_key_is_missing_stays_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NORTH_KEY")
    catalog.apply(catalog.read(TEXT))
    text = catalog_export.export()
    assert catalog.apply(catalog.read(text)).changed == []
    monkeypatch.setenv("NORTH_KEY", "found again")
    catalog.apply(catalog.read(text))
    assert Provider.objects.get(slug="north").is_active is True


def test_a_dry_run_tells_and_changes_nothing() -> None:
    text = TEXT.replace('"2.5", image', '"3", image').replace("zdr: true", "zdr: false")
    text = text.replace(
        "- model: acme/two\n        upstream: two-v1", "- model: acme/three\n        upstream: three-v1"
    )
    done = catalog.apply(catalog.read(text), dry_run=True)
    assert [str(change) for change in done.changed] == [
        "~ provider north\n    policy: region eu, zdr yes → region eu",
        "~ price of acme/one at north\n    completion: $2.50 → $3.00",
        "+ model acme/three",
        "+ endpoint acme/three at north\n    as three-v1, 2,000 tokens of context",
        "+ price of acme/three at north\n    prompt: none → $0.00",
        "- endpoint acme/two at north\n    switched off: the file no longer lists it",
    ]
    assert catalog.apply(catalog.read(TEXT), dry_run=True).changed == []
    assert not Endpoint.objects.filter(upstream="three-v1").exists()


def test_repricing_covers_each_cost_and_not_a_nano_more() -> None:
    done = repricing.from_cost()
    endpoint = Endpoint.objects.get(upstream="one-v1")
    # 0.9 x 10000/9500 = 0.947368421052…, 2.5 x 10000/9500 = 2.631578947368…: both rounded up.
    assert prices.snapshot(endpoint_id=endpoint.pk) == {
        "prompt": 947_368_422,
        "completion": 2_631_578_948,
        "image": 1_000_000_000_000,
    }
    assert [change.what for change in done.changed] == ["price of acme/one at north"]
    assert repricing.from_cost().changed == []
    assert "allow_loss" not in catalog_export.export()


def test_prices_under_conditions_survive_the_file_and_follow_their_costs() -> None:
    said = yaml.safe_load(catalog_export.export())
    offer = next(one for provider in said["providers"] for one in provider["models"] if one["upstream"] == "one-v1")
    offer["price"] |= {"completion": "3", "prompt>200000": "3", "completion@1630-0030": "2.70"}
    offer["price"]["prompt"] = "1.20"
    del offer["allow_loss"]
    catalog.apply(catalog.read(yaml.safe_dump(said)))
    endpoint = Endpoint.objects.get(upstream="one-v1")
    assert prices.snapshot(endpoint_id=endpoint.pk)["prompt>200000"] == 3_000_000_000
    assert catalog.apply(catalog.read(catalog_export.export())).changed == []
    offer["cost"]["prompt>200000"] = "2.90"
    with pytest.raises(BadCatalogue, match="the cost of prompt is more than"):
        catalog.read(yaml.safe_dump(said))
    offer["price"]["prompt>200000"] = "4"
    catalog.apply(catalog.read(yaml.safe_dump(said)))
    repricing.from_cost()
    after = prices.snapshot(endpoint_id=endpoint.pk)
    assert after["prompt>200000"] == 3_052_631_579
    assert "completion@1630-0030" not in after  # its cost knows no time of day


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "out.yaml"
    call_command("export", str(file))
    call_command("export", "--provider", "south")
    assert "north" not in capsys.readouterr().out
    call_command("apply", str(file), "--dry-run")
    assert capsys.readouterr().out == "0 changes to make; nothing was changed.\n"
    before = Price.objects.count()
    call_command("reprice", "--from-cost", "--dry-run")
    assert "completion: $2.50 → $2.631578948" in capsys.readouterr().out
    assert Price.objects.count() == before
    call_command("reprice", "--from-cost")
    assert capsys.readouterr().out.endswith("1 changes.\n")
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("export", str(tmp_path / "none" / "out.yaml"))


def test_without_a_share_no_price_covers_a_cost(settings: Any) -> None:
    settings.PROVIDER_SHARE_BPS = 0
    with pytest.raises(CommandError, match="PROVIDER_SHARE_BPS"):
        call_command("reprice", "--from-cost")
