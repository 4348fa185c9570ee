"""What the record of a generation tells of money beside its cost."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from marketplace.lib import ids
from routing.api import shapes
from routing.models import Generation
from tests.factories.marketplace import account

PRICES = {
    "prompt": 3 * 10**9, "prompt>200000": 6 * 10**9, "cached_read": 3 * 10**8, "cached_write": 375 * 10**7,
    "completion": 15 * 10**9,
}  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        ({"prompt_tokens": 1_000}, None),
        ({"prompt_tokens": 1_000, "cached_tokens": 600}, 0.00162),
        ({"prompt_tokens": 1_000, "cache_write_tokens": 600}, -0.00045),
        ({"prompt_tokens": 300_000, "cached_tokens": 100_000}, 0.57),
    ],
)
def test_a_record_tells_what_caching_saved(tokens: dict[str, int], told: float | None) -> None:
    row = Generation.objects.create(
        id=ids.uuid7(), account=account(), hold_id=ids.uuid7(), requested_model="acme/one", model="acme/one",
        status=Generation.Status.FINISHED, streamed=False, completion_tokens=7, prices=PRICES, **tokens,
    )  # fmt: skip
    written: dict[str, Any] = orjson.loads(orjson.dumps(shapes.generation(row)))
    assert written["cache_discount"] == told
