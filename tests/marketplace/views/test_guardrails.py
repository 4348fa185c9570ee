"""The guardrails' pages."""

from __future__ import annotations

import pytest
from django.test import Client

from marketplace.models import Account, ApiKey, Guardrail, Provider
from marketplace.services import guardrails, keys
from tests.cast import act_for
from tests.factories.marketplace import EndpointFactory, ModelFactory

pytestmark = pytest.mark.django_db


def make(client: Client, **given: object) -> Guardrail:
    answer = client.post("/guardrails/create", {"name": "Interns", **given})
    row = Guardrail.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/guardrails/{row.pk}")
    return row


def test_a_guardrail_is_made_shown_changed_and_deleted(alice: Client) -> None:
    row = make(
        alice, limit="2.5", limit_reset="monthly", allowed_models="acme/small\nacme/*", builtin_email="redact",
        patterns="block secret\nredact PRJ-[0-9]+ x", enforce_zdr="on",
    )  # fmt: skip
    assert (row.limit_nano, row.limit_reset, row.enforce_zdr) == (2_500_000_000, "monthly", True)
    assert row.allowed_models == ["acme/*", "acme/small"]
    assert [(one["action"], one["pattern"]) for one in row.content_filters] == [
        ("block", "secret"), ("redact", "PRJ-[0-9]+ x"),
    ]  # fmt: skip
    page = alice.get(f"/guardrails/{row.pk}").content.decode()
    for shown in ("Interns", "acme/small", "redact PRJ-[0-9]+ x", 'value="2.5'):
        assert shown in page
    assert "$2.50 monthly" in alice.get("/guardrails").content.decode()
    alice.post(f"/guardrails/{row.pk}", {"name": "Everybody"})
    row.refresh_from_db()
    assert (row.name, row.limit_nano, row.allowed_models, row.content_filters) == ("Everybody", None, None, [])
    alice.post(f"/guardrails/{row.pk}/delete")
    assert "No guardrail yet" in alice.get("/guardrails").content.decode()


def test_names_that_are_nobodys_are_told_and_kept(alice: Client) -> None:
    EndpointFactory(model=ModelFactory(slug="small"))
    slug = Provider.objects.get().slug
    given = {"allowed_models": "acme/small acme/*", "ignored_models": "acme/smal acmee/*", "ignored_providers": slug}
    row = make(alice, **given, allowed_providers="opnai")
    assert row.ignored_models == ["acme/smal", "acmee/*"]
    page = alice.get(f"/guardrails/{row.pk}").content.decode()
    assert "Nothing here is called acme/smal, acmee/*, opnai: look" in page


def test_it_binds_exactly_whom_is_ticked(alice: Client) -> None:
    row = make(alice)
    key, _ = keys.issue(account=row.account, name="app")
    member = row.account.members.get()
    alice.post(f"/guardrails/{row.pk}/assign", {"keys": [key.pk], "members": [member.pk]})
    assert guardrails.policy_of(key_id=key.pk, account_id=row.account_id).names == ("Interns",)
    assert row.members.get().member == member
    assert "1 key, 1 member" in alice.get("/guardrails").content.decode()
    alice.post(f"/guardrails/{row.pk}/assign", {})
    assert not row.keys.exists()
    assert not row.members.exists()


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"limit": "-1"}, {"patterns": "forbid x"}, {"patterns": "block ("}, {"builtin_ssn": "x"}]
)
def test_wrong_values_are_said(alice: Client, wrong: dict[str, object]) -> None:
    answer = alice.post("/guardrails/create", {"name": "Interns", **wrong})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert not Guardrail.objects.exists()


def test_a_member_reads_and_changes_nothing(alice: Client, bob: Client, shop: Account) -> None:
    row = guardrails.create(account=shop, values={"name": "Interns"})
    act_for(bob, "shop")
    assert "Save guardrail" not in bob.get(f"/guardrails/{row.pk}").content.decode()
    for path in ("create", f"{row.pk}", f"{row.pk}/assign", f"{row.pk}/delete"):
        assert bob.post(f"/guardrails/{path}", {"name": "Mine"}).status_code == 403
    assert Guardrail.objects.get().name == "Interns"


def test_a_strangers_keys_cannot_be_ticked(alice: Client, charlie: Client) -> None:
    row = make(alice)
    theirs, _ = keys.issue(account=Account.objects.get(slug="charlie"), name="theirs")
    alice.post(f"/guardrails/{row.pk}/assign", {"keys": [theirs.pk]})
    assert not ApiKey.objects.filter(guarded__isnull=False).exists()
    assert charlie.get(f"/guardrails/{row.pk}").status_code == 404
