"""A catalogue's mistakes are told by line, all at once."""

from __future__ import annotations

import pytest

from marketplace.catalogue.reader import BadCatalogue, read

HEAD = """\
providers:
  - slug: a
    name: A
    dialect: openai_chat
    base_url: https://a.example/v1
    models:
"""
OFFER = """\
      - model: acme/m1
        upstream: m1
        context_length: 100
"""


def problems(text: str) -> list[str]:
    """What the reader says against a text."""
    with pytest.raises(BadCatalogue) as refused:
        read(text, dialects=frozenset({"openai_chat"}))
    return refused.value.problems


def test_prices_are_read_by_their_key() -> None:
    price = '{prompt: "0.15", completion: "0.60", image: "0.04", input_cache_read: "0.03"}'
    catalogue = read(HEAD + OFFER + f"        price: {price}\n")
    assert catalogue.providers[0].models[0].price == {
        "prompt": 150_000_000,
        "completion": 600_000_000,
        "image": 40_000_000_000_000,
        "cached_read": 30_000_000,
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("        price: {prompt: 0.15}\n", "line 10: providers.0.models.0.price: prompt: write the price as a quoted"),
        ('        price: {prompt: "cheap"}\n', "line 10: providers.0.models.0.price: 'cheap' is no amount"),
        ('        price: {prompt: "-1"}\n', "line 10: providers.0.models.0.price: prompt: a price is not negative"),
        ('        price: {promt: "1"}\n', "line 10: providers.0.models.0.price: 'promt' is no price that we know"),
        ("        price: {}\n", "line 7: providers.0.models.0: price: name at least one price"),
        (
            '        price: {prompt: "1"}\n        colour: red\n',
            "line 11: providers.0.models.0.colour: this key is not",
        ),
        (
            '        price: {prompt: "1"}\n        max_output: 101\n',
            "line 7: providers.0.models.0: max_output 101 is more than context_length 100",
        ),
        (
            '        price: {prompt: "1"}\n        cost: {prompt: "0.96"}\n',
            "line 11: acme/m1: the cost of prompt is more than the provider's share",
        ),
    ],
)
def test_each_mistake_names_its_line(line: str, said: str) -> None:
    (problem,) = problems(HEAD + OFFER + line)
    assert problem.startswith(said)


def test_a_loss_can_be_meant() -> None:
    text = HEAD + OFFER + '        price: {prompt: "1"}\n        cost: {prompt: "2"}\n        allow_loss: true\n'
    assert read(text).providers[0].models[0].cost == {"prompt": 2_000_000_000}


def test_the_providers_share_may_be_used_up() -> None:
    read(HEAD + OFFER + '        price: {prompt: "1"}\n        cost: {prompt: "0.95"}\n')


def test_all_mistakes_come_at_once() -> None:
    text = "providers:\n  - slug: A b\n    name: A\n    dialect: openai_chat\n    base_url: ftp://x\n    models: []\n"
    assert [problem.split(":")[0] for problem in problems(text)] == ["line 2", "line 5"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the file is empty"),
        ("providers: [\n", "line 2: this is no YAML"),
        ("providers: []\nproviders: []\n", "line 1: 'providers' is said 2 times here"),
        (HEAD.replace("openai_chat", "klingon") + "      []\n", "line 4: 'klingon' is no dialect: use openai_chat"),
        ("- 1\n", "line 1"),
    ],
)
def test_what_is_no_catalogue_says_why(text: str, said: str) -> None:
    assert problems(text)[0].startswith(said)


def test_a_provider_twice_is_one_too_many() -> None:
    twice = HEAD.replace("    models:\n", "") * 1
    text = twice + "    models: []\n" + twice.removeprefix("providers:\n") + "    models: []\n"
    assert all("stands here twice" in problem for problem in problems(text))
