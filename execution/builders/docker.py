"""Builds an upload as an image of this host's Docker engine: dependencies with a network, the rest without one.

The Dockerfiles are ours, made from cog.yaml, and need no BuildKit. Dependencies are one image for each set of
requirements; the creator's commands and code come on top of it with `--network none`. The last image is used by its
digest and by nothing else.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from execution.builders import dockerfiles, environments, inspected, pip, source_folder, steps
from execution.builders.base import COG_VERSION, BuildCanceled, BuildFailed, BuildLimits, Built
from execution.builders.process import INSPECTION, INSPECTION_AT
from execution.package import CogConfig, PackageError, Requirement, digest
from execution.runtimes import engine
from execution.runtimes.base import RunLimits
from execution.schema import of_chat

LAYOUT: Final = "1"  # raise it when dependencies are made differently
LOOK_SECONDS: Final = 0.5
PULSE: Final = re.compile(r"^(?:Step \d+/\d+ : |---> |Removing intermediate|Successfully )")
_under_way = threading.Lock()
_count = 0


def build(
    *,
    source: Path,
    target: Path,
    var: Path,
    log: Callable[[str], None],
    limits: BuildLimits | None = None,
    is_canceled: Callable[[], bool] = lambda: False,
    salt: str = "",
) -> Built:
    """See base.Build. `target` gets build.json, which names the image, and the schema."""
    limits = limits or BuildLimits()
    config = source_folder.read_config_of(source)
    requirements = source_folder.requirements_of(source, config)
    source_folder.refuse_links(source)
    try:
        found = engine.survey()
        # A step of a build may say nothing for as long as the whole build may take.
        client = engine.connect(seconds=limits.seconds + 60)
    except engine.NoEngine as error:
        raise BuildFailed(f"This host cannot build containers: {error}.") from error
    staging = target.with_name(f".{target.name}.building")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with swept(client):
            work = Work(client, found, log, limits, is_canceled)
            return _build(work, config, requirements, source, staging, target, salt)
    except DockerException as error:
        raise BuildFailed(f"The Docker engine failed: {steps.masked(str(error))[:500]}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        client.close()


def _build(
    work: Work,
    config: CogConfig,
    requirements: Sequence[Requirement],
    source: Path,
    staging: Path,
    target: Path,
    salt: str,
) -> Built:
    base = work.client.images.get(engine.base_image())
    python = work.python_of(str(base.id))
    if config.python_version and not python.startswith(f"{config.python_version}."):
        raise PackageError(
            f"cog.yaml: build.python_version is {config.python_version}; this host's base image has Python {python}."
        )
    work.log(f"Building {config.reference} as a container for Python {python}, isolation: {work.engine.isolation}.")
    dependencies = work.dependencies(str(base.id), config, requirements, python)
    packages = work.packages_of(dependencies)
    frozen = source_folder.freeze(source, staging / "src", work.limits)
    coded = work.image(
        dockerfiles.of_code(dependencies, config),
        dockerfiles.context(frozen, under="src"),
        what="The sources",
        network="none",
    )
    try:
        if config.chat is not None:
            schema = of_chat(asdict(config.chat))
        else:
            schema = inspected.whole(config, inspect=lambda one: work.inspect(coded, one), log=work.log)
        text = json.dumps(schema, indent=1)
        extra = [f"cog=={COG_VERSION}", f"python=={python}", f"base=={base.id}", *config.run_commands, *packages, salt]
        name = digest(frozen, extra=extra)
        labels = {
            engine.LABEL: "version",
            f"{engine.LABEL}.version": name,
            "run.cog.version": COG_VERSION,
            "run.cog.openapi_schema": json.dumps(schema, separators=(",", ":")),
        }
        image = work.image(
            f"FROM {coded}\nCOPY openapi_schema.json /src/.cog/openapi_schema.json\nUSER {engine.NOBODY}\n",
            dockerfiles.context(None, openapi_schema_json=text),
            what="The image",
            network="none",
            tag=f"turnpike/version:{name}",
            labels=labels,
        )
    finally:
        work.forget(coded)
    size = steps.size_of(frozen)
    write(staging, target, text, _record(config, image, name, python))
    work.log(f"Built {name[:12]} as {image[:19]}…: {size} bytes of sources, {len(packages)} packages.")
    return Built(
        folder=target,
        python=Path(f"{dockerfiles.VENV}/bin/python"),
        schema=schema,
        digest=name,
        size_bytes=size,
        cog_version=COG_VERSION,
        python_version=python,
        packages=packages,
        concurrency=config.concurrency,
        gpu_memory_mib=config.gpu_memory_mib,
    )


def _record(config: CogConfig, image: str, name: str, python: str) -> dict[str, Any]:
    return {
        "kind": "docker",
        "image": image,
        "reference": config.reference,
        "train": config.train,
        "serves": "chat" if config.chat else "predictions",
        "python_version": python,
        "concurrency": config.concurrency,
        "gpu": config.gpu,
        "digest": name,
    }


def write(staging: Path, target: Path, schema: str, record: Mapping[str, Any]) -> None:
    """The folder of the build: the code itself lies in the image."""
    shutil.rmtree(staging)
    (staging / "src/.cog").mkdir(parents=True)
    (staging / "src/.cog/openapi_schema.json").write_text(schema)
    (staging / "build.json").write_text(json.dumps(record, indent=1))
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)


def share(record: Mapping[str, Any], *, digest: str) -> None:
    """Give a build's image a further name, of a version that runs it with weights of its own.

    It then stays until both versions are deleted. Raises DockerException, or engine.NoEngine.
    """
    client = engine.connect()
    try:
        client.images.get(str(record["image"])).tag(f"turnpike/version:{digest}")
    finally:
        client.close()


def remove(record: Mapping[str, Any]) -> None:
    """Remove the image of a build that is out of use; one that is gone already is no error."""
    try:
        client = engine.connect()
    except engine.NoEngine:
        return
    try:
        with suppress(ImageNotFound, APIError):
            client.images.remove(f"turnpike/version:{record['digest']}", force=True)
            if "from" in record:  # the image that it was made of, unless another version stands on it
                client.images.remove(record["from"])
    finally:
        client.close()


class Work:
    """One build at the engine."""

    def __init__(
        self,
        client: docker.DockerClient,
        found: engine.Engine,
        log: Callable[[str], None],
        limits: BuildLimits,
        is_canceled: Callable[[], bool],
    ) -> None:
        self.client, self.engine, self.limits = client, found, limits
        self._is_canceled = is_canceled
        self._lines = log
        self._deadline = time.monotonic() + limits.seconds
        self._id = os.urandom(8).hex()

    def log(self, line: str) -> None:
        """One line, without the passwords of its addresses."""
        self._lines(steps.masked(line[: steps.MAX_LINE]))

    def image(
        self,
        dockerfile: str,
        context: bytes,
        *,
        what: str,
        network: str,
        tag: str = "",
        labels: Mapping[str, str] | None = None,
        arguments: Mapping[str, str] | None = None,
        heard: list[str] | None = None,
    ) -> str:
        """Build one image; its id. Raises BuildFailed with the engine's last words, BuildCanceled."""
        # The label makes the containers of its steps, and what is left of a failure, known as ours.
        first, _, rest = dockerfile.partition("\n")
        marked = f"{first}\nLABEL {engine.LABEL}=build {engine.LABEL}.build={self._id}\n{rest}"
        words: list[str] = [] if heard is None else heard
        watch = _Watch(self.client, self._id, self._deadline, self._is_canceled)
        with watch:
            answer = self.client.api.build(
                fileobj=io.BytesIO(dockerfiles.with_file(context, "Dockerfile", marked)),
                custom_context=True,
                rm=True,
                forcerm=True,
                pull=False,
                decode=True,
                network_mode=network,
                tag=tag or None,
                labels=dict(labels or {}),
                buildargs=dict(arguments or {}),
                container_limits={"memory": self.limits.memory_bytes, "memswap": self.limits.memory_bytes},
            )
            image = self._follow(answer, words)
        if watch.reason:
            raise (
                BuildCanceled("Canceled.")
                if watch.reason == "canceled"
                else BuildFailed(f"{what} took longer than the limit of {self.limits.seconds:g} s.")
            )
        if not image:
            raise BuildFailed(f"{what} could not be built: {' '.join(words[-3:])[:1500] or 'the engine says no more'}")
        size = int(self.client.images.get(image).attrs["Size"])
        if size > self.limits.environment_bytes:
            self.forget(image)
            raise BuildFailed(f"{what} take {size} bytes; the limit is {self.limits.environment_bytes}.")
        return image

    def _follow(self, answer: Iterator[Mapping[str, Any]], words: list[str]) -> str:
        """Lines into the log until the end; the image's id, or nothing when it failed."""
        image, failed = "", False
        lines = steps.Lines(lambda line: self._hear(line, words))
        for event in answer:
            if "stream" in event:
                lines.feed(str(event["stream"]).encode())
            if "error" in event:
                failed = True
                lines.finish()
                self._hear(str(event["error"]), words)
            if "aux" in event and "ID" in event["aux"]:
                image = str(event["aux"]["ID"])
        lines.finish()
        return "" if failed else image

    def _hear(self, line: str, words: list[str]) -> None:
        line = re.sub(r"\x1b\[[0-9;]*m", "", line).strip()
        if line and not PULSE.match(line) and not re.fullmatch(r"---> [0-9a-f]{12}", line):
            words.append(line)
            self._lines(line)

    def dependencies(self, base: str, config: CogConfig, requirements: Sequence[Requirement], python: str) -> str:
        """The image with all requirements: equal sets are one image."""
        texts = sorted(one.written for one in requirements)
        parts = [LAYOUT, base, f"cog=={COG_VERSION}", "packages", *sorted(config.system_packages), "pip", *texts]
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
        tag = f"turnpike/dependencies:{key}"
        with suppress(ImageNotFound):
            found = self.client.images.get(tag)
            self.log("These requirements were installed before; they are used again.")
            return str(found.id)
        self.log(f"Installing {len(requirements)} requirements and {len(config.system_packages)} system packages.")
        tool = pip.find_pip()
        if tool is None:
            raise BuildFailed("This host has no pip to build with: install python3-pip.")
        heard: list[str] = []
        try:
            return self.image(
                dockerfiles.of_dependencies(base, config),
                dockerfiles.tools(tool, requirements),
                what="The requirements",
                network=os.environ.get("TURNPIKE_BUILD_NETWORK", "") or "bridge",
                tag=tag,
                labels={engine.LABEL: "dependencies"},
                arguments=dockerfiles.index(tool),
                heard=heard,
            )
        except BuildFailed as error:
            if any("Unable to locate package" in line for line in heard):
                missing = next(line for line in heard if "Unable to locate package" in line).rpartition(" ")[2]
                raise BuildFailed(f"cog.yaml: the base image's Debian has no system package {missing!r}.") from error
            if any(line.startswith("ERROR: ") for line in heard):
                minor = ".".join(python.split(".")[:2])
                raise BuildFailed(environments.explain(heard, requirements, python=minor, status=1)) from error
            raise

    def packages_of(self, image: str) -> tuple[str, ...]:
        """Exactly what is installed, read from a file of the image: nothing of it runs for that."""
        container = self.client.containers.create(image, ["true"], labels={engine.LABEL: "build"})
        try:
            pieces, _ = container.get_archive("/opt/packages.txt")
            with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
                content = archive.extractfile("packages.txt")
                text = content.read().decode() if content else ""
        finally:
            container.remove(force=True)
        return tuple(sorted(line.strip().lower() for line in text.splitlines() if "==" in line))

    def python_of(self, image: str) -> str:
        """The base image's Python, "3.11.2". Raises BuildFailed when it has none."""
        status, output, said = self.once(image, ["python3", "-c", "import platform; print(platform.python_version())"])
        if status != 0:
            raise BuildFailed(f"The base image {engine.base_image()} has no working python3: {said[:300]}")
        return output.decode().strip()

    def inspect(self, image: str, config: CogConfig) -> dict[str, Any]:
        """Cog's schema of the predictor: imports the creator's code, behind the walls of a run."""
        command = [f"{dockerfiles.VENV}/bin/python", "-B", INSPECTION_AT, config.path, config.name]
        status, output, said = self.once(image, command, {str(INSPECTION): INSPECTION_AT})
        for line in said.splitlines()[:200]:
            self.log(line)
        return inspected.read(status=status, output=output, config=config, log=self.log)

    def once(
        self, image: str, command: Sequence[str], mounts: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, str]:
        """Run a command behind the walls: its status, its output and what it complained."""
        bounds = RunLimits(memory_bytes=self.limits.memory_bytes)
        container = self.client.containers.create(
            image,
            list(command),
            entrypoint=[],
            working_dir="/src" if mounts else "/",
            environment={"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},  # noqa: S108  the container's own
            labels={engine.LABEL: "build"},
            **engine.walls(limits=bounds, engine=self.engine, mounts=mounts),
        )
        try:
            container.start()
            deadline = min(self._deadline, time.monotonic() + self.limits.inspect_seconds)
            while container.status != "exited":
                if self._is_canceled():
                    raise BuildCanceled("Canceled.")
                if time.monotonic() > deadline:
                    raise BuildFailed(f"Importing the predictor took longer than {self.limits.inspect_seconds:g} s.")
                time.sleep(0.05)
                container.reload()
            output = bytes(container.logs(stdout=True, stderr=False))[: steps.MAX_OUTPUT]
            said = bytes(container.logs(stdout=False, stderr=True))[: steps.MAX_OUTPUT].decode("utf-8", "replace")
            return int(container.attrs["State"]["ExitCode"]), output, said
        finally:
            container.remove(force=True)

    def forget(self, image: str) -> None:
        """Remove an image that was a step only; layers that others stand on stay."""
        with suppress(APIError, ImageNotFound):
            self.client.images.remove(image, noprune=False)


class _Watch:
    """Kills the containers of a build's steps when its time is over or somebody cancels it."""

    def __init__(
        self, client: docker.DockerClient, build_id: str, deadline: float, is_canceled: Callable[[], bool]
    ) -> None:
        self.reason = ""
        self._client, self._build_id, self._deadline, self._is_canceled = client, build_id, deadline, is_canceled
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="build-watch", daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            if not self.reason:
                self.reason = "canceled" if self._is_canceled() else "late" if time.monotonic() > self._deadline else ""
            if self.reason:
                with suppress(DockerException):
                    ours = f"{engine.LABEL}.build={self._build_id}"
                    for container in self._client.containers.list(filters={"label": ours}):
                        with suppress(APIError):
                            container.kill()


@contextmanager
def swept(client: docker.DockerClient) -> Iterator[None]:
    """What a failed build leaves in the engine goes with it, once no other build of this process may stand on it."""
    global _count
    with _under_way:
        _count += 1
    try:
        yield
    finally:
        with _under_way:
            _count -= 1
            if _count == 0:
                with suppress(DockerException):
                    client.images.prune(filters={"dangling": True, "label": f"{engine.LABEL}=build"})
