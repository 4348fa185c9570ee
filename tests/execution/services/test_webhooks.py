"""Telling of predictions by POST: what is sent, to whom, how often, and that nothing is lost."""

import datetime as dt
import threading
from collections.abc import Iterator

import pytest
from django.utils import timezone
from replicate.webhook import Webhooks, WebhookSigningSecret

from execution import limits
from execution.models import Prediction, SigningSecret, Webhook
from execution.services import endings, webhooks
from execution.states import Status
from marketplace.lib.errors import Unprocessable
from tests.factories.execution import hosted, payer, predict
from tests.servers.receiver import Receiver

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver(settings) -> Iterator[Receiver]:
    made = Receiver()
    settings.PRIVATE_ORIGINS = {made.origin}
    yield made
    made.close()


def told(receiver: Receiver, *events: str) -> Prediction:
    """A prediction whose owner wants to be told."""
    return predict(payer(), hosted(), webhook=f"{receiver.url}/hook", webhook_events=events or webhooks.EVENTS)


def end(prediction: Prediction, status: Status = Status.SUCCEEDED) -> None:
    if status == Status.SUCCEEDED:
        Prediction.objects.filter(pk=prediction.pk).update(status=Status.PROCESSING, started_at=timezone.now())
    endings.end(prediction_id=prediction.pk, status=status, run_ms=0, changes={"output": "done"})


def test_the_end_is_told_once_with_the_whole_prediction_and_validates_by_the_official_helper(receiver) -> None:
    prediction = told(receiver)
    assert not webhooks.deliver(prediction_id=prediction.pk)  # it has not ended
    end(prediction)
    assert webhooks.deliver(prediction_id=prediction.pk)
    assert not webhooks.deliver(prediction_id=prediction.pk)
    [(headers, body)] = receiver.got
    secret = WebhookSigningSecret(key=webhooks.secret_of(account_id=prediction.account_id))
    Webhooks.validate(headers=headers, body=body, secret=secret, tolerance=60)
    [shown] = receiver.bodies
    assert (shown["id"], shown["status"], shown["output"]) == (prediction.pk, "succeeded", "done")
    assert shown["urls"]["get"].startswith("http://testserver/v1/predictions/")


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELED])
def test_every_end_is_told(receiver, status: Status) -> None:
    prediction = told(receiver)
    end(prediction, status)
    assert webhooks.deliver(prediction_id=prediction.pk)
    assert receiver.bodies[0]["status"] == status.value


def test_a_filter_without_completed_is_not_told_of_the_end(receiver) -> None:
    prediction = told(receiver, "start")
    end(prediction)
    assert not webhooks.deliver(prediction_id=prediction.pk)
    assert receiver.got == []


@pytest.mark.parametrize("status", [500, 404, 301])
def test_a_try_that_was_not_heard_is_repeated_later_under_the_same_id(receiver, status: int) -> None:
    prediction = told(receiver)
    end(prediction)
    receiver.statuses = [status]
    now = timezone.now()
    assert not webhooks.deliver(prediction_id=prediction.pk, now=now)
    assert not webhooks.deliver(prediction_id=prediction.pk, now=now)  # not due yet
    assert len(receiver.got) == 1  # nor was a redirect followed
    assert webhooks.deliver(prediction_id=prediction.pk, now=now + dt.timedelta(seconds=1.5))
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert Webhook.objects.get(pk=prediction.pk).state == Webhook.State.TOLD


def test_tries_grow_apart_and_end_with_the_reason(receiver) -> None:
    prediction = told(receiver)
    end(prediction)
    receiver.statuses = [503] * 20
    now, waits = timezone.now(), []
    while (row := Webhook.objects.get(pk=prediction.pk)).due_at is not None:
        waits.append((max(row.due_at, now) - now).total_seconds())
        now = max(now, row.due_at)
        webhooks.deliver(prediction_id=prediction.pk, now=now)
    assert waits[1:] == list(limits.WEBHOOK_DELAYS)
    assert (row.state, row.outcome) == (Webhook.State.GIVEN_UP, "answered with status 503")


def test_gone_means_gone(receiver) -> None:
    prediction = told(receiver)
    end(prediction)
    receiver.statuses = [410]
    webhooks.deliver(prediction_id=prediction.pk)
    assert Webhook.objects.get(pk=prediction.pk).state == Webhook.State.GIVEN_UP


def test_a_try_whose_worker_died_is_made_again_when_its_lease_is_over(receiver) -> None:
    prediction = told(receiver)
    end(prediction)
    now = timezone.now()
    Webhook.objects.filter(pk=prediction.pk).update(tries=1, due_at=now + limits.WEBHOOK_LEASE)  # claimed, then dead
    assert webhooks.ring(now=now) == 0
    later = now + limits.WEBHOOK_LEASE
    assert webhooks.ring(now=later) == 1
    assert webhooks.deliver(prediction_id=prediction.pk, now=later)


def test_private_addresses_are_not_called(receiver, settings) -> None:
    prediction = told(receiver)
    settings.PRIVATE_ORIGINS = set()
    end(prediction)
    webhooks.deliver(prediction_id=prediction.pk)
    row = Webhook.objects.get(pk=prediction.pk)
    assert receiver.got == []
    assert row.state == Webhook.State.GIVEN_UP
    assert "not called" in row.outcome


def test_a_run_is_told_of_at_most_every_half_second_with_its_newest_state(receiver) -> None:
    prediction = told(receiver, "output", "logs")
    heard = threading.Event()
    with webhooks.Live(prediction) as live:
        live.tell("start")  # not asked for
        for number in range(20):
            Prediction.objects.filter(pk=prediction.pk).update(status="processing", logs=f"line {number}")
            live.tell("logs")
            heard.wait(0.05)
        heard.wait(0.7)
    assert 2 <= len(receiver.got) <= 5
    assert receiver.bodies[-1]["logs"] == "line 19"
    assert {body["status"] for body in receiver.bodies} == {"processing"}
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == len(receiver.got)


def test_a_receiver_that_hangs_keeps_no_run_waiting(settings) -> None:
    prediction = predict(payer(), hosted(), webhook="http://192.0.2.1/hook", webhook_events=["start"])
    before = timezone.now()
    with webhooks.Live(prediction) as live:
        live.tell("start")
    assert timezone.now() - before < dt.timedelta(seconds=2)


def test_an_account_keeps_one_secret_sealed_in_the_table() -> None:
    account = payer()
    secret = webhooks.secret_of(account_id=account.pk)
    assert secret == webhooks.secret_of(account_id=account.pk)
    assert secret.count("_") == 1
    assert secret.removeprefix("whsec_") not in SigningSecret.objects.get(pk=account.pk).sealed


@pytest.mark.parametrize("url", ["ftp://example.com", "example.com/hook", "http://", 5, "http://[", "x" * 3000])
def test_a_webhook_that_is_no_address_is_refused(url: object) -> None:
    with pytest.raises(Unprocessable, match="webhook"):
        webhooks.read(url=url, events=None)


def test_the_filter_names_events_that_exist() -> None:
    assert webhooks.read(url="https://example.com", events=[]) == ("https://example.com", list(webhooks.EVENTS))
    assert webhooks.read(url=None, events=["start"]) == ("", [])
    with pytest.raises(Unprocessable, match="webhook_events_filter"):
        webhooks.read(url="https://example.com", events=["finished"])


@pytest.mark.parametrize("url", ["http://127.0.0.1/hook", "http://localhost/x", "https://[::1]/x", "http://10.0.0.7/x"])
def test_an_address_that_is_never_called_is_refused_when_it_is_given(url: str) -> None:
    with pytest.raises(Unprocessable, match="would never be called"):
        webhooks.read(url=url, events=None)
    assert webhooks.read(url="https://hooks.example.com/x", events=None)[0]
