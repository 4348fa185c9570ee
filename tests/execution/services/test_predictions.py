"""The life of a prediction's row and money, without a model: claims, ends, wallets, the clock."""

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing import invariants
from billing.models import Charge, Entry, Hold, LedgerAccount, Wallet
from execution import limits
from execution.models import Prediction
from execution.services import attempts, endings, predictions, upkeep
from execution.services.attempts import Attempt
from execution.states import Status
from marketplace.lib.errors import InvalidRequest, NotFound, PaymentRequired, Unprocessable
from tests.factories.execution import hardware, hosted, payer, predict

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _books_are_right() -> object:
    yield
    assert invariants.run() == []


def running(prediction: Prediction, *, seconds_ago: float = 0) -> Attempt:
    attempt = attempts.begin(prediction_id=prediction.pk, owner="w1", hardware=prediction.hardware.sku)
    assert attempt is not None
    assert attempts.started(attempt, now=timezone.now() - dt.timedelta(seconds=seconds_ago))
    return attempt


def fresh(prediction: Prediction) -> Prediction:
    return Prediction.objects.get(pk=prediction.pk)


def wallet(prediction: Prediction) -> Wallet:
    return Wallet.objects.get(account_id=prediction.account_id)


class TestCreate:
    def test_a_prediction_starts_with_a_minute_held(self) -> None:
        made = predict(payer(), hosted())
        assert made.status == "starting"
        assert len(made.pk) == 26
        assert made.input == {"text": "hi", "times": 1}
        assert wallet(made).held_nano == 6_000_000  # 60 s x $0.0001
        assert made.covered_ms == 60_000

    def test_a_shorter_life_holds_less(self) -> None:
        made = predict(payer(), hosted(), cancel_after=5)
        assert wallet(made).held_nano == 500_000
        assert made.deadline is not None

    def test_an_empty_wallet_leaves_nothing_behind(self) -> None:
        with pytest.raises(PaymentRequired, match="Not enough credit"):
            predict(payer("0.005"), hosted())
        assert not Prediction.objects.exists()
        assert not Hold.objects.exists()

    def test_an_input_that_does_not_fit_is_a_422_with_fields(self) -> None:
        with pytest.raises(Unprocessable) as caught:
            predict(payer(), hosted(), given={"times": 9, "colour": "red"})
        assert {one["field"] for one in caught.value.metadata["invalid_fields"]} == {
            "input.text",
            "input.times",
            "input.colour",
        }

    def test_a_dollar_pays_for_a_second_on_the_dearest_hardware(self) -> None:
        made = predict(payer("1.00"), hosted(machine=hardware("gpu-8x-h100", "0.0122")))
        attempt = running(made)
        assert endings.end(prediction_id=made.pk, status=Status.SUCCEEDED, run_ms=1000, only=attempt.mine)
        assert fresh(made).amount_nano == 12_200_000
        assert wallet(made).balance_nano == 1_000_000_000 - 12_200_000


class TestResolve:
    def test_by_name_by_name_and_id_and_by_id(self) -> None:
        version = hosted()
        who = payer()
        for reference in ("demo/echo", f"demo/echo:{version.pk}", version.pk):
            assert predictions.resolve(reference=reference, account_id=who.pk) == version

    @pytest.mark.parametrize(
        "reference", ["", "demo", "demo/other", "demo/echo:", "x/echo:" + "0" * 64, "f" * 64, ":", "a/b/c"]
    )
    def test_anything_else_is_refused(self, reference: str) -> None:
        hosted()
        if reference == "demo/echo:":
            assert predictions.resolve(reference=reference, account_id=payer().pk).model.slug == "echo"
            return
        with pytest.raises(Unprocessable, match="does not exist"):
            predictions.resolve(reference=reference, account_id=payer().pk)

    def test_a_strangers_private_model_is_not_there(self) -> None:
        version = hosted(visibility="private")
        with pytest.raises(Unprocessable):
            predictions.resolve(reference=version.pk, account_id=payer().pk)
        with pytest.raises(NotFound):
            predictions.latest_of(owner="demo", name="echo", account_id=payer().pk)
        owner_id = version.model.publisher.account_id
        assert owner_id is not None
        assert predictions.resolve(reference=version.pk, account_id=owner_id) == version


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30), ("30s", 30), ("5m", 300), ("1h30m45s", 5445), ("1H", 3600), ("", None)]
)
def test_cancel_after_is_read(text: str, seconds: int | None) -> None:
    assert predictions.parse_cancel_after(text) == seconds


@pytest.mark.parametrize("text", ["4", "0s", "-5", "soon", "5d", "1.5h", "s", "m5"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Cancel-After"):
        predictions.parse_cancel_after(text)


class TestEnd:
    def test_run_time_is_charged_and_split_to_the_nano_dollar(self) -> None:
        made = predict(payer(), hosted(royalty_bps=1000))
        attempt = running(made)
        assert endings.end(prediction_id=made.pk, status=Status.SUCCEEDED, run_ms=1234, only=attempt.mine)
        charge = Charge.objects.get()
        assert charge.amount_nano == 123_400
        assert [(share["kind"], share["amount_nano"]) for share in charge.shares] == [
            ("publisher_payable", 12_340),
            ("platform_revenue", 111_060),
        ]
        assert charge.quantities == {"hardware_ms": 1234}
        assert wallet(made).held_nano == 0
        row = fresh(made)
        assert row.metrics["predict_time"] == 1.234
        assert row.metrics["total_time"] >= 0

    def test_it_happens_once(self) -> None:
        made = predict(payer(), hosted())
        attempt = running(made)
        ends = [
            endings.end(prediction_id=made.pk, status=status, run_ms=1000, only=attempt.mine)
            for status in (Status.SUCCEEDED, Status.CANCELED, Status.FAILED, Status.SUCCEEDED)
        ]
        assert ends == [True, False, False, False]
        assert Charge.objects.count() == 1
        assert fresh(made).status == "succeeded"

    def test_an_older_claim_cannot_end_it(self) -> None:
        made = predict(payer(), hosted())
        old = running(made)
        attempts.reap(now=timezone.now() + 2 * limits.LEASE)
        new = running(made)
        assert not endings.end(prediction_id=made.pk, status=Status.SUCCEEDED, run_ms=9000, only=old.mine)
        assert not attempts.write(old, output="old")
        assert not attempts.heartbeat(old, elapsed_ms=9000)
        assert attempts.write(new, output="new")
        assert endings.end(prediction_id=made.pk, status=Status.SUCCEEDED, run_ms=10, only=new.mine)
        assert fresh(made).amount_nano == 1000

    def test_a_failed_run_pays_its_run_time_and_a_failed_setup_nothing(self) -> None:
        version, who = hosted(), payer()
        ran, setup = predict(who, version), predict(who, version)
        attempt = running(ran)
        endings.end(prediction_id=ran.pk, status=Status.FAILED, run_ms=500, error="ValueError", only=attempt.mine)
        endings.end(prediction_id=setup.pk, status=Status.FAILED, run_ms=0, error="setup")
        assert (fresh(ran).amount_nano, fresh(setup).amount_nano) == (50_000, 0)

    def test_time_that_ran_backwards_costs_nothing(self) -> None:
        made = predict(payer(), hosted())
        attempt = running(made)
        endings.end(prediction_id=made.pk, status=Status.SUCCEEDED, run_ms=-5, only=attempt.mine)
        assert fresh(made).run_ms == 0

    def test_a_publisher_without_royalty_gets_no_share(self) -> None:
        made = predict(payer(), hosted(royalty_bps=0))
        attempt = running(made)
        endings.end(prediction_id=made.pk, status=Status.SUCCEEDED, run_ms=1000, only=attempt.mine)
        kinds = set(Entry.objects.values_list("ledger_account__kind", flat=True))
        assert LedgerAccount.Kind.PUBLISHER_PAYABLE not in kinds

    def test_who_read_the_row_before_writes_its_end_without_reading_it_again(self, django_assert_num_queries) -> None:
        made = predict(payer(), hosted(royalty_bps=1000))
        row = attempts.waiting(prediction_id=made.pk, hardware="cpu")
        assert row is not None
        with django_assert_num_queries(1):
            attempt = attempts.claim(row, owner="w")
        assert attempt is not None
        row.started_at = timezone.now()
        assert attempts.started(attempt, now=row.started_at)
        with CaptureQueriesContext(connection) as written:
            changes = {"output": "done", "metrics": {"tokens": 3}}
            assert endings.end(
                prediction_id=made.pk,
                status=Status.SUCCEEDED,
                run_ms=1234,
                only=attempt.mine,
                changes=changes,
                claimed=row,
            )
        assert sum("execution_" in query["sql"] for query in written.captured_queries) == 1
        ended = fresh(made)
        assert (ended.status, ended.run_ms, ended.amount_nano, ended.output) == ("succeeded", 1234, 123_400, "done")
        assert (ended.metrics["tokens"], ended.metrics["predict_time"]) == (3, 1.234)
        assert Charge.objects.get().labels["status"] == "succeeded"

    def test_a_row_read_before_shows_what_a_poor_wallet_has_paid(self) -> None:
        made = predict(payer("0.006"), hosted())  # the minute that is held, and nothing beyond it
        row = attempts.waiting(prediction_id=made.pk, hardware="cpu")
        assert row is not None
        attempt = attempts.claim(row, owner="w")
        assert attempt is not None
        assert attempts.started(attempt)
        assert endings.end(
            prediction_id=made.pk, status=Status.SUCCEEDED, run_ms=90_000, only=attempt.mine, claimed=row
        )
        assert (fresh(made).amount_nano, Charge.objects.get().bad_debt_nano) == (6_000_000, 3_000_000)


class TestClaim:
    def test_a_row_that_another_has_had_meanwhile_is_not_taken(self) -> None:
        made = predict(payer(), hosted())
        row = attempts.waiting(prediction_id=made.pk, hardware="cpu")
        assert row is not None
        first = attempts.begin(prediction_id=made.pk, owner="other", hardware="cpu")
        assert first is not None
        assert attempts.claim(row, owner="w") is None
        attempts.give_back(first, reason="The worker was stopped")
        assert attempts.claim(row, owner="w") is None  # it waits again, and was read before that
        again = attempts.waiting(prediction_id=made.pk, hardware="cpu")
        assert again is not None
        assert attempts.claim(again, owner="w") == Attempt(prediction_id=made.pk, fence=2)

    def test_a_row_that_now_runs_another_version_is_not_taken(self) -> None:
        made = predict(payer(), hosted())
        row = attempts.waiting(prediction_id=made.pk, hardware="cpu")
        assert row is not None
        Prediction.objects.filter(pk=made.pk).update(version=hosted(version_id="b" * 64))
        assert attempts.claim(row, owner="w") is None


class TestCancel:
    def test_before_the_start_it_is_free(self) -> None:
        made = predict(payer(), hosted())
        row = predictions.cancel(account_id=made.account_id, prediction_id=made.pk)
        assert (row.status, row.amount_nano) == ("canceled", 0)
        assert Hold.objects.get().state == "released"
        assert attempts.begin(prediction_id=made.pk, owner="w", hardware="cpu") is None

    def test_a_run_pays_up_to_the_cancel_and_the_worker_notices(self) -> None:
        made = predict(payer(), hosted())
        attempt = running(made, seconds_ago=2)
        assert attempts.is_mine(attempt)
        row = predictions.cancel(account_id=made.account_id, prediction_id=made.pk)
        assert 2000 <= row.run_ms < 20_000
        assert row.amount_nano == endings.cost_nano(made.prices, row.run_ms)
        assert not attempts.is_mine(attempt)
        assert not endings.end(prediction_id=made.pk, status=Status.SUCCEEDED, run_ms=9000, only=attempt.mine)

    def test_what_has_ended_stays(self) -> None:
        made = predict(payer(), hosted())
        attempt = running(made)
        endings.end(prediction_id=made.pk, status=Status.SUCCEEDED, run_ms=1, only=attempt.mine)
        assert predictions.cancel(account_id=made.account_id, prediction_id=made.pk).status == "succeeded"

    def test_a_strangers_is_not_there(self) -> None:
        made = predict(payer(), hosted())
        with pytest.raises(NotFound):
            predictions.cancel(account_id=payer(email="eve@example.com", slug="eve").pk, prediction_id=made.pk)

    def test_a_run_whose_worker_is_silent_costs_nothing(self) -> None:
        made = predict(payer(), hosted())
        running(made, seconds_ago=100)
        Prediction.objects.filter(pk=made.pk).update(lease_expires_at=timezone.now() - dt.timedelta(seconds=1))
        assert predictions.cancel(account_id=made.account_id, prediction_id=made.pk).amount_nano == 0


class TestWallet:
    def test_a_long_run_is_held_for_a_minute_ahead(self) -> None:
        made = predict(payer(), hosted())
        attempt = running(made)
        for second in range(0, 300, 2):
            assert attempts.heartbeat(attempt, elapsed_ms=second * 1000)
            assert wallet(made).held_nano >= endings.cost_nano(made.prices, second * 1000 + 40_000)
        endings.end(prediction_id=made.pk, status=Status.SUCCEEDED, run_ms=299_000, only=attempt.mine)
        assert fresh(made).amount_nano == 29_900_000
        assert wallet(made).held_nano == 0

    def test_a_run_that_outlives_the_wallet_is_canceled_with_a_reason_and_never_overdraws(self) -> None:
        made = predict(payer("0.01"), hosted())  # 100 s of cpu
        attempt = running(made)
        second = 0
        while attempts.heartbeat(attempt, elapsed_ms=second * 1000):
            second += 2
            assert second < 110
        row = fresh(made)
        assert row.status == "canceled"
        assert row.error is not None
        assert row.error.startswith("The wallet is empty: the run was stopped after")
        assert second >= 50
        assert row.amount_nano == endings.cost_nano(made.prices, second * 1000)
        assert wallet(made).balance_nano == 10_000_000 - row.amount_nano
        assert Charge.objects.get().bad_debt_nano == 0

    def test_setting_up_costs_nothing_however_long(self) -> None:
        made = predict(payer("0.007"), hosted())
        attempt = attempts.begin(prediction_id=made.pk, owner="w", hardware="cpu")
        assert attempt is not None
        for _ in range(100):
            assert attempts.heartbeat(attempt, elapsed_ms=None)
        assert wallet(made).held_nano == 6_000_000

    def test_with_a_deadline_no_more_is_held_than_it_allows(self) -> None:
        made = predict(payer(), hosted(), cancel_after=10)
        attempt = running(made)
        for second in range(0, 10, 2):
            now = made.created_at + dt.timedelta(seconds=second)
            assert attempts.heartbeat(attempt, elapsed_ms=second * 1000, now=now)
        assert wallet(made).held_nano <= endings.cost_nano(made.prices, 17_000)


class TestLostWorker:
    def test_another_takes_over_and_only_its_time_is_charged(self) -> None:
        made = predict(payer(), hosted())
        running(made, seconds_ago=50)
        attempts.reap(now=timezone.now() + limits.LEASE / 2)
        assert fresh(made).status == "processing"
        attempts.reap(now=timezone.now() + 2 * limits.LEASE)
        assert fresh(made).status == "starting"
        second = running(made)
        endings.end(prediction_id=made.pk, status=Status.SUCCEEDED, run_ms=100, only=second.mine)
        assert fresh(made).amount_nano == 10_000
        assert fresh(made).attempts == 2

    def test_after_three_tries_it_fails_with_a_reason_and_costs_nothing(self) -> None:
        made = predict(payer(), hosted())
        for _ in range(limits.RUN_ATTEMPTS):
            assert fresh(made).status == "starting"
            running(made)
            attempts.reap(now=timezone.now() + 2 * limits.LEASE)
        row = fresh(made)
        assert (row.status, row.amount_nano) == ("failed", 0)
        assert row.error is not None
        assert "worker that ran this prediction was lost (attempt 3 of 3" in row.error
        assert wallet(made).held_nano == 0

    def test_a_prediction_given_back_waits_for_the_next(self) -> None:
        made = predict(payer(), hosted())
        attempt = attempts.begin(prediction_id=made.pk, owner="w", hardware="cpu")
        assert attempt is not None
        attempts.give_back(attempt, reason="no slot")
        assert attempts.next_unclaimed(hardware="cpu") == made.pk


class TestClock:
    def test_a_deadline_that_passes_cancels(self) -> None:
        made = predict(payer(), hosted(), cancel_after=5)
        upkeep.poll(now=timezone.now() + dt.timedelta(seconds=4))
        assert fresh(made).status == "starting"
        upkeep.poll(now=timezone.now() + dt.timedelta(seconds=6))
        row = fresh(made)
        assert (row.status, row.amount_nano) == ("canceled", 0)
        assert "deadline" in (row.error or "")

    def test_what_nobody_takes_fails_at_last(self) -> None:
        made = predict(payer(), hosted())
        upkeep.poll(now=timezone.now() + limits.QUEUE_TIME + dt.timedelta(seconds=1))
        row = fresh(made)
        assert row.status == "failed"
        assert "No worker with the hardware cpu" in (row.error or "")
        assert Hold.objects.get().state == "released"

    def test_unclaimed_work_is_rung_for_again_and_claimed_work_is_not(
        self, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: object
    ) -> None:
        version, who = hosted(), payer()
        waiting, taken = predict(who, version), predict(who, version)
        running(taken)
        later = timezone.now() + dt.timedelta(seconds=3)
        assert upkeep.ring(now=timezone.now()) == 0
        assert upkeep.ring(now=later) == 1
        assert upkeep.ring(now=later) == 0
        assert fresh(waiting).rung_at == later

    def test_the_oldest_is_next(self) -> None:
        version, who = hosted(), payer()
        first, _ = predict(who, version), predict(who, version)
        assert attempts.next_unclaimed(hardware="cpu") == first.pk
        assert attempts.next_unclaimed(hardware="gpu-t4") is None
        assert attempts.begin(prediction_id=first.pk, owner="w", hardware="gpu-t4") is None
