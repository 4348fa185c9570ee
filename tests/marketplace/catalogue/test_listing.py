"""Both forms of a provider's list become the same entries; what cannot be sold says why."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.catalogue import listed_prices, listing
from marketplace.catalogue.listing import BadListing, Listed
from tests import reference

FLAT: dict[str, Any] = {
    "id": "Meta-Llama/Llama-3.3-70B",
    "name": "Llama 3.3 70B",
    "created": 1733443200,
    "hugging_face_id": "meta-llama/Llama-3.3-70B-Instruct",
    "input_modalities": ["text", "image"],
    "output_modalities": ["text"],
    "quantization": "fp8",
    "context_length": 131072,
    "max_output_length": 16384,
    "pricing": {
        "prompt": "0.0000001",
        "completion": "0.0000004",
        "image": "0",
        "request": "0",
        "input_cache_read": "0.00000005",
    },
    "supported_sampling_parameters": ["temperature", "stop", "of_their_own"],
    "supported_features": ["tools", "structured_outputs"],
    "description": "Open weights.",
}
MONITORED: dict[str, Any] = {
    "schema_version": "2.4",
    "id": "Meta-Llama/Llama-3.3-70B",
    "name": "Llama 3.3 70B",
    "created": 1733443200,
    "hugging_face_id": "meta-llama/Llama-3.3-70B-Instruct",
    "quantization": "fp8",
    "tokenizer": "Llama3",
    "description": "Open weights.",
    "input_modalities": [
        {
            "type": "text",
            "supported_inputs": {"max_context_length": {"value": 131072, "unit": "token"}},
            "pricing": [
                {"type": "prompt", "unit": "token", "cost_usd": "0.0000001"},
                {"type": "cached_prompt", "unit": "token", "cost_usd": "0.00000005", "implicit": True},
            ],
        },
        {"type": "image"},
    ],
    "output_modalities": [
        {
            "type": "text",
            "max_length": {"value": 16384, "unit": "token"},
            "streaming": True,
            "supported_parameters": {
                "temperature": {"type": "range", "min": 0, "max": 2},
                "stop": {"type": "array", "max_items": 4},
                "tools": {"type": "array"},
                "tool_choice": {"type": "unknown"},
                "response_format": {"type": "unknown"},
                "structured_outputs": {"type": "boolean"},
                "of_their_own": {"type": "unknown"},
            },
            "pricing": [{"type": "completion", "unit": "token", "cost_usd": "0.0000004"}],
        }
    ],
    "is_ready": True,
}
BOTH = Listed(
    "Meta-Llama/Llama-3.3-70B",
    model="meta-llama/llama-3.3-70b",
    name="Llama 3.3 70B",
    description="Open weights.",
    hugging_face_id="meta-llama/Llama-3.3-70B-Instruct",
    context_length=131072,
    max_output=16384,
    inputs=("text", "image"),
    outputs=("text",),
    parameters=("response_format", "stop", "structured_outputs", "temperature", "tool_choice", "tools"),
    quantization="fp8",
    prices={"prompt": 100_000_000, "completion": 400_000_000, "cached_read": 50_000_000},
)


def read(*rows: Any) -> list[Listed]:
    """What a list of these rows says."""
    return listing.read(json.dumps({"data": rows}).encode())


def changed(row: dict[str, Any], **fields: Any) -> Listed:
    """The one entry of a row with other fields."""
    return read(row | fields)[0]


def monitored(**input_text: Any) -> Listed:
    """The monitor's row with other fields in its text input."""
    row = copy.deepcopy(MONITORED)
    row["input_modalities"][0] |= input_text
    return read(row)[0]


@pytest.mark.parametrize("row", [FLAT, MONITORED], ids=["flat", "monitored"])
def test_both_forms_say_the_same(row: dict[str, Any]) -> None:
    assert read(row) == [BOTH]


def test_the_monitors_row_here_is_one_by_its_schema() -> None:
    reference.check_schema("openrouter-provider-monitor-schema-v2.openapi.json", "ModelDocumentV2", MONITORED)


def test_openrouters_own_list_can_be_read() -> None:
    row = {
        "id": "openai/gpt-4",
        "name": "GPT-4",
        "context_length": 8192,
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "pricing": {"prompt": "0.00003", "completion": "0.00006", "discount": 0},
        "top_provider": {"context_length": 8192, "max_completion_tokens": 4096, "is_moderated": True},
        "supported_parameters": ["temperature"],
    }
    (entry,) = read(row)
    assert (entry.problem, entry.max_output, entry.prices["prompt"]) == ("", 4096, 30_000_000_000)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"pricing": None}, "no price is listed"),
        ({"pricing": {"prompt": "much"}}, "the entry has not the form"),
        ({"pricing": {"prompt": "-1"}}, "is no price in dollars"),
        ({"pricing": {"prompt": "NaN"}}, "is no price in dollars"),
        ({"pricing": {"prompt": "0.1", "per_smile": "0.1"}}, "'per_smile' is of a kind that is not metered"),
        ({"context_length": None}, "no context length"),
        ({"context_length": 10**12}, "no context length"),
        ({"output_modalities": ["smell"]}, "'smell' is not known"),
        ({"discount_to_user": 2}, "less than 1"),
        ({"schema_version": "3.0"}, "'3.0' is not read here"),
        ({"input_modalities": 7}, "the entry has not the form"),
    ],
)
def test_what_cannot_be_sold_says_why(fields: dict[str, Any], problem: str) -> None:
    assert problem in changed(FLAT, **fields).problem


def test_a_free_unit_of_a_strange_kind_is_no_problem() -> None:
    entry = changed(FLAT, pricing=FLAT["pricing"] | {"per_smile": "0"})
    assert (entry.problem, dict(entry.prices)) == ("", dict(BOTH.prices))


def test_windows_that_fill_the_day_are_the_dearest_price_and_the_cheaper_times() -> None:
    lines = [
        {"type": "prompt", "unit": "token", "cost_usd": "0.0000001", "utc_start": 0, "utc_end": 1200},
        {"type": "prompt", "unit": "token", "cost_usd": "0.0000003", "utc_start": 1200, "utc_end": 0},
    ]
    entry = monitored(pricing=lines)
    told = {key: nano for key, nano in entry.prices.items() if key.startswith("prompt")}
    assert (told, entry.notes) == ({"prompt": 300_000_000, "prompt@0000-1200": 100_000_000}, ())
    flat = changed(FLAT, pricing=FLAT["pricing"] | {"prompt": "0.0000003", "overrides": [
        {"utc_start": 0, "utc_end": 1200, "prompt": "0.0000001"},
        {"utc_start": 1200, "utc_end": 0, "prompt": "0.0000003"},
    ]})  # fmt: skip
    # The top-level price is the one of the moment: a listing that is read at another time changes nothing.
    noon = changed(FLAT, pricing=FLAT["pricing"] | {"prompt": "0.0000001", "overrides": [
        {"utc_start": 0, "utc_end": 1200, "prompt": "0.0000001"},
        {"utc_start": 1200, "utc_end": 0, "prompt": "0.0000003"},
    ]})  # fmt: skip
    assert flat.prices == noon.prices
    assert flat.prices["prompt@0000-1200"] == 100_000_000


def test_a_long_prompts_price_is_read_as_such() -> None:
    overrides = [{"min_prompt_tokens": 200_000, "prompt": "0.0000009", "input_cache_read": "0.0000001"}]
    entry = changed(FLAT, pricing=FLAT["pricing"] | {"overrides": overrides}, discount_to_user=0.5)
    assert entry.prices["prompt>200000"] == 450_000_000
    assert entry.prices["cached_read>200000"] == 50_000_000
    assert entry.prices["prompt"] == 50_000_000
    assert entry.notes == ()


@pytest.mark.parametrize(
    "overrides",
    [
        # The later entry counts in the reference: here it would be the higher threshold.
        [{"min_prompt_tokens": 9, "prompt": "0.0000009"}, {"min_prompt_tokens": 5, "prompt": "0.0000001"}],
        [{"utc_start": 0, "utc_end": 1200, "prompt": "0.0000009"}, {"utc_start": 1100, "utc_end": 1300, "prompt": "0"}],
        [{"prompt": "0.0000009"}],
    ],
)
def test_conditions_that_are_not_sold_here_cost_the_highest_price(overrides: list[dict[str, Any]]) -> None:
    entry = changed(FLAT, pricing=FLAT["pricing"] | {"overrides": overrides})
    assert (entry.prices["prompt"], entry.notes) == (900_000_000, (listed_prices.HIGHEST,))
    assert not [key for key in entry.prices if ">" in key or "@" in key]


def test_an_override_that_depends_on_parameters_costs_the_highest_price() -> None:
    line = {"type": "prompt", "unit": "token", "cost_usd": "0.0000001", "overrides": [
        {"when": {"speed": {"equals": "fast"}}, "cost_usd": "0.0000007"},
    ]}  # fmt: skip
    entry = monitored(pricing=[line])
    assert (entry.prices["prompt"], entry.notes) == (700_000_000, (listed_prices.HIGHEST,))


def test_the_lifetime_of_a_cache_decides_its_unit() -> None:
    lines = [
        {"type": "cache_write", "unit": "token", "cost_usd": "0.000001", "ttl_seconds": 300},
        {"type": "cache_write", "unit": "token", "cost_usd": "0.000002", "ttl_seconds": 3600},
    ]
    prices = monitored(pricing=lines).prices
    assert (prices["cached_write"], prices["cached_write_1h"]) == (10**9, 2 * 10**9)


def test_a_price_of_a_kind_that_is_not_metered_is_not_given_away() -> None:
    line = {"type": "prompt", "unit": "megapixel", "cost_usd": "0.01"}
    assert "input text, prompt per megapixel" in monitored(pricing=[line]).problem


def test_discounts_and_markups_round_up() -> None:
    assert changed(FLAT, discount_to_user=0.25).prices["prompt"] == 75_000_000
    assert changed(FLAT, discount_to_user=-0.1).prices["prompt"] == 110_000_000
    assert changed(FLAT, pricing={"prompt": "0.0000000000000001"}).prices["prompt"] == 1


def test_names_that_are_no_names_are_left_to_the_reader() -> None:
    assert changed(FLAT, id="llama 3!").model == ""
    assert changed(FLAT, id="llama 3!", openrouter={"slug": "meta/llama-3"}).model == "meta/llama-3"
    assert listing.slugified("Llama 3! (new)") == "llama-3-new"
    assert listing.slugified("!!!") == "model"


def test_an_entry_counts_once_and_rubbish_not_at_all() -> None:
    assert read(FLAT, FLAT, None, 7, {"id": ""}, {"name": "no id"}, {"id": "x" * 300}) == [BOTH]


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"data": 7}', b"[" * 100_000])
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(BadListing):
        listing.read(body)


def test_too_many_entries_are_refused() -> None:
    with pytest.raises(BadListing, match="2,001"):
        read(*({"id": str(number)} for number in range(2_001)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FLAT, *MONITORED, "type"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted({*FLAT, *MONITORED, "openrouter", "discount_to_user"})), JSON))
def test_no_row_breaks_the_reader(fields: dict[str, Any]) -> None:
    for row in (FLAT | fields, MONITORED | fields):
        for entry in listing.read(json.dumps([row]).encode()):
            assert entry.problem or (entry.context_length > 0 and all(nano >= 0 for nano in entry.prices.values()))
