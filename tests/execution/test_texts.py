import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution import texts

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(anything)
def test_whatever_comes_is_fit_afterwards_and_stays_as_it_is_when_it_was(one: Any) -> None:
    made = texts.value(one)
    assert texts.is_fit(made)
    json.dumps(made, allow_nan=False).encode()
    if texts.is_fit(one):
        assert made == one


@pytest.mark.parametrize(
    "unfit", ["a\x00b", "\ud800", math.nan, math.inf, {"a\x00": 1}, [["\x00"]], {"a": {"b": -math.inf}}]
)
def test_what_is_not_fit(unfit: Any) -> None:
    assert not texts.is_fit(unfit)


def test_a_value_that_never_ends_is_cut() -> None:
    deep: Any = []
    for _ in range(10_000):
        deep = [deep]
    assert not texts.is_fit(deep)
    assert texts.is_fit(texts.value(deep))
