"""Inside an instance that trains, in front of the creator's own train function: sends its weights out as a file.

Cog's server hands a file over to --upload-url only where the output itself is one. A file inside an object, which is
how trainings return weights beside what else they have to tell, becomes base64 in the middle of JSON, twice, in
memory: forty megabytes take five seconds. So this calls the train function and does with `weights` what Cog would do
with a file. Standard library only; the version's own Python runs it.

TURNPIKE_TRAIN is what cog.yaml names, "train.py:train"; TURNPIKE_DOOR the address that takes files, for the run
TURNPIKE_RUN.
"""

import functools
import http.client
import importlib.util
import inspect
import mimetypes
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit


def load() -> Any:
    """The creator's train function, imported as Cog would."""
    path, _, name = os.environ["TURNPIKE_TRAIN"].partition(":")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[Path(path).stem] = module
    spec.loader.exec_module(module)
    return getattr(module, name)


def send(path: Path) -> str:
    """Give a file out; the address that stands for it."""
    door = urlsplit(os.environ["TURNPIKE_DOOR"])
    connection = http.client.HTTPConnection(door.hostname or "", door.port, timeout=300)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    headers = {"x-prediction-id": os.environ["TURNPIKE_RUN"], "Content-Type": kind}
    try:
        with path.open("rb") as file:
            headers["Content-Length"] = str(os.fstat(file.fileno()).st_size)
            connection.request("PUT", f"{door.path}{quote(path.name)}", body=file, headers=headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 201:
                raise RuntimeError(f"the weights were not taken: status {answer.status}")
            return str(answer.headers["Location"])
    finally:
        connection.close()


def given_out(output: Any) -> Any:
    """The output with an address in place of a file called `weights` inside of it."""
    if isinstance(output, dict):
        weights = output.get("weights")
        return {**output, "weights": send(Path(weights))} if isinstance(weights, os.PathLike) else output
    weights = getattr(output, "weights", None)
    if isinstance(weights, os.PathLike):
        object.__setattr__(output, "weights", send(Path(weights)))
    return output


def defaults(inner: Any) -> "dict[str, Any]":
    """What is meant by inputs that are not given: of a function that is not its own, Cog leaves `Input(…)` there."""
    found = {name: one.default for name, one in inspect.signature(inner).parameters.items()}
    return {name: one.default for name, one in found.items() if type(one).__name__ == "FieldInfo"}


def wrapped(inner: Any) -> Any:
    """The same function as far as Cog looks at it."""
    meant = defaults(inner)

    @functools.wraps(inner)
    def train(**given: Any) -> Any:
        return given_out(inner(**{**meant, **given}))

    return train


train = wrapped(load())
