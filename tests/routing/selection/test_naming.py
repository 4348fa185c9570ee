"""Names with variants, families and their latest, and the choice of a model left to us."""

from __future__ import annotations

import pytest

from routing.canonical import ProviderPreferences
from routing.selection import auto, naming
from routing.selection.auto import Option
from routing.selection.candidates import Need
from routing.selection.naming import Named

NEED = Need(input_bound=400, input_estimate=100, max_tokens=100)


@pytest.mark.parametrize(
    ("word", "name", "variants"),
    [
        ("acme/small", "acme/small", ()),
        ("acme/small:nitro", "acme/small", ("nitro",)),
        ("acme/small:free", "acme/small", ("free",)),
        ("acme/small:free:nitro", "acme/small", ("free", "nitro")),
        ("acme/small:nitro:floor", "acme/small", ("nitro", "floor")),
        ("acme/small:odd", "acme/small:odd", ()),
        ("acme/small:odd:free", "acme/small:odd", ("free",)),
        (":free", ":free", ()),
        (":nitro:free", ":nitro", ("free",)),
    ],
)
def test_a_word_is_read_as_name_and_variants(word: str, name: str, variants: tuple[str, ...]) -> None:
    assert naming.read(word) == Named(name, variants)


def test_variants_ask_for_what_they_are_named_after_and_the_callers_sort_wins() -> None:
    plain = ProviderPreferences()
    assert naming.wishes_of(["nitro"], plain).sort == "throughput"
    assert naming.wishes_of(["floor"], plain).sort == "price"
    assert naming.wishes_of(["exacto"], plain).sort == "exacto"
    assert naming.wishes_of(["nitro"], ProviderPreferences(sort="latency")).sort == "latency"
    assert naming.wishes_of(["free"], plain).max_price == {"prompt": 0, "completion": 0, "request": 0}
    assert naming.wishes_of([], plain) is plain
    both = naming.wishes_of(["nitro", "free", "floor"], plain)
    assert (both.sort, both.max_price["prompt"]) == ("price", 0)


def test_a_family_is_the_name_without_version_and_date() -> None:
    slugs = ["claude-opus-4.5", "claude-sonnet-4.5-20260901", "claude-sonnet-4", "claude-3-haiku"]
    assert naming.latest(slugs=slugs, family="claude-sonnet") == "claude-sonnet-4.5-20260901"
    assert naming.latest(slugs=slugs, family="claude-haiku") == "claude-3-haiku"
    assert naming.latest(slugs=slugs, family="claude") is None


@pytest.mark.parametrize(
    ("text", "need", "task"),
    [
        ("Tell me a story.", NEED, "chat"),
        ("Refactor this:\n```py\nx = 1\n```", NEED, "code"),
        ("Prove that the square root of two is irrational.", NEED, "reasoning"),
        ("Summarise this.", Need(90_000, 20_000, None), "long"),
        ("What is this?", Need(400, 100, None, inputs=frozenset({"text", "image"})), "vision"),
    ],
)
def test_the_kind_of_task_is_told_by_the_request(text: str, need: Need, task: str) -> None:
    assert auto.task_of(text=text, need=need) == task


def test_auto_takes_the_best_scored_of_the_band_and_says_why() -> None:
    options = [Option(f"m{i}", cost_nano=float(i), score=50.0 - i if i % 2 else None) for i in range(10)]
    picked = auto.pick(options=options, task="chat")
    assert picked is not None
    assert picked.models == ("m1", "m3", "m0")
    assert "chat task, low price band: 4 of 10" in picked.reason
    strong = auto.pick(options=options, task="code")
    assert strong is not None
    assert strong.models[0] == "m7"
    assert auto.pick(options=[], task="chat") is None
    one = auto.pick(options=options[:1], task="code")
    assert one is not None
    assert one.models == ("m0",)
