"""Identifiers survive the round trip; keys tell typing errors from wrong keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.lib import ids


@given(st.integers(0, 2**128 - 1))
def test_base62_is_reversible(number: int) -> None:
    assert ids.from_base62(ids.base62(number, width=22)) == number


def test_generation_ids_carry_their_uuid_and_time() -> None:
    uuid = ids.uuid7()
    text = ids.generation_id(uuid)
    assert ids.parse_generation_id(text) == uuid
    assert int(text.split("-")[1]) == (uuid.int >> 80) // 1000


@pytest.mark.parametrize("text", ["", "gen-1-short", "req-1-0000000000000000000000", "gen-1-00000000000000000000 0"])
def test_other_text_is_no_generation_id(text: str) -> None:
    with pytest.raises(ValueError, match=r"generation id|substring"):
        ids.parse_generation_id(text)


def test_a_new_key_is_recognised() -> None:
    assert ids.is_api_key(ids.new_api_key())


@given(st.data())
def test_one_wrong_character_is_noticed(data: st.DataObject) -> None:
    key = ids.new_api_key()
    place = data.draw(st.integers(len(ids.KEY_PREFIX), len(key) - 1))
    other = data.draw(st.sampled_from([c for c in ids.ALPHABET if c != key[place]]))
    assert not ids.is_api_key(key[:place] + other + key[place + 1 :])


def test_keys_do_not_repeat() -> None:
    assert len({ids.new_api_key() for _ in range(1000)}) == 1000
