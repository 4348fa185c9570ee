"""Which meter counts what, and that nothing below a micro-dollar is lost."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from billing import meters


def test_each_hardware_class_has_its_meter_as_far_as_they_go() -> None:
    few = meters.plan(["cpu", "gpu-t4"])
    assert list(few.titles) == ["text", "media", "hardware_cpu", "hardware_gpu_t4"]
    assert few.family(kind="prediction", labels={"hardware": "gpu-t4"}) == "hardware_gpu_t4"
    just = meters.plan([f"g{n}" for n in range(13)])
    assert len(just.titles) == meters.MOST_ITEMS
    assert meters.OTHER_HARDWARE not in just.titles
    many = meters.plan([f"g{n}" for n in range(30)])
    assert len(many.titles) == meters.MOST_ITEMS
    assert many.family(kind="prediction", labels={"hardware": "g11"}) == "hardware_g11"
    assert many.family(kind="prediction", labels={"hardware": "g12"}) == meters.OTHER_HARDWARE


def test_what_no_hardware_made_is_text_or_media() -> None:
    plan = meters.plan([])
    assert plan.family(kind="chat", labels={}) == "text"
    assert plan.family(kind="embeddings", labels={"hardware": ""}) == "text"
    assert plan.family(kind="images", labels={}) == "media"


@given(st.lists(st.integers(-5_000, 5_000)))
def test_micro_dollars_add_up_to_the_whole_but_for_less_than_one(charged: list[int]) -> None:
    totals = [0, *itertools.accumulate(charged)]
    counted = sum(meters.micro(before_nano=a, after_nano=b) for a, b in itertools.pairwise(totals))
    assert 0 <= totals[-1] - counted * meters.NANO_PER_MICRO < meters.NANO_PER_MICRO


def test_quantities_add_up_their_units() -> None:
    units = {"prompt": 5, "cached_read": 3, "completion": 2, "reasoning": 1, "hardware_ms": 70, "request": 1}
    assert meters.quantities(units.items()) == {
        "tokens_in": 8,
        "tokens_out": 3,
        "tokens_cached": 3,
        "gpu_ms": 70,
        "images": 0,
    }
