"""A host without a version's image makes the same one again. Installs its packages twice: `make test-docker-again`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from execution.services import builds, copies, folders
from tests.execution.docker.test_whole import SOURCES
from tests.factories.execution import hardware
from tests.factories.marketplace import account
from tests.servers.docker import DockerEngine

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]


def test_a_host_that_lacks_the_image_makes_the_same_again(docker_engine: DockerEngine, tmp_path: Path) -> None:
    hardware()
    for name, text in SOURCES.items():
        (tmp_path / name).write_text(text)
    version = folders.publish(account=account(email="maker@example.com", slug="maker"), slug="hello", folder=tmp_path)
    first = json.loads((builds.folder(version.build_path) / "build.json").read_text())
    builds.discard(builds.folder(version.build_path))
    heard: list[str] = []
    copies.bring(version=version, log=heard.append, is_canceled=lambda: False)
    again = json.loads((builds.folder(version.build_path) / "build.json").read_text())
    assert (again["digest"], again["packages"]) == (version.pk, first["packages"])
    client = docker_engine.client()
    try:
        assert client.images.get(again["image"]).labels["turnpike.version"] == version.pk
    finally:
        client.close()
    assert not [line for line in heard if "inputs and outputs" in line]  # no code of the sources has run
