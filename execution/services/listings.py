"""Hosted models as their publishers manage them and as others find them: make, describe, delete, search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import IntegrityError, transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from execution.models import Build, Prediction, Release
from marketplace.lib.errors import Conflict, Forbidden, InvalidRequest, Unprocessable
from marketplace.models import Account, Hardware, Model, Version
from marketplace.models.accounts import SLUG
from marketplace.services import accounts
from marketplace.services.nearby import no_such_model

MAX_MODELS: Final = 1000
MAX_QUERY: Final = 500
# What the API calls it -> what the table does.
LINKS: Final = {
    "github_url": "source_url",
    "paper_url": "paper_url",
    "license_url": "license_url",
    "weights_url": "weights_url",
    "cover_image_url": "cover_url",
}
TEXTS: Final = {"description": 5_000, "readme": 200_000}


def _counted(rows: QuerySet[Model]) -> QuerySet[Model]:
    runs = Q(predictions__kind=Prediction.Kind.PREDICTION)
    return rows.select_related("publisher").annotate(run_count=Count("predictions", filter=runs, distinct=True))


def listed(*, account_id: int) -> QuerySet[Model]:
    """Hosted models with a version that the account may see, with `run_count` and the newest version's `latest_at`."""
    rows = Model.objects.visible_to(account_id).filter(hardware__isnull=False)
    newest = Version.objects.filter(model=OuterRef("pk")).order_by("-created_at").values("created_at")[:1]
    return _counted(rows.annotate(latest_at=Subquery(newest)).filter(latest_at__isnull=False))


def find(*, account_id: int, owner: str, name: str) -> Model:
    """A hosted model that the account may see, with its `run_count`. Raises NotFound."""
    rows = Model.objects.visible_to(account_id).named(f"{owner}/{name}").filter(hardware__isnull=False)
    row = _counted(rows).first()
    if row is None:
        raise no_such_model(f"{owner}/{name}", account_id=account_id)
    return row


def own(*, account_id: int, owner: str, name: str) -> Model:
    """A hosted model of the account itself. Raises NotFound, and Forbidden for another's public one."""
    row = find(account_id=account_id, owner=owner, name=name)
    if row.publisher.account_id != account_id:
        raise Forbidden(f"{row.full_slug} is another account's model: only its publisher may change it.")
    return row


def search(*, account_id: int, query: str) -> QuerySet[Model]:
    """Listed models in which every word of the query occurs: in name, publisher or description.

    Raises InvalidRequest for an empty query or one of more than 500 characters.
    """
    words = query.split()
    if not words or len(query) > MAX_QUERY:
        raise InvalidRequest(f"Search for one or more words, of at most {MAX_QUERY} characters in all.")
    rows = listed(account_id=account_id)
    for word in words:
        rows = rows.filter(
            Q(slug__icontains=word)
            | Q(name__icontains=word)
            | Q(description__icontains=word)
            | Q(publisher__slug__icontains=word)
        )
    return rows


def create(*, account: Account, given: Mapping[str, Any]) -> Model:
    """Make a model without a version, as an upload to it will need.

    `given` has owner, name, visibility and hardware, and may have description and links. Raises Unprocessable
    with every problem, Forbidden for a stranger's owner, Conflict for a name that is taken.
    """
    problems = [f"`{name}` is required." for name in ("owner", "name", "visibility", "hardware") if not given.get(name)]
    if problems:
        raise Unprocessable(" ".join(problems))
    publisher = accounts.publisher_of(account=account)
    if given["owner"] != publisher.slug:
        raise Forbidden(f"With this key models are made for the owner {publisher.slug}; `owner` is another.")
    name = str(given["name"])
    try:
        SLUG(name)
    except ValidationError:
        raise Unprocessable(f"`name`: {SLUG.message}") from None
    if given["visibility"] not in Model.Visibility.values:
        raise Unprocessable("`visibility` is public or private.")
    if Model.objects.owned_by(account.pk).count() >= MAX_MODELS:
        raise Unprocessable(f"An account has at most {MAX_MODELS} models.")
    row = Model(
        publisher=publisher,
        slug=name,
        name=name,
        visibility=given["visibility"],
        hardware=_hardware(given["hardware"]),
        royalty_bps=settings.PUBLISHER_ROYALTY_BPS,
        **described(given),
    )
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise Conflict(f"There is a model {publisher.slug}/{name} already.") from None
    return row


def _hardware(sku: Any) -> Hardware:
    machine = Hardware.objects.filter(sku=str(sku)[:64], is_active=True).first()
    if machine is None:
        known = ", ".join(Hardware.objects.filter(is_active=True).values_list("sku", flat=True))
        raise Unprocessable(f"`hardware` is one of {known}.")
    return machine


def described(given: Mapping[str, Any]) -> dict[str, str]:
    """Columns for the texts and links in a request; null clears. Raises Unprocessable."""
    columns: dict[str, str] = {}
    for name, longest in TEXTS.items():
        if name in given:
            text = given[name] or ""
            if not isinstance(text, str) or len(text) > longest or "\x00" in text:
                raise Unprocessable(f"`{name}` is a text of at most {longest:,} characters.")
            columns[name] = text
    for name, column in LINKS.items():
        if name in given:
            url = given[name] or ""
            try:
                if url:
                    URLValidator(schemes=["http", "https"])(url)
            except ValidationError:
                raise Unprocessable(f"`{name}` is an http or https URL.") from None
            if len(url) > 200:
                raise Unprocessable(f"`{name}` has at most 200 characters.")
            columns[column] = url
    return columns


def change(*, account_id: int, owner: str, name: str, given: Mapping[str, Any]) -> Model:
    """Change the texts and links that are named. Raises NotFound, Forbidden, Unprocessable."""
    row = own(account_id=account_id, owner=owner, name=name)
    Model.objects.filter(pk=row.pk).update(**described(given))
    return find(account_id=account_id, owner=owner, name=name)


def delete(*, account_id: int, owner: str, name: str) -> None:
    """Remove a private model that has no version. Raises NotFound, Forbidden, Conflict with the reason."""
    row = own(account_id=account_id, owner=owner, name=name)
    if row.visibility != Model.Visibility.PRIVATE:
        raise Conflict("Only private models can be deleted: others may rely on a public one.")
    if row.versions.exists():
        raise Conflict("This model has versions: delete them first.")
    if Build.objects.filter(model=row, status__in=["queued", "building"]).exists():
        raise Conflict("This model is being built: cancel the build first.")
    if Prediction.objects.filter(model=row).exists():
        raise Conflict("This model has been run: the account's books name it, so it stays.")
    if row.trainings.exists():
        raise Conflict("This model is the destination of a training, which names it: it stays.")
    if Release.objects.filter(version__model=row).exists():
        raise Conflict("A deployment has run this model, so it stays: delete the deployment first.")
    with transaction.atomic():
        row.versions(manager="with_deleted").all().delete()
        row.delete()
