"""Organisations: who may see and do what."""

from __future__ import annotations

import pytest
from django.test import Client

from marketplace.models import Account, Member
from tests.cast import act_for
from tests.factories.marketplace import user

pytestmark = pytest.mark.django_db


def role(account: Account, email: str) -> str | None:
    """The role of somebody in an account, None outside."""
    return Member.objects.filter(account=account, user=user(email)).values_list("role", flat=True).first()


def test_founding_makes_the_founder_owner(charlie: Client) -> None:
    response = charlie.post("/organisations/create", {"name": "Lab", "slug": "lab"}, follow=True)
    assert "you are its owner" in response.content.decode()
    assert role(Account.objects.get(slug="lab"), "charlie@example.com") == "owner"


@pytest.mark.parametrize("slug", ["shop", "Bad Name", "", "x" * 65])
def test_a_bad_or_taken_name_is_said_beside_the_field(alice: Client, shop: Account, slug: str) -> None:
    response = alice.post("/organisations/create", {"name": "Another", "slug": slug})
    assert response.status_code == 422
    assert "field-error" in response.content.decode()


def test_members_are_listed_for_members_and_404_for_strangers(
    alice: Client, bob: Client, charlie: Client, shop: Account
) -> None:
    for inside in (alice, bob):
        page = inside.get("/organisations/shop/").content.decode()
        assert "alice@example.com" in page
        assert "bob@example.com" in page
    assert charlie.get("/organisations/shop/").status_code == 404


def test_an_owner_adds_changes_and_removes(alice: Client, charlie: Client, shop: Account) -> None:
    alice.post("/organisations/shop/members", {"email": "charlie@example.com", "role": "member"})
    assert role(shop, "charlie@example.com") == "member"
    alice.post("/organisations/shop/members", {"email": "Charlie@example.com", "role": "admin"})
    assert role(shop, "charlie@example.com") == "admin"
    member = Member.objects.get(account=shop, user=user("charlie@example.com"))
    alice.post(f"/organisations/shop/members/{member.pk}/remove")
    assert role(shop, "charlie@example.com") is None


def test_a_member_may_not_manage(bob: Client, charlie: Client, shop: Account) -> None:
    alice_in = Member.objects.get(account=shop, user=user("alice@example.com"))
    assert (
        bob.post("/organisations/shop/members", {"email": "charlie@example.com", "role": "member"}).status_code == 403
    )
    assert bob.post(f"/organisations/shop/members/{alice_in.pk}/remove").status_code == 403
    assert "Add a member" not in bob.get("/organisations/shop/").content.decode()
    assert role(shop, "alice@example.com") == "owner"


def test_a_stranger_gets_404_for_every_act(charlie: Client, shop: Account) -> None:
    member = Member.objects.get(account=shop, user=user("bob@example.com"))
    assert (
        charlie.post("/organisations/shop/members", {"email": "charlie@example.com", "role": "owner"}).status_code
        == 404
    )
    assert charlie.post(f"/organisations/shop/members/{member.pk}/remove").status_code == 404
    assert charlie.post("/settings/switch", {"account": "shop"}).status_code == 404


def test_an_admin_may_not_make_owners(alice: Client, bob: Client, shop: Account) -> None:
    alice.post("/organisations/shop/members", {"email": "bob@example.com", "role": "admin"})
    response = bob.post("/organisations/shop/members", {"email": "bob@example.com", "role": "owner"})
    assert response.status_code == 422
    assert "Only an owner" in response.content.decode()
    assert role(shop, "bob@example.com") == "admin"


def test_somebody_unknown_is_asked_to_sign_up(alice: Client, shop: Account) -> None:
    response = alice.post("/organisations/shop/members", {"email": "nobody@example.com", "role": "member"})
    assert response.status_code == 422
    assert "sign up first" in response.content.decode()


def test_a_member_may_leave_and_the_last_owner_may_not(alice: Client, bob: Client, shop: Account) -> None:
    bob.post(f"/organisations/shop/members/{Member.objects.get(account=shop, user=user('bob@example.com')).pk}/remove")
    assert role(shop, "bob@example.com") is None
    own = Member.objects.get(account=shop, user=user("alice@example.com"))
    page = alice.post(f"/organisations/shop/members/{own.pk}/remove", follow=True).content.decode()
    assert "at least one owner" in page
    assert role(shop, "alice@example.com") == "owner"


def test_whoever_was_removed_no_longer_acts_for_it(alice: Client, bob: Client, shop: Account) -> None:
    act_for(bob, "shop")
    assert "Shop" in bob.get("/settings").content.decode()
    member = Member.objects.get(account=shop, user=user("bob@example.com"))
    alice.post(f"/organisations/shop/members/{member.pk}/remove")
    page = bob.get("/settings").content.decode()
    assert "shop" not in page.lower()


def test_switching_does_not_lead_off_the_site(alice: Client, shop: Account) -> None:
    response = alice.post("/settings/switch", {"account": "shop", "next": "https://evil.example/"})
    assert response.headers["Location"] == "/models"


def test_a_member_may_not_rename_the_account(bob: Client, shop: Account) -> None:
    act_for(bob, "shop")
    assert bob.post("/settings", {"form": "account", "name": "Mine"}).status_code == 403
    shop.refresh_from_db()
    assert shop.name == "Shop"
