"""Versions of images that Cog has built, from a registry on this machine, and images that may not become one."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings

from billing import invariants
from execution.agent.agent import Agent
from execution.builders import image as builder
from execution.builders.base import BuildCanceled, BuildFailed, BuildLimits, Built
from execution.package import read_image
from execution.scheduling.seats import Capacity
from execution.services import build_runs, publishing, runs
from tests.execution.docker.conftest import Yard
from tests.factories.execution import hardware, payer, predict
from tests.factories.marketplace import account
from tests.servers import registry
from tests.servers.docker import DockerEngine
from tests.servers.registry import Registry
from tests.servers.system import ROOT

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]

PREDICTOR = "run.py:Runner"
SCHEMA = json.dumps({"paths": {"/predictions": {"post": {}}}})
LABELS = {"run.cog.openapi_schema": SCHEMA, "run.cog.config": json.dumps({"run": PREDICTOR})}


@pytest.fixture
def shelf() -> Iterator[Registry]:
    with registry.serving() as started:
        yield started


@pytest.fixture
def made_by_cog(yard: Yard, docker_engine: DockerEngine, shelf: Registry) -> Iterator[str]:
    """examples/hello-text as `cog build` leaves it, in the registry as hello:v1; its digest."""
    built = yard.build(ROOT / "examples" / "hello-text")
    client = docker_engine.client()
    try:
        record = json.loads((built.folder / "build.json").read_text())
        text = f"FROM {record['image']}\nENV COG_PREDICT_TYPE_STUB={PREDICTOR}\nUSER 0\n"
        image, _ = client.images.build(fileobj=io.BytesIO(text.encode()), rm=True)
        yield shelf.add_known("hello:v1", str(image.id), client=client, data=docker_engine.data)
    finally:
        client.close()


@pytest.mark.django_db(transaction=True)
def test_an_image_becomes_a_version_that_runs_and_names_its_digest(
    made_by_cog: str, shelf: Registry, docker_engine: DockerEngine, settings: Any
) -> None:
    settings.IMAGE_REGISTRIES = frozenset({shelf.host})
    shelf.login = "maker:a-canary-of-a-password"
    hardware()
    maker = account(email="maker@example.com", slug="maker")
    listing = publishing.Listing(slug="hello")
    given: dict[str, Any] = {"account": maker, "listing": listing, "reference": f"{shelf.host}/hello:v1"}

    refused = publishing.publish_image(**given)
    build_runs.work(build_id=refused.pk, owner="test")
    refused.refresh_from_db()
    assert "publish it with its user name and password" in refused.error

    build = publishing.publish_image(**given, username="maker", password="a-canary-of-a-password")
    assert "canary" not in build.source_secret
    build_runs.work(build_id=build.pk, owner="test")
    build.refresh_from_db()
    version = build.version
    assert version is not None, build.log
    assert (build.source_revision, build.source_secret) == (made_by_cog, "")
    assert (version.source_url, version.source_revision) == (f"{shelf.host}/hello:v1", made_by_cog)
    client = docker_engine.client()
    try:
        frozen = client.images.get(f"turnpike/version:{version.pk}")
        assert "canary" not in json.dumps([frozen.attrs, frozen.history(), build.log])
    finally:
        client.close()

    prediction = predict(payer(), version, given={"text": "you", "times": 2})
    agent = Agent(hardware="cpu", capacity=Capacity(seats=1), var=django_settings.VAR, kind="host")
    try:
        assert runs.work(agent=agent, prediction_id=prediction.pk, hardware="cpu", owner="test") == 1
    finally:
        agent.stop()
    prediction.refresh_from_db()
    assert (prediction.status, prediction.output) == ("succeeded", ["hello you, ", "hello you"]), prediction.error
    assert invariants.run() == []


Publish = Callable[..., Built]


@pytest.fixture
def publish(yard: Yard, docker_engine: DockerEngine, shelf: Registry) -> Publish:
    """Build an image of the registry, as a worker does."""

    def call(name: str, **more: Any) -> Built:
        given: dict[str, Any] = {
            "credentials": {},
            "pinned": yard.lines.append,
            "target": yard.var / "builds" / "refused",
            "log": yard.lines.append,
            "limits": BuildLimits(),
            "is_canceled": lambda: False,
            **more,
        }
        return builder.build(read_image(f"{shelf.host}/{name}", registries={shelf.host}), **given)

    return call


def layer(size: int = 10) -> bytes:
    """A tar with one file."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        entry = tarfile.TarInfo("weights")
        entry.size = size
        archive.addfile(entry, io.BytesIO(b"x" * size))
    return content.getvalue()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"Env": ["LD_PRELOAD=/weights"]}, "LD_PRELOAD"),
        ({"OnBuild": ["RUN id"]}, "ONBUILD"),
        ({"Volumes": {"/data": {}}}, "VOLUME"),
        ({"WorkingDir": "/"}, "work in /src"),
        ({"Labels": {}}, "which predictor"),
        ({"Labels": {"run.cog.config": LABELS["run.cog.config"]}}, "neither the label"),
        ({"Labels": {**LABELS, "run.cog.openapi_schema": "[]"}}, "no JSON object"),
        ({"Labels": {**LABELS, "run.cog.openapi_schema": "{}"}}, "no POST /predictions"),
        ({}, "cannot import cog|python"),
    ],
)
def test_an_image_that_may_not_run_here_is_told_why(
    publish: Publish, shelf: Registry, docker_engine: DockerEngine, change: dict[str, Any], says: str
) -> None:
    shelf.add_with_layer("bad:v1", layer(), {"WorkingDir": "/src", "Labels": LABELS, "Env": ["PATH=/bin"], **change})
    with pytest.raises(BuildFailed, match=says):
        publish("bad:v1")
    client = docker_engine.client()
    try:
        assert client.images.list(f"{shelf.host}/bad") == []
    finally:
        client.close()


def test_limits_and_cancels_end_a_pull(publish: Publish, shelf: Registry) -> None:
    shelf.add_with_layer("large:v1", layer(3_000_000), {"WorkingDir": "/src", "Labels": LABELS})
    with pytest.raises(BuildFailed, match="more than the limit of 1,000,000 bytes"):
        publish("large:v1", limits=BuildLimits(environment_bytes=1_000_000))
    shelf.add_with_layer("left:v1", layer(20), {"WorkingDir": "/src", "Labels": LABELS})
    with pytest.raises(BuildCanceled):
        publish("left:v1", is_canceled=lambda: True)


def test_an_image_that_is_not_there_and_a_host_without_an_engine_are_told(
    publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BuildFailed, match="has no image"):
        publish("none:v1")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(BuildFailed, match="DOCKER_HOST"):
        publish("none:v1")
