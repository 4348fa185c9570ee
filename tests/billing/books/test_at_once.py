"""Sixty-four threads on one dollar, and a hundred ends of one request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from billing import invariants
from billing.models import Charge, Hold, Transaction
from billing.services import holds, ledger
from marketplace.lib import ids
from marketplace.lib.errors import PaymentRequired
from marketplace.lib.money import NANO
from tests.billing.services.test_holds import HOUR, cost, place
from tests.factories import marketplace as make
from tests.factories.billing import fund

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

THREADS = 64
HOLDS = 10_000


def at_once(count: int, work: Callable[[int], object]) -> list[object]:
    """`work(n)` for n < count on 64 threads, each with one connection."""

    def share(first: int) -> list[object]:
        try:
            return [work(n) for n in range(first, count, THREADS)]
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        return [result for results in pool.map(share, range(THREADS)) for result in results]


def test_ten_thousand_holds_on_a_dollar_never_go_below_zero() -> None:
    account = make.account()
    fund(account, "1.00")
    each = NANO // 400
    lowest = [NANO]

    def hold(n: int) -> str:
        try:
            made = holds.place(
                account_id=account.pk,
                key_id=None,
                amount_nano=each,
                kind="chat",
                reference=str(ids.uuid7()),
                expires_in=HOUR,
            )
        except PaymentRequired:
            return "refused"
        if n % 3 == 0:
            holds.release(hold_id=made.pk)
            return "released"
        holds.settle(hold_id=made.pk, rated=cost(each))
        lowest[0] = min(lowest[0], ledger.wallet_of(account.pk).free_nano)
        return "settled"

    ends = Counter(at_once(HOLDS, hold))
    assert ends["settled"] == 400  # exactly what a dollar pays for: nothing was refused while money was free
    assert lowest[0] >= 0
    wallet = ledger.wallet_of(account.pk)
    assert (wallet.balance_nano, wallet.held_nano) == (0, 0)
    assert invariants.run() == []


def test_a_hundred_settlements_of_one_request_have_one_effect() -> None:
    account = make.account()
    fund(account, "1.00")
    hold = place(account, 1000)
    made = at_once(100, lambda n: holds.settle(hold_id=hold.pk, rated=cost(n + 1)))
    charges = [one for one in made if one is not None]
    assert len(charges) == 1
    charge = Charge.objects.get()
    assert ledger.wallet_of(account.pk).balance_nano == NANO - charge.amount_nano
    assert Transaction.objects.filter(kind="charge").count() == Hold.objects.filter(state="settled").count() == 1
    assert invariants.run() == []
