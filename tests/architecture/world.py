"""A team with one of everything, and the four people who knock: owner, mate, stranger, anonymous."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone

from billing.models import TopUp
from execution.models import Build, File, Prediction, Upload
from execution.states import Status
from marketplace.lib import ids
from marketplace.models import Account, Collection, Member, Model
from marketplace.services import accounts, guardrails, keys, provider_keys
from routing.models import Generation, VideoJob
from routing.services import presets
from tests.factories import execution as hosted
from tests.factories import marketplace as make
from tests.factories import routing as routed
from tests.factories.billing import fund, sell

OWNER, MATE, STRANGER, ANONYMOUS = "owner", "mate", "stranger", "anonymous"
PEOPLE = (OWNER, MATE, STRANGER, ANONYMOUS)
BOTH = ("inference", "management")
_ADDRESSES = {OWNER: "alice@example.com", MATE: "bob@example.com", STRANGER: "charlie@example.com"}


@dataclass(frozen=True)
class World:
    """The team's things by the names that addresses use, and a way in for each person."""

    names: dict[str, str]
    api_keys: dict[str, str]
    team: Account

    def browser(self, person: str) -> Client:
        """A logged-in browser acting for the team (the stranger: for themselves)."""
        client = Client(raise_request_exception=False)
        if person == ANONYMOUS:
            return client
        client.force_login(make.user(_ADDRESSES[person]))
        if person != STRANGER:
            session = client.session
            session[accounts.SESSION_KEY] = self.team.pk
            session.save()
        return client

    def caller(self, person: str) -> Client:
        """A program with that person's API key."""
        if person == ANONYMOUS:
            return Client(raise_request_exception=False)
        return Client(raise_request_exception=False, headers={"authorization": f"Bearer {self.api_keys[person]}"})


def build() -> World:
    """Make the team, its mate, a stranger, and one of everything that a team can own."""
    team = make.team(slug="team", owner=_ADDRESSES[OWNER], members=(_ADDRESSES[MATE], "dave@example.com"))
    outsider = make.account(email=_ADDRESSES[STRANGER])
    fund(team, "10.00")
    fund(outsider, "10.00")
    sell(outsider, "1.00", to=team, model="team/secret", provider="teams", endpoint=1)
    machine = hosted.hardware()
    version = hosted.hosted(owner=team, slug="secret", visibility=Model.Visibility.PRIVATE)
    published = hosted.hosted(owner=team, slug="open")
    Model.objects.filter(pk=version.model_id).update(readme="canary")
    Collection.objects.create(slug="best", name="Best", description="The best").members.add(version.model)
    hosted.deployed(team, version, name="kept")
    routed.endpoint("http://127.0.0.1:9/v1", model_slug="acme/small")
    team.roles = [*team.roles, team.Role.OPERATOR]
    team.save(update_fields=["roles"])
    own_provider = make.ProviderFactory.create(slug="teams", account=team)
    own_endpoint = make.EndpointFactory.create(provider=own_provider)
    key, plaintext = keys.issue(account=team, name="owner's", scopes=BOTH)
    _, mates = keys.issue(account=team, name="mate's", scopes=BOTH)
    _, strangers = keys.issue(account=outsider, name="stranger's", scopes=BOTH)
    prediction = Prediction.objects.create(
        account=team,
        model=version.model,
        version=version,
        hardware=machine,
        input={"text": "canary"},
        status=Status.SUCCEEDED,
        output="done",
        completed_at=timezone.now(),
    )
    trainer = hosted.trainable(owner=team, visibility=Model.Visibility.PRIVATE)
    training = Prediction.objects.create(
        kind=Prediction.Kind.TRAINING,
        account=team,
        model=trainer.model,
        version=trainer,
        destination=version.model,
        hardware=machine,
        input={"text": "canary"},
        status=Status.CANCELED,
        completed_at=timezone.now(),
    )
    stored = default_storage.save("tests/canary.txt", ContentFile(b"canary"))
    file = File.objects.create(
        account=team, name="canary.txt", content_type="text/plain", size=6, sha256="0" * 64, path=stored
    )
    made = Build.objects.create(
        account=team,
        model=version.model,
        status="failed",
        source_path="nowhere",
        source_name="secret.zip",
        source_sha256="0" * 64,
        completed_at=timezone.now(),
    )
    coming = Upload.objects.create(
        account=team, name="canary.zip", size=9, expires_at=timezone.now() + dt.timedelta(hours=1)
    )
    generation = Generation.objects.create(
        account=team, hold_id=ids.uuid7(), requested_model="acme/small", status="failed", streamed=False
    )
    film = VideoJob.objects.create(
        generation=generation,
        account=team,
        upstream_id="film-1",
        state=VideoJob.State.COMPLETED,
        file=file,
        due_at=timezone.now(),
        deadline_at=timezone.now(),
    )
    own = provider_keys.keep(account=team, provider="sim-one", key="canary-of-the-team")
    presets.keep(account_id=team.pk, slug="canary", dialect="chat", body={"model": "acme/small"})
    return World(
        names={
            "prediction_id": prediction.pk,
            "training_id": training.pk,
            "file_id": file.pk,
            "build_id": made.pk,
            "upload_id": coming.pk,
            "version_id": version.pk,
            "open_version_id": published.pk,
            "generation_id": generation.public_id,
            "job_id": film.public_id,
            "topup_id": str(TopUp.objects.create(account=team, amount_cents=2000).pk),
            "month": f"{timezone.now():%Y-%m}",
            "key_id": str(key.pk),
            "endpoint_id": str(own_endpoint.pk),
            "key_hash": key.digest,
            "owner_id": str(make.user(_ADDRESSES[OWNER]).pk),
            "own_key_id": str(own.public_id),
            "guardrail_id": str(guardrails.create(account=team, values={"name": "canary"}).pk),
            "member_id": str(Member.objects.get(account=team, user__email="dave@example.com").pk),
        },
        api_keys={OWNER: plaintext, MATE: mates, STRANGER: strangers},
        team=team,
    )
