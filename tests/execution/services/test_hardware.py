"""Prices of machines as data."""

import io

import pytest
from django.core.management import CommandError, call_command

from execution.models import Prediction
from execution.services import endings, hardware
from execution.states import Status
from marketplace.lib import money
from marketplace.lib.errors import InvalidRequest
from marketplace.models import Hardware
from marketplace.services import prices
from tests.factories.execution import hosted, payer, predict

pytestmark = pytest.mark.django_db(transaction=True)


def cost_of(sku: str, milliseconds: int) -> str:
    snapshot = prices.snapshot(hardware_id=Hardware.objects.get(sku=sku).pk)
    return money.format_usd(endings.cost_nano(snapshot, milliseconds))


def test_three_seconds_of_an_a100_cost_what_each_table_says() -> None:
    call_command("price_hardware", table="article", stdout=io.StringIO())
    assert cost_of("gpu-a100-large", 3_000) == "0.0021"
    assert cost_of("gpu-h100", 1_000) == "0.0015"
    call_command("price_hardware", stdout=io.StringIO())
    assert cost_of("gpu-a100-large", 3_000) == "0.0042"
    assert cost_of("cpu", 1) == "0.0000001"


def test_a_run_keeps_the_price_that_it_began_with() -> None:
    hardware.apply(hardware.read(hardware.SEEDS.read_text(), table="article"))
    machine = Hardware.objects.get(sku="gpu-a100-large")
    run = predict(payer(), hosted(machine=machine))
    hardware.apply(hardware.read(hardware.SEEDS.read_text(), table="field"))
    Prediction.objects.filter(pk=run.pk).update(status=Status.PROCESSING, started_at=run.created_at)
    endings.end(prediction_id=run.pk, status=Status.SUCCEEDED, run_ms=3_000)
    run.refresh_from_db()
    assert run.amount_nano == money.parse_usd("0.0021")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tables: {field: [{sku: cpu}]}", "name"),
        ("tables: {field: [{sku: 'C P U', name: x, per_second: '1'}]}", "sku"),
        ("tables: {field: [{sku: cpu, name: x, per_second: much}]}", "cpu"),
        ("tables: {field: [{sku: cpu, name: x, per_second: '-1'}]}", "cpu"),
        ("tables: {other: []}", "no table 'field'; it has other"),
        ("tables: {field: [{sku: a, name: x, per_second: '1'}, {sku: a, name: y, per_second: '1'}]}", "twice"),
        ("[", "not YAML"),
    ],
)
def test_a_table_that_cannot_be_read_says_where(text: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        hardware.read(text, table="field")


def test_the_command_names_the_file(tmp_path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("price_hardware", file=tmp_path / "none.yaml")
