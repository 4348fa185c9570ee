"""Every scenario with the official client 1.x; prints {scenario: what came of it} as JSON.

`run.py validate` reads {"secret", "headers", "body"} instead and checks a webhook with the client's own helper.
"""

import io
import json
import os
import sys
import time

from replicate.client import Client
from replicate.exceptions import ModelError, ReplicateError
from replicate.webhook import Webhooks, WebhookSigningSecret

client = Client(api_token=os.environ.get("TOKEN"), base_url=os.environ.get("BASE_URL"))
HELLO, SHAPES, OWNER, TRAINER = (os.environ.get(name, "") for name in ("HELLO", "SHAPES", "OWNER", "TRAINER"))


def run():
    return "".join(client.run(HELLO, input={"text": "you", "times": 2}))


def run_with_a_version():
    version = client.models.get(HELLO).latest_version
    return "".join(client.run(f"{HELLO}:{version.id}", input={"text": "you"}))


def stream():
    events = list(client.stream(HELLO, input={"text": "you", "times": 3}))
    text = "".join(str(event) for event in events if event.event.value == "output")
    return [text, events[-1].event.value, all(event.id for event in events)]


def create_and_wait():
    made = client.predictions.create(model=HELLO, input={"text": "you"})
    made.wait()
    return [made.status, "".join(made.output), made.metrics["predict_time"] >= 0]


def cancel():
    made = client.predictions.create(model=HELLO, input={"text": "slow", "times": 50, "seconds": 50})
    while made.status == "starting":
        time.sleep(0.2)
        made.reload()
    made.cancel()
    made.reload()
    return made.status


def files():
    stored = client.files.create(io.BytesIO(b"hello"), filename="a.txt", metadata={"n": "one"})
    seen = client.files.get(stored.id)
    client.files.delete(stored.id)
    return [seen.name, seen.size, seen.metadata, stored.id in [one.id for one in client.files.list()]]


def file_input():
    with open(os.environ["PICTURE"], "rb") as picture:
        return len(client.run(SHAPES, input={"image": picture})["boxes"])


def models():
    machine = client.hardware.list()[0].sku
    made = client.models.create(owner=OWNER, name="py1", visibility="private", hardware=machine, description="d")
    return [made.name, made.visibility, client.models.get(f"{OWNER}/py1").latest_version is None]


def search():
    return [f"{one.owner}/{one.name}" for one in client.models.search(HELLO.split("/")[1])]


def lists():
    page = client.predictions.list()
    return [page.results[0].status in ("succeeded", "canceled"), [one.slug for one in client.collections.list()]]


def account():
    return client.accounts.current().username


def refusal():
    try:
        client.run(HELLO, input={"times": 1000})
    except ReplicateError as error:
        return [error.status, "times" in (error.detail or "")]


def failure():
    try:
        client.run(SHAPES, input={"image": io.BytesIO(b"no picture")})
    except ModelError as error:
        return "picture" in error.prediction.error


def deployments():
    version = client.models.get(HELLO).latest_version.id
    machine = client.hardware.list()[0].sku
    made = client.deployments.create(
        name="py1", model=HELLO, version=version, hardware=machine, min_instances=0, max_instances=1
    )
    run = client.deployments.predictions.create((OWNER, "py1"), input={"text": "you"})
    run.wait()
    listed = [one.name for one in client.deployments.list()]
    client.deployments.update(OWNER, "py1", max_instances=0)
    number = client.deployments.get(f"{OWNER}/py1").current_release.number
    return [made.current_release.number, run.status, "".join(run.output), "py1" in listed, number]


def _train(**more):
    with open(os.environ["TEXTS"], "rb") as texts:
        return client.trainings.create(version=TRAINER, input={"texts": texts, **more}, destination=f"{OWNER}/weather")


def trainings():
    machine = client.hardware.list()[0].sku
    client.models.create(owner=OWNER, name="weather", visibility="private", hardware=machine)
    made = _train(held_out=5)
    while made.status in ("starting", "processing"):
        time.sleep(0.2)
        made.reload()
    listed = made.id in [one.id for one in client.trainings.list()]
    learnt = "40 texts of 4 labels" in made.logs
    found = client.run(made.output["version"], input={"text": "gusts blew over the coast"})
    return [made.status, listed, learnt, found["label"], made.output["weights"].startswith("http")]


def training_canceled():
    made = _train()
    made.cancel()
    return client.trainings.get(made.id).status


def training_refused():
    try:
        _train(held_out=1000)
    except ReplicateError as error:
        return [error.status, "held_out" in (error.detail or "")]


def webhook():
    made = client.predictions.create(
        model=HELLO,
        input={"text": "you", "times": 2, "seconds": 1},
        webhook=os.environ["WEBHOOK"],
        webhook_events_filter=["start", "completed"],
    )
    made.wait()
    return [made.id, client.webhooks.default.secret().key]


SCENARIOS = (
    run,
    run_with_a_version,
    stream,
    create_and_wait,
    cancel,
    files,
    file_input,
    models,
    search,
    lists,
    account,
    refusal,
    failure,
    deployments,
    trainings,
    training_canceled,
    training_refused,
    webhook,
)


def outcome(scenario):
    try:
        return scenario()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


if sys.argv[1:] == ["validate"]:
    given = json.load(sys.stdin)
    Webhooks.validate(headers=given["headers"], body=given["body"], secret=WebhookSigningSecret(key=given["secret"]))
    print(json.dumps(True))
else:
    print(json.dumps({scenario.__name__: outcome(scenario) for scenario in SCENARIOS}))
