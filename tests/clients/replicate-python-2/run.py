"""Every scenario with the official client 2.x; prints {scenario: what came of it} as JSON."""

import io
import json
import os
import time

import replicate
from replicate import Replicate
from replicate.exceptions import ModelError

# Its stream() makes a client of its own, from these.
os.environ["REPLICATE_API_TOKEN"] = os.environ["TOKEN"]
os.environ["REPLICATE_BASE_URL"] = f"{os.environ['BASE_URL']}/v1"
client = Replicate()
HELLO, SHAPES, OWNER = os.environ["HELLO"], os.environ["SHAPES"], os.environ["OWNER"]
MODEL_OWNER, MODEL_NAME = HELLO.split("/")


def run():
    return "".join(client.run(HELLO, input={"text": "you", "times": 2}))


def run_with_a_version():
    [version, *_] = client.models.versions.list(model_owner=MODEL_OWNER, model_name=MODEL_NAME)
    return "".join(client.run(f"{HELLO}:{version.id}", input={"text": "you"}))


def stream():
    return "".join(client.stream(HELLO, input={"text": "you", "times": 3}))


def create_and_wait():
    made = client.models.predictions.create(
        model_owner=MODEL_OWNER, model_name=MODEL_NAME, input={"text": "you"}, prefer="wait=30"
    )
    return [made.status, "".join(made.output), made.metrics.total_time >= 0]


def cancel():
    made = client.models.predictions.create(
        model_owner=MODEL_OWNER, model_name=MODEL_NAME, input={"text": "slow", "times": 50, "seconds": 50}
    )
    while made.status == "starting":
        time.sleep(0.2)
        made = client.predictions.get(prediction_id=made.id)
    client.predictions.cancel(prediction_id=made.id)
    return client.predictions.get(prediction_id=made.id).status


def files():
    stored = client.files.create(content=b"hello", filename="a.txt", metadata={"n": "one"})
    seen = client.files.get(file_id=stored.id)
    client.files.delete(file_id=stored.id)
    return [seen.name, seen.size, seen.metadata, stored.id in [one.id for one in client.files.list()]]


def file_input():
    with open(os.environ["PICTURE"], "rb") as picture:
        return len(client.run(SHAPES, input={"image": picture})["boxes"])


def models():
    machine = client.hardware.list()[0].sku
    made = client.models.create(owner=OWNER, name="py2", visibility="private", hardware=machine, description="d")
    changed = client.models.update(model_owner=OWNER, model_name="py2", readme="# Hello")
    client.models.delete(model_owner=OWNER, model_name="py2")
    return [made.name, made.visibility, changed.latest_version is None]


def search():
    return [f"{one.owner}/{one.name}" for one in client.models.search(body=MODEL_NAME)]


def lists():
    [first, *_] = client.predictions.list()
    return [first.status in ("succeeded", "canceled"), [one.slug for one in client.collections.list()]]


def account():
    return client.account.get().username


def refusal():
    try:
        client.run(HELLO, input={"times": 1000})
    except replicate.UnprocessableEntityError as error:
        return [error.status_code, "times" in str(error)]


def failure():
    try:
        client.run(SHAPES, input={"image": io.BytesIO(b"no picture")})
    except ModelError as error:
        return "picture" in error.prediction.error


def deployments():
    [version, *_] = client.models.versions.list(model_owner=MODEL_OWNER, model_name=MODEL_NAME)
    machine = client.hardware.list()[0].sku
    made = client.deployments.create(
        name="py2", model=HELLO, version=version.id, hardware=machine, min_instances=0, max_instances=1
    )
    place = {"deployment_owner": OWNER, "deployment_name": "py2"}
    run = client.deployments.predictions.create(**place, input={"text": "you"}, prefer="wait=60")
    listed = [one.name for one in client.deployments.list()]
    client.deployments.update(**place, max_instances=0)
    number = client.deployments.get(**place).current_release.number
    return [made.current_release.number, run.status, "".join(run.output), "py2" in listed, number]


def _train(**more):
    trainer, version = os.environ["TRAINER"].split(":")
    with open(os.environ["TEXTS"], "rb") as texts:
        stored = client.files.create(content=texts.read(), filename="weather.csv")
    named = dict(zip(("model_owner", "model_name"), trainer.split("/"), strict=True))
    given = {"texts": stored.urls.get, **more}
    return client.trainings.create(version_id=version, **named, destination=f"{OWNER}/weather", input=given)


def trainings():
    machine = client.hardware.list()[0].sku
    client.models.create(owner=OWNER, name="weather", visibility="private", hardware=machine)
    made = _train(held_out=5)
    while made.status in ("starting", "processing"):
        time.sleep(0.2)
        made = client.trainings.get(training_id=made.id)
    listed = made.id in [one.id for one in client.trainings.list()]
    learnt = "40 texts of 4 labels" in made.logs
    found = client.run(made.output.version, input={"text": "gusts blew over the coast"})
    return [made.status, listed, learnt, found["label"], made.output.weights.startswith("http")]


def training_canceled():
    made = _train()
    client.trainings.cancel(training_id=made.id)
    return client.trainings.get(training_id=made.id).status


def training_refused():
    try:
        _train(held_out=1000)
    except replicate.UnprocessableEntityError as error:
        return [error.status_code, "held_out" in str(error)]


def webhook():
    made = client.models.predictions.create(
        model_owner=MODEL_OWNER,
        model_name=MODEL_NAME,
        input={"text": "you", "times": 2, "seconds": 1},
        webhook=os.environ["WEBHOOK"],
        webhook_events_filter=["start", "completed"],
        prefer="wait=30",
    )
    return [made.id, client.webhooks.default.secret.get().key]


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


print(json.dumps({scenario.__name__: outcome(scenario) for scenario in SCENARIOS}))
