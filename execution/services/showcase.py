"""The demonstration's examples: published from their folders, each with a prediction that its page shows first."""

from __future__ import annotations

import mimetypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml
from django.conf import settings
from django.db.models import Q
from pydantic import BaseModel, ConfigDict, Field

from execution.builders import process
from execution.builders.source_folder import read_config_of
from execution.models import Prediction
from execution.runtimes import host
from execution.services import examples, files, folders, listings, predictions
from execution.states import BuildStatus, Status, is_terminal
from marketplace.lib.errors import Unprocessable
from marketplace.models import Account, Model, Version
from marketplace.services import accounts

LIST: Final = "demo.yaml"
LOOK_SECONDS: Final = 0.5
MOST_SECONDS: Final = 1800.0  # for a build, which bounds itself, and its place in the queue


class Example(BaseModel):
    """One line of the list. `files` and `texts` are inputs read from the example's folder: field -> name of a file.

    `by_hand`: why it is not built by itself, and what to do; empty for one that is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    title: str
    description: str
    input: dict[str, Any] | None = None
    files: dict[str, str] = {}
    texts: dict[str, str] = {}
    by_hand: str = ""

    @property
    def runs(self) -> bool:
        """Whether it has a first prediction; a server of chats has none."""
        return self.input is not None


def read(folder: Path) -> tuple[Example, ...]:
    """The examples in `folder`, in the order in which they are to be published."""
    return tuple(Example.model_validate(one) for one in yaml.safe_load((folder / LIST).read_text(encoding="utf-8")))


def present(*, account: Account, example: Example, folder: Path, pause: Callable[[float], None] = time.sleep) -> str:
    """Publish an example and show a first prediction, where that has not been done; what came of it, in a sentence.

    `folder` holds the examples. A worker builds and runs: this waits, asking every `pause` of half a second. Raises
    AppError where the build or the prediction fails.
    """
    source = folder / example.folder
    version = folders.published(account=account, slug=example.folder, folder=source)
    note = "" if version else example.by_hand or _lacking(source)
    model = _introduced(account, example, note)
    if note:
        return note
    if version is None:
        version = _built(account, example, source, pause)
    if example.runs and model.pk not in examples.defaults(model_ids=[model.pk]):
        _show_first(account, model, version, example, source, pause)
    return f"is version {version.pk[:12]}."


def _lacking(source: Path) -> str:
    """What this host must have to build it, and how to get it; empty when nothing is missing."""
    if host.chosen() != "process":
        return ""  # an image brings its own system packages
    names = process.lacking(read_config_of(source))
    if not names:
        return ""
    which = f"the system package{'s' if len(names) > 1 else ''} {' and '.join(names)}"
    return (
        f"It is not built yet: this host lacks {which}. Install with "
        f"“apt-get install -y --no-install-recommends {' '.join(names)}” and start Turnpike again."
    )


def _introduced(account: Account, example: Example, note: str) -> Model:
    """The model's row, whose description says what it waits for."""
    publisher = accounts.publisher_of(account=account)
    description = f"{example.description} {note}".strip()
    given = {"owner": publisher.slug, "name": example.folder, "visibility": "public", "hardware": "cpu"}
    model = Model.objects.filter(publisher=publisher, slug=example.folder).first()
    if model is None:
        model = listings.create(account=account, given=given)
        # What goes in and out is known with the first build.
        Model.objects.filter(pk=model.pk).update(name=example.title, input_modalities=[], output_modalities=[])
    # Not over what somebody has written there since.
    rows = Model.objects.filter(Q(description="") | Q(description__startswith=example.description), pk=model.pk)
    rows.update(description=description)
    return model


def _built(account: Account, example: Example, source: Path, pause: Callable[[float], None]) -> Version:
    build = folders.queue(account=account, slug=example.folder, folder=source)

    def ended() -> bool:
        build.refresh_from_db()
        return build.is_over

    _wait(ended, what=f"the build of {example.folder}", pause=pause)
    if build.status != BuildStatus.SUCCEEDED or build.version is None:
        raise Unprocessable(build.error or f"Its build is {build.status}.")
    return build.version


def _show_first(
    account: Account, model: Model, version: Version, example: Example, source: Path, pause: Callable[[float], None]
) -> None:
    given = dict(example.input or {})
    for field, name in example.texts.items():
        given[field] = (source / name).read_text(encoding="utf-8")
    stored = []
    for field, name in example.files.items():
        with (source / name).open("rb") as content:
            kind = mimetypes.guess_type(name)[0] or ""
            file = files.store(account_id=account.pk, content=content, name=name, content_type=kind)
        stored.append(file.pk)
        given[field] = files.mark(file)
    row = predictions.create(
        account_id=account.pk,
        key_id=None,
        version=version,
        given=given,
        base=settings.PUBLIC_URL,
        source=Prediction.Source.WEB,
        uploads=stored,
    )

    def ended() -> bool:
        row.refresh_from_db()
        return is_terminal(row.status)

    _wait(ended, what=f"the first prediction of {example.folder}", pause=pause)
    if row.status != Status.SUCCEEDED:
        raise Unprocessable(f"Its first prediction {row.status}: {row.error}")
    examples.choose(model=model, prediction_id=row.pk)


def _wait(ended: Callable[[], bool], *, what: str, pause: Callable[[float], None]) -> None:
    deadline = time.monotonic() + MOST_SECONDS
    while not ended():
        if time.monotonic() > deadline:
            raise Unprocessable(f"{what} has not ended after {MOST_SECONDS:.0f} seconds: is a worker running?")
        pause(LOOK_SECONDS)
