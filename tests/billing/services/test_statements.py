"""What people read of their charges adds up."""

from __future__ import annotations

import datetime as dt

import pytest

from billing.models import Charge
from billing.rating import rate
from billing.services import holds, statements
from billing.services.statements import Narrowed
from tests.billing.services.test_holds import place
from tests.factories import marketplace as make
from tests.factories.billing import fund


@pytest.mark.django_db
def test_the_days_of_a_chart_are_a_month_at_least_and_add_up() -> None:
    account = make.account()
    fund(account, "1.00")
    for nano in (10, 20):
        holds.settle(hold_id=place(account, 100).pk, rated=rate({"request": 1_000_000}, {"request": nano}))
    days = statements.per_day(statements.charges(account_id=account.pk, narrowed=Narrowed()))
    assert len(days) == 30
    assert [nano for _, nano in days] == [0] * 29 + [30]
    assert days[-1][0] - days[0][0] == dt.timedelta(days=29)


@pytest.mark.django_db
def test_nothing_charged_has_no_days() -> None:
    assert statements.per_day(Charge.objects.all()) == []
