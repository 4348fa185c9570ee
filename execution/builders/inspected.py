"""What `inspection.py` said of a version's code, in a sandbox or a container: its schema, or what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from execution import training
from execution.builders.base import BuildFailed
from execution.package import CogConfig


def whole(
    config: CogConfig, *, inspect: Callable[[CogConfig], dict[str, Any]], log: Callable[[str], None]
) -> dict[str, Any]:
    """A version's schema: its predictor's, and its training function's where cog.yaml names one.

    `inspect` looks at what a config's `reference` names. Raises BuildFailed.
    """
    log(f"Reading the inputs and outputs of {config.reference}.")
    schema = inspect(config)
    if not config.train:
        return schema
    log(f"Reading the inputs and outputs of {config.train}.")
    schema = training.joined(schema, inspect(config.training))
    if not training.gives_weights(schema):
        raise BuildFailed(
            f"{config.train} returns no weights that a version could be made of: "
            "annotate it with -> Path, or with a BaseModel that has weights: Path."
        )
    return schema


def read(
    *, status: int, output: bytes, config: CogConfig, log: Callable[[str], None], unread: str = ""
) -> dict[str, Any]:
    """The schema. Raises BuildFailed with the creator's own line; all of its lines go to the log.

    `unread`: what to say of requirements that cog.yaml does not name, when a module is missing.
    """
    try:
        answer = json.loads(output)
    except ValueError:
        raise BuildFailed(f"{config.path} ended the process while it was imported (status {status}).") from None
    if "schema" in answer and isinstance(answer["schema"], dict):
        return dict(answer["schema"])
    frames = [str(frame) for frame in answer.get("frames", ())]
    for frame in frames:
        log(f"  {frame}")
    where = f" ({frames[-1]})" if frames else ""
    hint = ""
    if missing := str(answer.get("missing", "")).split(".")[0]:
        hint = f" {unread}" if unread else f" Is {missing!r} in the requirements?"
    raise BuildFailed(f"{config.reference} cannot be used: {str(answer.get('error', ''))[:2000]}{where}.{hint}")
