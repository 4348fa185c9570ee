"""Who gets what at every address: owner, mate, stranger, anonymous (contracts, Isolation 1).

A route that is missing here fails the test, so that nobody adds one without saying who may see it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import Client

from tests.architecture import world as cast
from tests.architecture.routes import routes, shape

pytestmark = pytest.mark.django_db(transaction=True)

LOGIN = 302


@dataclass(frozen=True)
class Route:
    """One request to an address and the four statuses that it must get, in the order of `PEOPLE`."""

    statuses: tuple[int, int, int, int]
    url: str = ""
    method: str = "GET"
    body: dict[str, Any] | None = None
    json: bool = True
    headers: dict[str, str] = field(default_factory=dict)


def everybody(url: str = "", **more: Any) -> Route:
    """The same page for all."""
    return Route((200, 200, 200, 200), url, **more)


def keyed(url: str = "", **more: Any) -> Route:
    """Each caller's own data; no key, no answer."""
    return Route((200, 200, 200, 401), url, **more)


def teams(url: str = "", **more: Any) -> Route:
    """An object of the team, through the API: a stranger's object is not there."""
    return Route((200, 200, 404, 401), url, **more)


def page(url: str = "", **more: Any) -> Route:
    """Each visitor's own page; others log in first."""
    return Route((200, 200, 200, LOGIN), url, **more)


def teams_page(url: str = "", **more: Any) -> Route:
    """A page of an object of the team."""
    return Route((200, 200, 404, LOGIN), url, **more)


def form(url: str, statuses: tuple[int, int, int, int], **body: Any) -> Route:
    """A form that is sent."""
    return Route(statuses, url, method="POST", body=body, json=False)


CHAT = {"model": "acme/small", "messages": [{"role": "user", "content": "hello"}]}

COMPLETION = {"model": "acme/small", "prompt": "hello"}
CONTENTS: dict[str, Any] = {"contents": [{"parts": [{"text": "hello"}]}]}
RESPONSE = {"model": "acme/small", "input": "hello"}
RANK = {"model": "acme/small", "query": "hello", "documents": ["hi"]}
# The world's only model chats: asking it for anything else is a 404 that names a model that can.
WRONG_KIND: dict[str, dict[str, Any]] = {
    "images/generations": {"model": "acme/small", "prompt": "a boat"},
    "audio/speech": {"model": "acme/small", "input": "hi"},
    "audio/transcriptions": {"model": "acme/small", "input_audio": {"data": "AAAA", "format": "mp3"}},
}

PAGES: dict[str, Route] = {
    "": everybody(),
    "healthz": everybody(),
    "docs": everybody(),
    "models": everybody(),
    "providers": everybody(),
    "chat": everybody(),
    "keys": page(),
    "usage": page(),
    "usage.csv": page(),
    "usage/requests.csv": page(),
    # A wallet's months are for those who manage it, as its ledger is.
    "statements": Route((200, 403, 200, LOGIN), "statements"),
    **{
        f"statements/<int:year>-<int:month>{ending}": Route((200, 403, 200, LOGIN), f"statements/{{month}}{ending}")
        for ending in ("", ".csv", ".pdf")
    },
    "earnings": Route((200, 403, 200, LOGIN), "earnings"),
    # No Stripe keys here: the form says so.
    "earnings/connect": form("earnings/connect", (422, 403, 422, LOGIN), country="us"),
    # The stranger has earned nothing.
    **{
        f"earnings/<int:year>-<int:month>{ending}": Route((200, 403, 404, LOGIN), f"earnings/{{month}}{ending}")
        for ending in ("", ".csv", ".pdf")
    },
    # Staff's pages: nobody of this cast is.
    "margin": Route((404, 404, 404, LOGIN), "margin"),
    "payables": Route((404, 404, 404, LOGIN), "payables"),
    "payables/<str:slug>/<str:side>/<int:year>-<int:month>": Route(
        (404, 404, 404, LOGIN), "payables/team/provider_payable/{month}?provider=teams"
    ),
    "margin/<int:year>-<int:month>": Route((404, 404, 404, LOGIN), "margin/{month}"),
    # A test is refused (302 with a message) or sent; the choices are the managers'.
    "alerts": Route((200, 403, 200, LOGIN), "alerts"),
    "alerts/test": form("alerts/test", (302, 403, 302, LOGIN)),
    "alerts/secret": form("alerts/secret", (302, 403, 302, LOGIN)),
    "credits": page(),
    "credits.csv": Route((200, 403, 200, LOGIN), "credits.csv"),
    # No Stripe keys here: the form says so.
    "credits/topup": form("credits/topup", (422, 403, 422, LOGIN), amount="20"),
    "credits/automatic": form(
        "credits/automatic", (302, 403, 302, LOGIN), threshold="5", amount="20", monthly_cap="100"
    ),
    "credits/card": form("credits/card", (302, 403, 302, LOGIN)),
    "credits/<uuid:topup_id>/finish": form("credits/{topup_id}/finish", (409, 403, 404, LOGIN)),
    "credits/<uuid:topup_id>/refund": form("credits/{topup_id}/refund", (302, 403, 404, LOGIN)),
    # Opened by a signature and nothing else.
    "webhooks/stripe": Route((400, 400, 400, 400), "webhooks/stripe", method="POST", body={}),
    "webhooks/stripe/thin": Route((400, 400, 400, 400), "webhooks/stripe/thin", method="POST", body={}),
    "settings": page(),
    "organisations": page(),
    "auth": Route((200, 403, 200, LOGIN), "auth?callback_url=https://app.example.com/"),
    "models/<str:author>/<str:slug>/watch": form("models/team/secret/watch", (302, 302, 404, LOGIN)),
    "provider-keys": page(),
    "provider-keys/<uuid:public_id>/toggle": form("provider-keys/{own_key_id}/toggle", (302, 403, 404, LOGIN)),
    "provider-keys/<uuid:public_id>/forget": form("provider-keys/{own_key_id}/forget", (302, 403, 404, LOGIN)),
    "presets": page(),
    "presets/<str:slug>": teams_page("presets/canary"),
    "presets/<str:slug>/toggle": form("presets/canary/toggle", (302, 403, 404, LOGIN)),
    "operate": page(),
    # The stranger has no operator's role.
    "operate/register": Route((200, 403, 403, LOGIN), "operate/register"),
    "operate/providers/<str:slug>": teams_page("operate/providers/teams"),
    "operate/providers/<str:slug>/change": form("operate/providers/teams/change", (302, 403, 404, LOGIN), name="Teams"),
    "operate/providers/<str:slug>/credentials": form(
        "operate/providers/teams/credentials", (302, 403, 404, LOGIN), credentials="new"
    ),
    "operate/providers/<str:slug>/refresh": form("operate/providers/teams/refresh", (302, 403, 404, LOGIN)),
    "operate/providers/<str:slug>/switch": form("operate/providers/teams/switch", (302, 403, 404, LOGIN)),
    "operate/providers/<str:slug>/models": Route((200, 403, 404, LOGIN), "operate/providers/teams/models"),
    "operate/endpoints/<int:endpoint_id>": teams_page("operate/endpoints/{endpoint_id}"),
    "operate/endpoints/<int:endpoint_id>/price": form(
        "operate/endpoints/{endpoint_id}/price", (302, 403, 404, LOGIN), prompt="1"
    ),
    "operate/endpoints/<int:endpoint_id>/probe": form("operate/endpoints/{endpoint_id}/probe", (302, 403, 404, LOGIN)),
    "operate/endpoints/<int:endpoint_id>/switch": form(
        "operate/endpoints/{endpoint_id}/switch", (302, 403, 404, LOGIN), to="off"
    ),
    "guardrails": page(),
    "guardrails/create": form("guardrails/create", (302, 403, 302, LOGIN), name="new"),
    "guardrails/<uuid:guardrail_id>": teams_page("guardrails/{guardrail_id}"),
    "guardrails/<uuid:guardrail_id>/assign": form("guardrails/{guardrail_id}/assign", (302, 403, 404, LOGIN)),
    "guardrails/<uuid:guardrail_id>/delete": form("guardrails/{guardrail_id}/delete", (302, 403, 404, LOGIN)),
    "publish": page(),
    "publish/models": page(),
    "publish/uploads": Route(
        (201, 201, 201, LOGIN), "publish/uploads", method="POST", body={"name": "new.zip", "size": 1}
    ),
    "publish/uploads/<slug:upload_id>": teams_page("publish/uploads/{upload_id}"),
    # Its parts are not there yet.
    "publish/uploads/<slug:upload_id>/complete": Route(
        (409, 409, 404, LOGIN), "publish/uploads/{upload_id}/complete", method="POST"
    ),
    "predictions": page(),
    "deployments": page(),
    "deployments/create": page(),
    "deployments/<slug:name>": teams_page("deployments/kept"),
    # It was made just now and never used: the owner comes after the mate, who has removed it.
    "deployments/<slug:name>/delete": form("deployments/kept/delete", (404, 302, 404, LOGIN)),
    # Given to the site's own pages only: without their Origin it is refused, as tests/marketplace/views says.
    "playground/key": page(method="POST", json=False, headers={"origin": "http://testserver"}),
    "keys/create": form("keys/create", (200, 403, 200, LOGIN), name="new", scopes="inference"),
    "keys/<int:key_id>/toggle": form("keys/{key_id}/toggle", (302, 403, 404, LOGIN)),
    "keys/<int:key_id>/revoke": form("keys/{key_id}/revoke", (302, 403, 404, LOGIN)),
    "publish/builds/<slug:build_id>": teams_page("publish/builds/{build_id}"),
    "publish/builds/<slug:build_id>/log": teams_page("publish/builds/{build_id}/log"),
    "publish/builds/<slug:build_id>/cancel": form("publish/builds/{build_id}/cancel", (302, 302, 404, LOGIN)),
    "publish/builds/<slug:build_id>/retry": form("publish/builds/{build_id}/retry", (302, 302, 404, LOGIN)),
    "predict/<slug:version_id>": form(
        "predict/{version_id}", (302, 302, 422, LOGIN), **{"run-text": "hi", "run-times": "1"}
    ),
    # The team's private version has no train function: 422 for those who may see it.
    "train/<slug:version_id>": Route((422, 422, 422, LOGIN), "train/{version_id}"),
    "trainings": page(),
    "trainings/<slug:training_id>": teams_page("trainings/{training_id}"),
    "trainings/<slug:training_id>/cancel": form("trainings/{training_id}/cancel", (302, 302, 404, LOGIN)),
    "predictions/<slug:prediction_id>": teams_page("predictions/{prediction_id}"),
    "predictions/<slug:prediction_id>/cancel": form("predictions/{prediction_id}/cancel", (302, 302, 404, LOGIN)),
    "predictions/<slug:prediction_id>/example": form(
        "predictions/{prediction_id}/example", (302, 302, 404, LOGIN), **{"as": "default"}
    ),
    "generations/<str:generation_id>": teams_page("generations/{generation_id}"),
    "settings/switch": form("settings/switch", (302, 302, 404, LOGIN), account="team"),
    "organisations/create": form("organisations/create", (302, 302, 302, LOGIN), slug="new-{person}", name="New"),
    "organisations/<str:slug>/": teams_page("organisations/team/"),
    "organisations/<str:slug>/members": form(
        "organisations/team/members", (302, 403, 404, LOGIN), email="charlie@example.com", role="member"
    ),
    "organisations/<str:slug>/members/<int:member_id>/remove": form(
        "organisations/team/members/{member_id}/remove", (302, 403, 404, LOGIN)
    ),
    "model_detail": Route((200, 200, 404, 404), "team/secret"),
}

HOSTING: dict[str, Route] = {
    "predictions": keyed(),
    "predictions/<slug:prediction_id>": teams("predictions/{prediction_id}"),
    "predictions/<slug:prediction_id>/cancel": teams("predictions/{prediction_id}/cancel", method="POST"),
    # A stream too is opened by the signature of its link alone: browsers' clients send no key.
    "predictions/<slug:prediction_id>/stream": Route((403, 403, 403, 403), "predictions/{prediction_id}/stream"),
    "files/<slug:prediction_id>/stream": Route((403, 403, 403, 403), "files/{prediction_id}/stream"),
    "webhooks/default/secret": keyed(),
    "collections": keyed(),
    "collections/<slug:slug>": keyed("collections/best"),
    "search": keyed("search?query=open"),
    "account": keyed(),
    "hardware": keyed(),
    "models": keyed(),
    "models/<str:owner>/<str:name>": teams("models/team/secret"),
    "models/<str:owner>/<str:name>/predictions": Route(
        (201, 201, 404, 401), "models/team/secret/predictions", method="POST", body={"input": {"text": "hi"}}
    ),
    "models/<str:owner>/<str:name>/examples": teams("models/team/secret/examples"),
    # The world's prediction is no example yet: nobody has one to remove.
    "models/<str:owner>/<str:name>/examples/<slug:prediction_id>": Route(
        (404, 404, 404, 401), "models/team/secret/examples/{prediction_id}", method="DELETE"
    ),
    "models/<str:owner>/<str:name>/readme": teams("models/team/secret/readme"),
    "models/<str:owner>/<str:name>/versions": teams("models/team/secret/versions"),
    "models/<str:owner>/<str:name>/versions/<slug:version_id>": teams("models/team/secret/versions/{version_id}"),
    "models/<str:owner>/<str:name>/builds": teams("models/team/secret/builds"),
    "builds/<slug:build_id>": teams("builds/{build_id}"),
    "builds/<slug:build_id>/cancel": teams("builds/{build_id}/cancel", method="POST"),
    "uploads": keyed(),
    "uploads/<slug:upload_id>": teams("uploads/{upload_id}"),
    # Its parts are not there yet.
    "uploads/<slug:upload_id>/complete": Route(
        (409, 409, 404, 401), "uploads/{upload_id}/complete", method="POST", body={}
    ),
    # The team's version has no train function: for those who may see it the answer is a refusal.
    "models/<str:owner>/<str:name>/versions/<slug:version_id>/trainings": Route(
        (422, 422, 404, 401),
        "models/team/secret/versions/{version_id}/trainings",
        method="POST",
        body={"destination": "team/secret", "input": {}},
    ),
    "trainings": keyed(),
    "trainings/<slug:training_id>": teams("trainings/{training_id}"),
    "trainings/<slug:training_id>/cancel": teams("trainings/{training_id}/cancel", method="POST"),
    "deployments": keyed(),
    "deployments/<str:owner>/<str:name>": teams("deployments/team/kept"),
    "deployments/<str:owner>/<str:name>/predictions": Route(
        (201, 201, 404, 401), "deployments/team/kept/predictions", method="POST", body={"input": {"text": "hi"}}
    ),
    "files": keyed(),
    "files/<slug:file_id>": teams("files/{file_id}"),
    # A download is opened by its signature and by nothing else: a key does not help.
    "files/<slug:file_id>/download": Route((403, 403, 403, 403), "files/{file_id}/download"),
    "files/<slug:file_id>/download/<str:name>": Route((403, 403, 403, 403), "files/{file_id}/download/canary.txt"),
}

API: dict[str, Route] = {
    "api/v1/chat/completions": Route((502, 502, 502, 401), "", method="POST", body=CHAT),  # nobody listens upstream
    "v1/chat/completions": Route((502, 502, 502, 401), "", method="POST", body=CHAT),
    **{f"{root}v1/completions": Route((502, 502, 502, 401), "", method="POST", body=COMPLETION)
       for root in ("api/", "")},
    **{f"{root}v1/responses": Route((502, 502, 502, 401), "", method="POST", body=RESPONSE) for root in ("api/", "")},
    **{f"api/{version}/models/<path:model>:{verb}":
       Route((status, status, status, 401), f"api/{version}/models/acme/small:{verb}", method="POST", body=CONTENTS)
       for version in ("v1", "v1beta")
       for verb, status in (("generateContent", 502), ("streamGenerateContent", 502), ("countTokens", 200))},
    "api/v1/messages": Route((502, 502, 502, 401), "", method="POST", body=CHAT),
    "v1/messages": Route((502, 502, 502, 401), "", method="POST", body=CHAT),
    "api/v1/messages/count_tokens": keyed(method="POST", body=CHAT),
    "v1/messages/count_tokens": keyed(method="POST", body=CHAT),
    # The world's only model chats: the wrong kind of model is a 404 that names one that can.
    "api/v1/embeddings": Route((404, 404, 404, 401), "", method="POST", body={"model": "acme/small", "input": "hi"}),
    "v1/embeddings": Route((404, 404, 404, 401), "", method="POST", body={"model": "acme/small", "input": "hi"}),
    "api/v1/rerank": Route((404, 404, 404, 401), "", method="POST", body=RANK),
    "api/v2/chat": Route((502, 502, 502, 401), "", method="POST", body=CHAT),
    "api/v2/rerank": Route((404, 404, 404, 401), "", method="POST", body=RANK),
    **{f"{root}{address}": Route((404, 404, 404, 401), "", method="POST", body=body)
       for root in ("api/v1/", "v1/") for address, body in WRONG_KIND.items()},
    "api/v1/images": Route((404, 404, 404, 401), "", method="POST", body=WRONG_KIND["images/generations"]),
    "api/v1/videos": Route((404, 404, 404, 401), "", method="POST", body=WRONG_KIND["images/generations"]),
    "api/v1/videos/<slug:job_id>": teams("api/v1/videos/{job_id}"),
    "api/v1/videos/<slug:job_id>/content": teams("api/v1/videos/{job_id}/content"),
    "api/v1/files": keyed(),
    "api/v1/files/<slug:file_id>": teams("api/v1/files/{file_id}"),
    "api/v1/files/<slug:file_id>/content": teams("api/v1/files/{file_id}/content"),
    "api/v1/models": everybody(),
    "api/v1/models/count": everybody(),
    "api/v1/embeddings/models": everybody(),
    "api/v1/models/user": keyed(),
    "api/v1/models/<str:author>/<str:slug>/endpoints": everybody("api/v1/models/acme/small/endpoints"),
    "api/v1/models/<str:author>/<str:slug>": everybody("api/v1/models/acme/small"),
    "api/v1/model/<str:author>/<str:slug>": everybody("api/v1/model/acme/small"),
    "api/v1/providers": everybody(),
    "api/v1/endpoints/zdr": everybody(),
    "api/v1/generation": teams("api/v1/generation?id={generation_id}"),
    "api/v1/key": keyed(),
    "api/v1/credits": keyed(),
    "api/openapi.json": everybody(),
    "api/docs": everybody(),
    "metrics": everybody(),  # from this machine, where there is no token
    "api/v1/operator/providers": keyed(),
    **{
        f"api/v1/operator/{address}": teams(f"api/v1/operator/{url}", method=method)
        for address, url, method in (
            ("providers/<slug>", "providers/teams", "GET"),
            ("providers/<slug>/notices", "providers/teams/notices", "GET"),
            ("providers/<slug>/endpoints", "providers/teams/endpoints", "GET"),
            ("endpoints/<endpoint_id>", "endpoints/{endpoint_id}", "GET"),
            ("endpoints/<endpoint_id>/prices", "endpoints/{endpoint_id}/prices", "GET"),
        )
    },
    "api/v1/operator/providers/<slug>/credentials": teams(
        "api/v1/operator/providers/teams/credentials", method="PUT", body={"credentials": {"api_key": "new"}}
    ),
    "api/v1/operator/providers/<slug>/refresh": Route(
        (409, 409, 404, 401), "api/v1/operator/providers/teams/refresh", method="POST"
    ),
    "api/v1/operator/endpoints/<endpoint_id>/probe": Route(
        (202, 202, 404, 401), "api/v1/operator/endpoints/{endpoint_id}/probe", method="POST"
    ),
    "api/v1/keys": keyed(),
    "api/v1/keys/<hash>": teams("api/v1/keys/{key_hash}"),
    "api/v1/organization/members": keyed(),
    "api/v1/activity": keyed(),
    "api/v1/earnings": keyed(),
    "api/v1/earnings/<month>": teams("api/v1/earnings/{month}"),
    "api/v1/auth/keys": Route((403, 403, 403, 403), "", method="POST", body={"code": "canary"}),
    "api/v1/auth/keys/code": keyed(method="POST", body={"callback_url": "https://app.example.com/"}),
    "api/v1/byok": keyed(),
    "api/v1/byok/<uuidstr:id>": teams("api/v1/byok/{own_key_id}"),
    "api/v1/presets": keyed(),
    "api/v1/presets/<slug>": teams("api/v1/presets/canary"),
    "api/v1/presets/<slug>/versions": teams("api/v1/presets/canary/versions"),
    "api/v1/presets/<slug>/versions/<version>": teams("api/v1/presets/canary/versions/1"),
    # Anybody's own preset of that name.
    "api/v1/presets/<slug>/chat/completions": keyed("api/v1/presets/new/chat/completions", method="POST", body=CHAT),
    "api/v1/presets/<slug>/messages": keyed("api/v1/presets/new/messages", method="POST", body=CHAT),
    "api/v1/presets/<slug>/responses": keyed(
        "api/v1/presets/new/responses", method="POST", body={"model": "acme/small", "instructions": "Be kind."}
    ),
    "api/v1/guardrails": keyed(),
    "api/v1/guardrails/assignments/keys": keyed(),
    "api/v1/guardrails/assignments/members": keyed(),
    "api/v1/guardrails/<uuidstr:id>": teams("api/v1/guardrails/{guardrail_id}"),
    "api/v1/guardrails/<uuidstr:id>/assignments/keys": teams("api/v1/guardrails/{guardrail_id}/assignments/keys"),
    "api/v1/guardrails/<uuidstr:id>/assignments/members": teams("api/v1/guardrails/{guardrail_id}/assignments/members"),
    "api/v1/guardrails/<uuidstr:id>/assignments/keys/remove": teams(
        "api/v1/guardrails/{guardrail_id}/assignments/keys/remove", method="POST", body={"key_hashes": ["{key_hash}"]}
    ),
    "api/v1/guardrails/<uuidstr:id>/assignments/members/remove": teams(
        "api/v1/guardrails/{guardrail_id}/assignments/members/remove",
        method="POST",
        body={"member_user_ids": ["{owner_id}"]},
    ),
    **{f"{root}{address}": Route(**(vars(row) | {"url": f"{root}{row.url or address}"})) for root in ("v1/", "v1/v1/")
       for address, row in HOSTING.items()},
}  # fmt: skip

# Other people's houses with rules of their own: Django's admin and allauth, tested at their doors below.
FOREIGN = ("staff/", "accounts/")


def named(address: str, name: str | None) -> str:
    """The table's key: the address, or for the one that is a regular expression its name."""
    return "model_detail" if name == "model_detail" else address


ALL = {named(address, pattern.name): pattern for address, pattern in routes() if not address.startswith(FOREIGN)}


def test_every_route_is_in_the_table() -> None:
    assert set(ALL) == PAGES.keys() | API.keys()


def test_no_address_is_claimed_twice() -> None:
    counts = Counter(shape(address) for address, _ in routes())
    assert [address for address, count in counts.items() if count > 1] == []


def knock(client: Client, row: Route, address: str, names: dict[str, str]) -> int:
    """Send the route's request; returns the status."""
    url = "/" + (row.url or address).format(**names)
    body = {key: _named(value, names) for key, value in (row.body or {}).items()}
    if row.method == "GET":
        response = client.get(url, headers=row.headers)
    elif row.json:
        send = {"PUT": client.put, "DELETE": client.delete}.get(row.method, client.post)
        response = send(url, body, content_type="application/json", headers=row.headers)
    else:
        response = client.post(url, body, headers=row.headers)
    if response.status_code != 200:
        assert b"canary" not in response.content
    return int(response.status_code)


def _named(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    return value.format(**names) if isinstance(value, str) else value


@pytest.mark.parametrize("address", PAGES)
def test_pages(address: str) -> None:
    there = cast.build()
    row = PAGES[address]
    got = {}
    # The one with the most rights comes last: what they change is not missing for the others.
    for person in reversed(cast.PEOPLE):
        got[person] = knock(there.browser(person), row, address, there.names | {"person": person})
    assert got == dict(zip(cast.PEOPLE, row.statuses, strict=True))


@pytest.mark.parametrize("address", API)
def test_api(address: str) -> None:
    there = cast.build()
    row = API[address]
    got = {person: knock(there.caller(person), row, address, there.names) for person in reversed(cast.PEOPLE)}
    assert got == dict(zip(cast.PEOPLE, row.statuses, strict=True))


def test_a_wrong_key_opens_nothing() -> None:
    there = cast.build()
    client = Client(headers={"authorization": "Bearer sk-tp-v1-wrong"})
    for address, row in API.items():
        if row.statuses[-1] == 401:
            assert knock(client, row, address, there.names) == 401, address


@pytest.mark.parametrize("address", ["/staff/", "/staff/marketplace/user/"])
def test_the_staffs_door_is_shut_to_others(address: str) -> None:
    there = cast.build()
    for person in cast.PEOPLE:
        response = there.browser(person).get(address)
        assert response.status_code == 302
        assert "login" in response.headers["Location"]
