"""Usage on its way to Stripe: written once, counted once, whatever goes wrong; and the invoice is the usage."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from structlog.testing import capture_logs

from billing import invariants, tasks
from billing.gateways.stripe import transport
from billing.models import Charge, Invoice, Meter, MeterRow, Subscription
from billing.rating import rate
from billing.services import corrections, holds, ledger, metered, metering, rollups, subscriptions
from marketplace.lib.money import NANO
from marketplace.models import Account
from tests.billing.conftest import Post, with_card
from tests.billing.services.test_holds import cost, place
from tests.factories.billing import fund
from tests.factories.marketplace import HardwareFactory
from tests.factories.marketplace import user as make_user
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe.server import BUSY, CONFLICT, FAIL_AFTER, FAIL_BEFORE, HANG_UP_AFTER

State = MeterRow.State
HOUR = dt.timedelta(hours=1)


def decide(account: Account, dollars: int) -> None:
    metered.decide(account=account, credit_limit_nano=dollars * NANO, reason="A known customer.", decided_by=None)


def spend(account: Account, nano: int, **labels: Any) -> Charge:
    made = holds.settle(hold_id=place(account, nano).pk, rated=cost(nano), labels=labels)
    assert made is not None
    return made


@pytest.fixture
def closed(stripe: FakeStripe) -> Callable[..., dt.datetime]:
    """Lets the hours until now be closed: as if it were an hour later."""
    ahead = 0

    def close() -> dt.datetime:
        nonlocal ahead
        ahead += 1
        later = rollups.whole(timezone.now()) + HOUR * ahead
        rollups.close(now=later + rollups.GRACE)
        stripe.world.ahead = 3600 * ahead
        return later

    return close


@pytest.fixture
def bella(stripe: FakeStripe, alice: Account) -> Account:
    """Alice with a limit of $10 and a subscription; two classes of hardware are for rent."""
    HardwareFactory.create(sku="cpu", position=1)
    HardwareFactory.create(sku="gpu-t4", position=2)
    decide(alice, 10)
    subscriptions.sync()
    return alice


def at_stripe(stripe: FakeStripe, account: Account) -> dict[str, int]:
    """Meter -> what Stripe has counted."""
    found: dict[str, int] = {}
    for one in stripe.world._counted:
        assert one["payload"]["stripe_customer_id"] == account.customer.customer_id
        name = one["event_name"].removeprefix("turnpike_")
        found[name] = found.get(name, 0) + int(one["payload"]["value"])
    return found


# -- stripe_sync


def test_sync_makes_what_is_missing_and_then_nothing(
    stripe: FakeStripe, alice: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    HardwareFactory.create(sku="cpu")
    decide(alice, 10)
    call_command("stripe_sync")
    first = capsys.readouterr().out
    assert "+ meter text\n+ price text\n+ meter media" in first
    assert "+ meter gpu_ms\n+ meter images\n" in first
    assert f"+ subscription of {alice.slug}" in first
    posts = [call for call in stripe.calls if call[0] == "post"]
    call_command("stripe_sync")
    assert capsys.readouterr().out == "0 changes.\n"
    assert [call for call in stripe.calls if call[0] == "post"] == posts
    HardwareFactory.create(sku="gpu")
    call_command("stripe_sync")
    assert "~ subscription of" in capsys.readouterr().out
    priced = Meter.objects.exclude(price_id="").values_list("price_id", flat=True)
    (made,) = [one for one in stripe.world.objects.values() if one["object"] == "subscription"]
    assert sorted(made["_prices"]) == sorted(priced)
    assert made["collection_method"] == "send_invoice"


@pytest.mark.parametrize("fault", [FAIL_BEFORE, FAIL_AFTER, HANG_UP_AFTER, CONFLICT, BUSY])
@pytest.mark.parametrize("at", [0, 3, 10])
def test_sync_can_be_cut_off_anywhere(stripe: FakeStripe, alice: Account, fault: str, at: int) -> None:
    decide(alice, 10)
    stripe.faults.extend([""] * at + [fault] * 4)
    for _ in range(8):
        with contextlib.suppress(transport.Unreachable):
            subscriptions.sync()
    stripe.faults.clear()
    assert subscriptions.sync() == []
    kinds = [one["object"] for one in stripe.world.objects.values()]
    assert kinds.count("billing.meter") == Meter.objects.count() == 7
    assert kinds.count("subscription") == 1


def test_a_saved_card_is_charged(stripe: FakeStripe, alice: Account) -> None:
    customer = with_card(stripe, alice)
    decide(alice, 10)
    subscriptions.sync()
    made = stripe.world.objects[Subscription.objects.get().subscription_id]
    assert (made["collection_method"], made["default_payment_method"]) == (
        "charge_automatically",
        customer.payment_method_id,
    )


def test_without_keys_the_command_says_so(db: None, settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = ""
    with pytest.raises(CommandError, match="no Stripe keys"):
        call_command("stripe_sync")
    tasks.export_usage()


def test_an_account_that_became_post_paid_is_subscribed_by_the_clock(stripe: FakeStripe, alice: Account) -> None:
    decide(alice, 10)
    tasks.export_usage()
    assert not Subscription.objects.exists()  # the operator has never asked for it
    decide(alice, 0)
    subscriptions.sync()
    decide(alice, 10)
    tasks.export_usage()
    assert Subscription.objects.get().account == alice


# -- rows


def test_usage_is_counted_by_family_and_by_quantity(
    stripe: FakeStripe, bella: Account, closed: Callable[..., dt.datetime]
) -> None:
    spend(bella, 1_500_400)
    spend(bella, 700_700, hardware="gpu-t4")
    hold = place(bella, NANO)
    quantities = {"prompt": 1_000, "cached_read": 200, "completion": 30, "generated_image": 2}
    holds.settle(hold_id=hold.pk, rated=rate({"prompt": 1_000_000_000}, quantities))
    closed()
    assert metering.export() > 0
    assert at_stripe(stripe, bella) == {
        "text": 1_500 + 1_000,
        "hardware_gpu_t4": 700,
        "tokens_in": 1_200,
        "tokens_cached": 200,
        "tokens_out": 30,
        "images": 2,
    }
    assert metering.export() == 0
    assert metering.differences(timezone.now() + 2 * HOUR) == []


def test_less_than_a_micro_dollar_is_carried_over(
    stripe: FakeStripe, bella: Account, closed: Callable[..., dt.datetime]
) -> None:
    before = rollups.whole(timezone.now()) - HOUR
    MeterRow.objects.create(account=bella, meter="text", hour=before, value=0, total_nano=600, state=State.NOTHING)
    spend(bella, 700)
    spend(bella, 700, hardware="cpu")
    closed()
    metering.export()
    assert {name: n for name, n in at_stripe(stripe, bella).items() if name in {"text", "hardware_cpu"}} == {"text": 1}
    assert MeterRow.objects.get(meter="hardware_cpu").state == State.NOTHING


def test_a_correction_is_counted_where_its_charge_was(
    stripe: FakeStripe, bella: Account, closed: Callable[..., dt.datetime]
) -> None:
    charge = spend(bella, 900_000, hardware="cpu")
    corrections.correct(charge_id=charge.pk, rated=cost(400_000), reason="Counted wrong.")
    closed()
    metering.export()
    assert at_stripe(stripe, bella)["hardware_cpu"] == 400


def test_what_was_charged_before_the_decision_is_not_invoiced(
    stripe: FakeStripe, alice: Account, closed: Callable[..., dt.datetime]
) -> None:
    fund(alice, "5.00")
    spend(alice, NANO)
    decide(alice, 10)
    spend(alice, 2_000_000)
    subscriptions.sync()
    closed()
    metering.export()
    assert at_stripe(stripe, alice)["text"] == 2_000


@pytest.mark.parametrize("fault", [FAIL_BEFORE, FAIL_AFTER, HANG_UP_AFTER, CONFLICT, BUSY])
@pytest.mark.parametrize("streamed", [False, True])
def test_whatever_goes_wrong_a_row_counts_once(
    stripe: FakeStripe,
    bella: Account,
    closed: Callable[..., dt.datetime],
    settings: Any,
    fault: str,
    streamed: bool,
) -> None:
    settings.STRIPE_METER_STREAM = streamed
    spend(bella, NANO)
    spend(bella, NANO, hardware="cpu")
    closed()
    stripe.fail(*[fault] * 5)
    for _ in range(12):
        metering.export()
    assert not MeterRow.objects.filter(state=State.WAITING).exists()
    told = at_stripe(stripe, bella)
    assert (told["text"], told["hardware_cpu"]) == (1_000_000, 1_000_000)


@pytest.mark.parametrize("taken", [False, True])
def test_after_a_day_stripes_sum_is_looked_at_before_a_row_is_sent_again(
    stripe: FakeStripe, bella: Account, closed: Callable[..., dt.datetime], taken: bool
) -> None:
    spend(bella, NANO)
    closed()
    stripe.fail(*[HANG_UP_AFTER if taken else FAIL_BEFORE] * 50)
    metering.export()
    stripe.faults.clear()
    stripe.world.forget_identifiers()
    MeterRow.objects.exclude(first_tried_at=None).update(
        state=State.WAITING, sent_at=None, first_tried_at=timezone.now() - dt.timedelta(days=1)
    )
    for _ in range(2):
        metering.send()
    assert at_stripe(stripe, bella)["text"] == 1_000_000
    assert not MeterRow.objects.filter(state=State.WAITING).exists()


def test_what_stripe_drops_afterwards_is_told_and_sent_again_when_mended(
    stripe: FakeStripe, bella: Account, closed: Callable[..., dt.datetime], post_thin: Post, settings: Any
) -> None:
    settings.STRIPE_METER_STREAM = True
    spend(bella, NANO)
    closed()
    metering.export()
    row = MeterRow.objects.get(meter="text")
    stripe.world.lose_usage(str(row.pk))
    stripe.deliver_thin(post_thin, copies=2)
    row.refresh_from_db()
    assert (row.state, row.error) == (State.REFUSED, "The customer was deleted.")
    assert metering.export() == 0
    stripe.world.forget_identifiers()
    call_command("stripe_sync", "--retry")
    assert metering.export() == 1
    assert at_stripe(stripe, bella)["text"] == 1_000_000


def test_staff_send_refused_rows_again_or_drop_them_with_a_reason(
    stripe: FakeStripe, bella: Account, closed: Callable[..., dt.datetime]
) -> None:
    spend(bella, NANO)
    spend(bella, NANO, hardware="gpu-t4")
    closed()
    metering.export()
    one, two = MeterRow.objects.filter(state=State.SENT).order_by("pk")[:2]
    for row in (one, two):
        stripe.world.lose_usage(str(row.pk))
    MeterRow.objects.filter(pk__in=[one.pk, two.pk]).update(state=State.REFUSED, error="The customer was deleted.")
    user = make_user("staff@example.com")
    user.is_staff = user.is_superuser = True
    user.save()
    client = Client()
    client.force_login(user)
    page = "/staff/billing/meterrow/"

    def act(action: str, row: MeterRow, **more: str) -> str:
        given = {"action": action, "_selected_action": str(row.pk), **more}
        return client.post(page, given, follow=True).content.decode()

    assert "The customer was deleted." in client.get(f"{page}?state=refused").content.decode()
    assert "1 of them go with the next export." in act("retry", one)
    assert "Say why" in act("drop", two)
    assert "1 of them are dropped" in act("drop", two, reason="Gone with its customer.")
    assert "0 of them are dropped" in act("drop", one, reason="It waits again.")
    for row in (one, two):
        row.refresh_from_db()
    assert (one.state, two.state) == (State.WAITING, State.DROPPED)
    assert (two.dropped_because, two.dropped_by) == ("Gone with its customer.", user)
    stripe.world.forget_identifiers()
    assert metering.export() == 1
    assert metering.retry() == 0  # what is dropped stays so
    assert invariants.run() == []
    user.is_superuser = False
    user.save()
    assert client.get(page).status_code == 403


def test_a_difference_is_found(stripe: FakeStripe, bella: Account, closed: Callable[..., dt.datetime]) -> None:
    spend(bella, NANO)
    closed()
    metering.export()
    stripe.world._counted[0]["payload"]["value"] = "7"
    assert metering.differences() == []  # Stripe's sums may lag behind
    found = metering.differences(timezone.now() + 2 * HOUR)
    assert [one.theirs for one in found] == [7]
    MeterRow.objects.update(sent_at=timezone.now() - 2 * HOUR)
    with capture_logs() as told:
        tasks.pay_out()  # which runs every five minutes
    assert not [one for one in told if one["event"] == "meter_difference"]
    with capture_logs() as told:
        tasks.nightly_walk()
    assert [one["theirs"] for one in told if one["event"] == "meter_difference"] == [7]


def test_two_that_collect_at_once_write_the_rows_once(
    stripe: FakeStripe, bella: Account, closed: Callable[..., dt.datetime]
) -> None:
    spend(bella, NANO)
    closed()
    before = Subscription.objects.get()
    assert metering.collect(before) > 0
    assert metering.collect(before) == 0


def test_rows_that_do_not_add_up_are_a_violation(bella: Account, closed: Callable[..., dt.datetime]) -> None:
    spend(bella, NANO)
    closed()
    metering.collect(Subscription.objects.get())
    assert invariants.run() == []
    MeterRow.objects.filter(meter="text").update(value=1)
    assert [one.check for one in invariants.run()] == ["meter_rows_add_up"]


# -- the invoice


def test_the_invoice_is_what_was_used_and_its_payment_squares_the_wallet(
    stripe: FakeStripe, bella: Account, closed: Callable[..., dt.datetime], post: Post
) -> None:
    for nano in (1_234_567_891, 15_004_999, 333):
        spend(bella, nano)
    spend(bella, 777_777_777, hardware="gpu-t4")
    closed()
    metering.export()
    invoice_id = stripe.world.end_period(Subscription.objects.get().subscription_id)
    stripe.world.pay_invoice(invoice_id)
    stripe.deliver(post)
    row = Invoice.objects.get()
    assert (row.state, row.problem, row.amount_cents) == ("paid", "", 125 + 78)
    # What is owed still is less than a micro-dollar in each family.
    assert -2_000 < ledger.wallet_of(bella.pk).balance_nano <= 0
    rows = MeterRow.objects.filter(state=State.SENT, meter__in=["text", "hardware_gpu_t4"])
    assert row.usage_nano == 1_000 * sum(rows.values_list("value", flat=True))
    assert invariants.run() == []


def test_prepaid_again_ends_with_an_invoice_of_the_rest(
    stripe: FakeStripe, bella: Account, closed: Callable[..., dt.datetime], post: Post
) -> None:
    spend(bella, NANO)
    fund(bella, "3.00")
    decide(bella, 0)
    spend(bella, NANO)  # of what is prepaid
    closed()
    metering.export()
    assert subscriptions.sync() == [f"- subscription of {bella.slug}"]
    stripe.deliver(post)
    assert Invoice.objects.get().usage_nano == NANO
    assert subscriptions.sync() == []
    assert not subscriptions.is_due()
