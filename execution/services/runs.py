"""A worker's way with predictions: take a slot, claim, run, end, and take the next (house.md, "one hosted prediction").

No transaction is open while the model runs. A pulse beside the run renews the lease and keeps it paid; the run
itself writes output and logs with its fence at most five times a second.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import structlog
from django.conf import settings
from django.utils import timezone

from execution import limits, schema, texts
from execution.agent.agent import Agent
from execution.agent.leases import Lease
from execution.builders.base import BuildCanceled
from execution.models import Prediction
from execution.runtimes.base import Finished, Log, Output, ProducedFile, SetupFailed, Started, StartFailed
from execution.services import attempts, copies, endings, files, host, hosts, inputs, trained, webhooks
from execution.services.attempts import Attempt
from execution.services.pulse import Progress, Pulse
from execution.states import Status

logger = structlog.get_logger(__name__)

FLUSH_SECONDS: Final = 0.2
_MARGIN_SECONDS: Final = 5.0


def work(*, agent: Agent, prediction_id: str, hardware: str, owner: str) -> int:
    """Run this prediction and then others that wait for the hardware, as long as there is a free slot.

    A deployment's predictions run on its own instances, and are followed by others of the same deployment.
    Returns how many were run here. Never waits for a slot: who frees one takes the next from the database.
    """
    done = 0
    trains = True
    prediction = attempts.waiting(prediction_id=prediction_id, hardware=hardware)
    deployment_id = prediction.deployment_id if prediction else _deployment_of(prediction_id)
    while True:
        if prediction is not None:
            lease = _lease(agent, prediction, hardware)
            if lease is not None:
                try:
                    attempt = attempts.claim(prediction, owner=owner)
                    if attempt is not None:
                        _run(agent, lease, prediction, attempt)
                        done += 1
                finally:
                    lease.release()
            elif prediction.is_training:  # the last place is for what is short: let that go on
                trains = False
            else:
                return done
        if deployment_id:
            wanted = attempts.next_unclaimed(hardware=hardware, deployment_id=deployment_id)
        else:
            wanted = hosts.next_run(agent=agent, hardware=hardware, trains=trains)
        if wanted is None:
            return done
        prediction = attempts.waiting(prediction_id=wanted, hardware=hardware)


def _deployment_of(prediction_id: str) -> str | None:
    rows = Prediction.objects.filter(pk=prediction_id).order_by()
    return rows.values_list("deployment_id", flat=True).first()


def _lease(agent: Agent, prediction: Prediction, hardware: str) -> Lease | None:
    """A warm instance, or a new one where that is worth its start."""
    if prediction.is_training:
        return agent.acquire(host.spec_of(prediction.version, trains=prediction.pk))
    spec = host.spec_of(prediction.version)
    lease = agent.acquire(spec, pool=prediction.deployment_id or "", opens=False)
    if lease is None and not prediction.deployment_id and hosts.may_open(prediction=prediction, hardware=hardware):
        lease = agent.acquire(spec)
    return lease


def _run(agent: Agent, lease: Lease, prediction: Prediction, attempt: Attempt) -> None:
    """One attempt, from its inputs to its end; whatever goes wrong on our side gives the prediction back."""
    with _workspace() as folder, Pulse(attempt) as pulse, webhooks.Live(prediction) as live:
        try:
            given, local = inputs.fetch(prediction=prediction, folder=folder)
        except inputs.BadFile as error:
            endings.end(
                prediction_id=prediction.pk,
                status=Status.FAILED,
                run_ms=0,
                error=error.message,
                only=attempt.mine,
                claimed=prediction,
            )
            return
        try:
            copies.bring(version=prediction.version, log=Progress(attempt), is_canceled=pulse.is_lost)
            _Drive(agent, prediction, attempt, pulse, live).run(lease, given, local)
        except copies.CannotCopy as error:  # another host may have it
            attempts.give_back(attempt, reason=texts.text(error.message))
        except BuildCanceled:  # whoever ended the run has written that
            logger.info("run_canceled_before_its_build", prediction=prediction.pk)
        except SetupFailed as error:
            endings.end(
                prediction_id=prediction.pk,
                status=Status.FAILED,
                run_ms=0,
                error=texts.text(f"The model's setup failed: {error.message}"),
                only=attempt.mine,
                changes={"logs": texts.text(error.logs[-limits.MAX_LOG_CHARACTERS :])},
                claimed=prediction,
            )
        except StartFailed as error:
            logger.warning("model_start_failed", prediction=prediction.pk, error=error.message)
            attempts.give_back(attempt, reason=texts.text(f"The model could not be started: {error.message}"))
        except Exception:
            logger.exception("run_failed", prediction=prediction.pk)
            attempts.give_back(attempt, reason="The run failed on our side")


@contextlib.contextmanager
def _workspace() -> Iterator[Path]:
    parent = Path(settings.VAR) / "run" / "inputs"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Drive:
    """What comes out of a running model, on its way into the row."""

    def __init__(
        self, agent: Agent, prediction: Prediction, attempt: Attempt, pulse: Pulse, live: webhooks.Live
    ) -> None:
        self._agent = agent
        self._prediction = prediction
        self._attempt = attempt
        self._pulse = pulse
        self._live = live
        self._logs: list[str] = []
        self._output: Any = None
        self._changed: set[str] = set()  # of "logs" and "output"
        self._flushed_at = 0.0

    def run(self, lease: Lease, given: dict[str, Any], local: dict[str, Path]) -> None:
        """Drive the model to its end. Raises SetupFailed or StartFailed."""
        events = lease.predict(
            prediction_id=self._prediction.pk,
            input=given,
            files=local,
            sink=self._keep,
            is_canceled=self._pulse.is_lost,
            run_seconds=float(limits.TRAINING_SECONDS if self._prediction.is_training else limits.RUN_SECONDS),
        )
        try:
            for event in events:
                match event:
                    case Started():
                        self._start()
                    case Log(text=text):
                        self._logs.append(texts.text(text))
                        self._changed.add("logs")
                    case Output(value=value, append=True):
                        if self._output is None:
                            self._flushed_at = 0.0  # somebody may be waiting for the first piece
                        self._output = [*(self._output or []), texts.value(value)]
                        self._changed.add("output")
                    case Output(value=value):
                        self._output = texts.value(value)
                        continue  # the end is the next event, and writes it
                    case Finished():
                        self._finish(event)
                        return
                self._flush()
        finally:
            close = getattr(events, "close", None)
            if close is not None:
                close()
        attempts.give_back(self._attempt, reason="The model stopped without an end")

    def _start(self) -> None:
        self._pulse.run_started()
        self._flushed_at = time.monotonic()  # a short run writes its log with its end
        now = timezone.now()
        if attempts.started(self._attempt, now=now):
            self._prediction.started_at = now
            self._live.tell("start")
        else:
            self._pulse.lose()

    def _keep(self, produced: ProducedFile) -> str:
        return files.keep_output(
            prediction=self._prediction, path=produced.path, name=produced.name, content_type=produced.content_type
        )

    def _text(self) -> str:
        return "".join(self._logs)[: limits.MAX_LOG_CHARACTERS]

    def _flush(self) -> None:
        now = time.monotonic()
        if not self._changed or now - self._flushed_at < FLUSH_SECONDS:
            return
        changed, self._changed = self._changed, set()
        self._flushed_at = now
        if attempts.write(self._attempt, logs=self._text(), output=self._output):
            self._live.tell(*changed)
        else:
            self._pulse.lose()

    def _finish(self, event: Finished) -> None:
        """The end by the worker's own clock. Loses quietly against a cancel that came first."""
        if event.instance_lost and event.status != "succeeded" and self._agent.describe()["draining"]:
            attempts.give_back(self._attempt, reason="The worker was stopped")  # ours to bear: another one runs it
            return
        status = Status(event.status) if event.status in ("succeeded", "failed", "canceled") else Status.FAILED
        error = texts.text(event.error)
        changes: dict[str, Any] = {"logs": self._text(), "output": self._output}
        known = {
            name: value
            for name, value in texts.value(event.metrics).items()
            if name not in ("predict_time", "total_time")
        }
        if known:
            changes["metrics"] = known
        fruit: trained.Fruit | None = None
        if self._prediction.is_training and status == Status.SUCCEEDED:
            try:
                fruit = trained.pick(self._prediction, self._output)
                changes["output"] = fruit.output
            except trained.NoWeights as none:
                status, error = Status.FAILED, none.message
        elif status == Status.SUCCEEDED:
            wrong = schema.lacking_file(self._prediction.version.openapi_schema, self._output)
            status, error = (Status.FAILED, wrong) if wrong else (status, error)
        won = endings.end(
            prediction_id=self._prediction.pk,
            status=status,
            run_ms=round(max(0.0, event.seconds) * 1000),
            error=error or None,
            only=self._attempt.mine,
            changes=changes,
            also=fruit.publish if fruit else None,
            claimed=self._prediction,
        )
        if fruit:
            fruit.keep() if won else fruit.discard()
        if not won:
            logger.info("run_end_lost", prediction=self._prediction.pk, status=event.status)
