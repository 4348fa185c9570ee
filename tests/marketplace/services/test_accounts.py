"""Accounts: one of one's own, organisations, members, and which one is current."""

from __future__ import annotations

import pytest

from marketplace.lib.errors import Conflict, Forbidden, InvalidRequest, NotFound
from marketplace.models import Account, Member, Publisher
from marketplace.names import RESERVED
from marketplace.services import accounts
from tests.architecture.routes import routes
from tests.factories import marketplace as make

pytestmark = pytest.mark.django_db


class TestPersonal:
    """The account that comes with a user."""

    def test_it_is_named_after_the_address_and_made_once(self) -> None:
        user = make.user("Ann.Smith+x@example.com".lower())
        account = accounts.open_personal(user=user)
        assert (account.slug, account.kind) == ("ann-smith-x", Account.Kind.PERSONAL)
        assert accounts.open_personal(user=user) == account

    def test_a_taken_name_gets_an_ending(self) -> None:
        first = make.account(email="ann@example.com")
        second = make.account(email="ann@example.org")
        assert first.slug == "ann"
        assert second.slug.startswith("ann-")

    def test_a_publishers_name_is_not_given_away(self) -> None:
        Publisher.objects.create(slug="openai", name="OpenAI")
        assert make.account(email="openai@example.com").slug != "openai"
        with pytest.raises(Conflict, match="reserved"):
            accounts.open_organisation(user=make.user("a@example.com"), slug="openai", name="Me")

    def test_a_page_of_ours_is_no_name(self) -> None:
        assert make.account(email="keys@example.com").slug.startswith("keys-")
        with pytest.raises(Conflict, match="one of our own pages"):
            accounts.open_organisation(user=make.user("a@example.com"), slug="v1", name="Me")

    def test_every_first_segment_of_our_addresses_is_reserved(self) -> None:
        segments = {address.split("/")[0] for address, _ in routes()}
        literal = {segment for segment in segments if segment.isidentifier()}
        assert len(literal) > 10
        assert literal <= RESERVED


class TestOrganisation:
    """Sharing."""

    @pytest.mark.parametrize("slug", ["", "-a", "A b", "a/b", "x" * 65])
    def test_a_bad_name_says_what_is_allowed(self, slug: str) -> None:
        with pytest.raises(InvalidRequest, match="lower-case"):
            accounts.open_organisation(user=make.user("a@example.com"), slug=slug, name="X")

    def test_a_taken_name_is_a_conflict(self) -> None:
        make.team(slug="crew")
        with pytest.raises(Conflict, match="taken"):
            make.team(slug="crew", owner="b@example.com")

    def test_only_owners_make_owners(self) -> None:
        team = make.team(members=("bob@example.com",))
        owner = Member.objects.get(account=team, role=Member.Role.OWNER)
        admin = accounts.add_member(account=team, email="bob@example.com", role="admin", by=owner)
        make.user("charlie@example.com")
        with pytest.raises(Forbidden):
            accounts.add_member(account=team, email="charlie@example.com", role="owner", by=admin)
        made = accounts.add_member(account=team, email="charlie@example.com", role="member", by=admin)
        assert made.role == "member"

    def test_the_last_owner_stays(self) -> None:
        team = make.team()
        owner = Member.objects.get(account=team)
        with pytest.raises(Conflict, match="at least one owner"):
            accounts.remove_member(member=owner, by=owner)
        with pytest.raises(Conflict, match="at least one owner"):
            accounts.add_member(account=team, email="alice@example.com", role="member", by=owner)

    def test_somebody_unknown_is_asked_to_sign_up(self) -> None:
        team = make.team()
        with pytest.raises(NotFound, match="sign up"):
            accounts.add_member(account=team, email="no@example.com", role="member", by=Member.objects.get())

    def test_a_personal_account_is_not_shared(self) -> None:
        account = make.account()
        with pytest.raises(InvalidRequest, match="organisation"):
            accounts.add_member(account=account, email="x@example.com", role="member", by=Member.objects.get())

    def test_plain_members_do_not_manage(self) -> None:
        team = make.team(members=("bob@example.com",))
        with pytest.raises(Forbidden, match="owners and admins"):
            accounts.require_manager(user=make.user("bob@example.com"), account=team)
        with pytest.raises(NotFound):
            accounts.require_manager(user=make.user("charlie@example.com"), account=team)


class TestCurrent:
    """Which account a user acts for."""

    def test_it_is_the_personal_one_until_switched(self) -> None:
        team = make.team()
        user = make.user("alice@example.com")
        session: dict[str, object] = {}
        assert accounts.current(user=user, session=session).kind == Account.Kind.PERSONAL
        accounts.switch(user=user, session=session, account_id=team.pk)
        assert accounts.current(user=user, session=session) == team

    def test_nobody_switches_to_a_strangers(self) -> None:
        team = make.team()
        with pytest.raises(NotFound):
            accounts.switch(user=make.user("charlie@example.com"), session={}, account_id=team.pk)

    def test_a_lost_membership_falls_back(self) -> None:
        team = make.team(members=("bob@example.com",))
        bob = make.user("bob@example.com")
        session: dict[str, object] = {}
        accounts.switch(user=bob, session=session, account_id=team.pk)
        Member.objects.filter(user=bob, account=team).delete()
        assert accounts.current(user=bob, session=session).kind == Account.Kind.PERSONAL
