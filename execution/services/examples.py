"""Examples: finished predictions that a model's publisher shows to all who may see the model.

What an account runs is its own. Only a prediction of the publisher's account, picked by it, is shown to others, with
its input, output and logs; its data then stay for as long as it is an example.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from execution import schema
from execution.models import File, Prediction
from execution.services import files
from execution.states import Status
from marketplace.lib.errors import Conflict, NotFound, Unprocessable
from marketplace.models import Model

MOST: Final = 50
_KINDS: Final = Prediction.Example


def _rows() -> QuerySet[Prediction]:
    rows = Prediction.objects.select_related("model__publisher", "version", "hardware", "deployment")
    return rows.exclude(example=_KINDS.NONE)


def listed(*, model: Model) -> QuerySet[Prediction]:
    """The examples of a model that the reader may see (that is for the caller to ask), newest first."""
    return _rows().filter(model=model)


def defaults(*, model_ids: Collection[int]) -> dict[int, Prediction]:
    """Model id -> its default example, where there is one."""
    return {row.model_id: row for row in _rows().filter(model_id__in=model_ids, example=_KINDS.DEFAULT)}


def find(*, account_id: int | None, prediction_id: str) -> Prediction:
    """An example of a model that the account (None: anybody) may see. Raises NotFound."""
    row = _rows().filter(model__in=Model.objects.visible_to(account_id), pk=prediction_id).first()
    if row is None:
        raise NotFound("There is no such example.")
    return row


def show(*, model: Model, prediction_id: Any, as_default: bool = False) -> Prediction:
    """Make a prediction of the publisher's own an example, or the default one in place of another.

    `model` is the caller's own, as listings.own gives it. Raises NotFound for a prediction that is not the
    publisher's, Unprocessable when it cannot be shown: the message says why.
    """
    row = _own(model, prediction_id)
    _require_showable(model, row)
    kept = _kept_input(row)
    kind = _KINDS.DEFAULT if as_default or row.example == _KINDS.DEFAULT else _KINDS.SHOWN
    try:
        with transaction.atomic():
            if kind == _KINDS.DEFAULT:
                others = Prediction.objects.filter(model=model, example=_KINDS.DEFAULT).exclude(pk=row.pk)
                others.update(example=_KINDS.SHOWN)
            # Conditional: retention may be taking the data away at this moment.
            if not Prediction.objects.filter(pk=row.pk, data_removed=False).update(example=kind, input=kept):
                raise Unprocessable(_GONE)
    except IntegrityError:
        raise Conflict("Another default example was chosen at the same moment: choose again.") from None
    return _own(model, row.pk)


def choose(*, model: Model, prediction_id: Any) -> None:
    """Make a prediction the model's default example; None: it has none, and the one it had stays an example.

    Raises what `show` does.
    """
    if prediction_id is None:
        Prediction.objects.filter(model=model, example=_KINDS.DEFAULT).update(example=_KINDS.SHOWN)
    else:
        show(model=model, prediction_id=prediction_id, as_default=True)


def hide(*, model: Model, prediction_id: str) -> None:
    """Show a prediction no longer; its data go when those of others would. Raises NotFound."""
    if not _rows().filter(model=model, pk=prediction_id).update(example=_KINDS.NONE):
        raise NotFound(f"{model.full_slug} has no such example.")


_GONE: Final = "The data of this prediction have been removed: run it again and show that one."


def _own(model: Model, prediction_id: Any) -> Prediction:
    rows = Prediction.objects.select_related("model__publisher", "version", "hardware", "deployment")
    row = rows.filter(account=model.publisher.account, kind=Prediction.Kind.PREDICTION, pk=str(prediction_id)).first()
    if row is None:
        raise NotFound("There is no such prediction in this account.")
    return row


def _require_showable(model: Model, row: Prediction) -> None:
    """Raises Unprocessable."""
    if row.model_id != model.pk:
        raise Unprocessable(f"This is a prediction of {row.model.full_slug}, not of {model.full_slug}.")
    if row.status != Status.SUCCEEDED:
        raise Unprocessable(f"This prediction is {row.status}: an example is one that has succeeded.")
    if row.data_removed:
        raise Unprocessable(_GONE)
    secrets = [one.name for one in schema.fields(row.version.openapi_schema) if one.kind == "secret"]
    if given := [name for name in secrets if row.input.get(name)]:
        raise Unprocessable(f"Its input has a secret ({', '.join(given)}), which an example would show to all.")
    if row.example == _KINDS.NONE and listed(model=model).count() >= MOST:
        raise Unprocessable(f"A model has at most {MOST} examples: remove one first.")


def _kept_input(row: Prediction) -> dict[str, Any]:
    """The input with copies of the files it was given: uploads expire, and other predictions lose theirs.

    Raises Unprocessable when one is gone already.
    """
    named = files.marks_in(row.input)
    found = {file.pk: file for file in File.objects.for_account(row.account_id).filter(pk__in=named)}
    if named - found.keys():
        raise Unprocessable("A file of its input has been removed: run it again and show that one.")
    copies = {
        files.mark(file): files.mark(files.copy(file, account_id=row.account_id, prediction_id=row.pk))
        for file in found.values()
        if file.prediction_id != row.pk
    }
    kept: dict[str, Any] = files.each_string(row.input, lambda text: copies.get(text, text))
    return kept
