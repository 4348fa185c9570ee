"""What starting has in common whatever the walls: reading the build, waiting until ready, records of instances."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from execution import training
from execution.runtimes.base import InstanceSpec, SetupFailed, StartFailed
from execution.runtimes.cog import Gone, plain_error
from execution.runtimes.process_instance import ProcessInstance, said_in_setup

POLL_SECONDS: Final = 0.03
START_SECONDS: Final = 30.0  # for the server itself, before the creator's setup counts
SCHEMA_AT: Final = ".cog/openapi_schema.json"  # where Cog's server reads it, below its folder
WEIGHTS_AT: Final = "/run/turnpike/weights"
TRAINER: Final = Path(__file__).with_name("training_inside.py")
TRAINER_AT: Final = "/run/turnpike/training_inside.py"


def read_build(spec: InstanceSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """A build's own record, and the schema of what is started of it. Raises StartFailed."""
    try:
        build = json.loads((spec.build / "build.json").read_text())
        schema = json.loads((spec.build / "src" / SCHEMA_AT).read_text())
        return dict(build), training.document_of(schema) if spec.trains else dict(schema)
    except (OSError, ValueError) as error:
        raise StartFailed(f"The build of this version cannot be read: {error}.") from error


def weights_of(spec: InstanceSpec, build: Mapping[str, Any]) -> Path | None:
    """The file of weights that the version was made with, for its setup; none for one that was uploaded."""
    return spec.build / str(build["weights"]) if build.get("weights") and not spec.trains else None


def weights_at(spec: InstanceSpec, build: Mapping[str, Any]) -> str:
    """Where the weights are seen behind walls that show nothing of the host."""
    found = weights_of(spec, build)
    return f"{WEIGHTS_AT}/{found.name}" if found else ""


def concurrency(spec: InstanceSpec, build: Mapping[str, Any]) -> int:
    """How many runs at one time."""
    return 1 if spec.trains else int(build.get("concurrency", 1))


def write_schema(home: Path, schema: Mapping[str, Any]) -> Path:
    """The schema of a training as a file that is shown in place of the build's."""
    path = home / "schema.json"
    path.write_text(json.dumps(schema))
    path.chmod(0o644)
    return path


def is_iterator(schema: Mapping[str, Any]) -> bool:
    """Whether the model's output comes piece by piece."""
    output = schema.get("components", {}).get("schemas", {}).get("Output", {})
    return bool(output.get("x-cog-array-type") == "iterator")


def command(spec: InstanceSpec, build: Mapping[str, Any], *, door_port: int) -> list[str]:
    """What runs inside: Cog's server, for predictions or a training, or the version's own server of chats."""
    if serves_chats(build):
        return ["python", str(build["reference"])]
    upload = ["--upload-url", f"http://127.0.0.1:{door_port}/out/"]
    mode = ["--x-mode", "train"] if spec.trains else []
    return ["python", "-m", "cog.server.http", "--host", "127.0.0.1", *mode, *upload]


def serves_chats(build: Mapping[str, Any]) -> bool:
    """Whether the version is a server of OpenAI's chat API."""
    return build.get("serves") == "chat"


def variables(
    spec: InstanceSpec,
    build: Mapping[str, Any],
    *,
    path: str,
    home: str,
    port: int,
    door_port: int,
    weights: str,
    trainer: str = TRAINER_AT,
) -> dict[str, str]:
    """The environment of the server, whatever the walls. `weights` (or "") and `trainer`: where it sees them."""
    return {
        # Cog starts its worker as `python` from PATH, whatever python it runs under itself.
        "PATH": path,
        "HOME": home,
        "LANG": "C.UTF-8",
        "PORT": str(port),
        "COG_PREDICT_TYPE_STUB": str(build["reference"]),
        **(_of_training(spec, build, door_port, trainer) if spec.trains else {}),
        **({"COG_WEIGHTS": weights} if weights else {}),
        "COG_SETUP_TIMEOUT": str(max(1, round(spec.limits.setup_seconds))),
        "COG_MAX_CONCURRENCY": str(concurrency(spec, build)),
        "COG_LOG_LEVEL": "warn",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **spec.environment,
    }


def _of_training(spec: InstanceSpec, build: Mapping[str, Any], door_port: int, trainer: str) -> dict[str, str]:
    """What Cog's server, and our function in front of the creator's, need to know of a training."""
    return {
        "COG_TRAIN_TYPE_STUB": f"{trainer}:train",
        "TURNPIKE_TRAIN": str(build["train"]),
        "TURNPIKE_DOOR": f"http://127.0.0.1:{door_port}/out/",
        "TURNPIKE_RUN": spec.trains,
    }


def start(
    *,
    launch: Callable[[], ProcessInstance],
    spec: InstanceSpec,
    is_canceled: Callable[[], bool],
    note: str,
) -> ProcessInstance:
    """Launch and wait until ready. Raises SetupFailed or StartFailed; then nothing is left behind."""
    began = time.monotonic()
    try:
        instance = launch()
    except (OSError, StartFailed) as error:
        raise StartFailed(f"The model could not be started: {error}{note}") from error
    try:
        _await_ready(instance, spec, is_canceled)
    except BaseException:
        instance.stop()
        raise
    instance.setup_seconds = time.monotonic() - began
    return instance


def _await_ready(instance: ProcessInstance, spec: InstanceSpec, is_canceled: Callable[[], bool]) -> None:
    limit = spec.limits.setup_seconds
    # Cog has the limit too and says it more exactly; ours is for a server that says nothing at all.
    answered, deadline = False, time.monotonic() + START_SECONDS
    if instance.client.chats:  # such a server loads its model first and listens then
        answered, deadline = True, time.monotonic() + limit
    while True:
        try:
            health = instance.client.health()
        except Gone:
            health = None
        if health is not None:
            if not answered:
                answered, deadline = True, time.monotonic() + limit + 5.0
            instance.said_in_setup = said_in_setup(health.logs)
            if health.status in ("READY", "BUSY"):
                return
            if health.status in ("SETUP_FAILED", "DEFUNCT", "UNHEALTHY"):
                raise _setup_failure(health.logs, limit, instance)
        if instance.lost_reason or not instance.is_running():
            raise SetupFailed(f"The model's process ended during its start: {instance.death()}.", logs=instance.logs())
        if is_canceled():
            raise StartFailed("The start was canceled.")
        if time.monotonic() > deadline:
            if not answered:
                raise StartFailed(f"Cog's server did not answer within {START_SECONDS:.0f} s. {instance.logs()}")
            raise SetupFailed(f"setup() took longer than the limit of {limit:g} s.", logs=instance.logs())
        time.sleep(POLL_SECONDS)


def _setup_failure(logs: str, limit: float, instance: ProcessInstance) -> SetupFailed:
    text = plain_error(logs.strip()) or instance.death()
    if "timed out" in text:
        return SetupFailed(f"setup() took longer than the limit of {limit:g} s.", logs=instance.logs())
    return SetupFailed(f"setup() failed: {text}", logs=instance.logs())
