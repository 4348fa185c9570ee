"""The presets' pages."""

from __future__ import annotations

import pytest
from django.test import Client

from marketplace.models import Account
from routing.models import Preset, PresetVersion
from routing.services import presets
from tests.cast import act_for

pytestmark = pytest.mark.django_db
GIVEN = {
    "slug": "kind", "model": "acme/small", "system": "Be kind.", "temperature": "0.25", "max_tokens": "100",
    "more": '{"provider": {"zdr": true}}',
}  # fmt: skip


def test_it_is_kept_shown_and_switched(alice: Client) -> None:
    assert alice.post("/presets", GIVEN).status_code == 302
    row = PresetVersion.objects.get()
    assert row.config == {
        "model": "acme/small", "temperature": 0.25, "max_tokens": 100, "provider": {"zdr": True},
    }  # fmt: skip
    assert row.system_prompt == "Be kind."
    alice.post("/presets", GIVEN | {"system": "Be brief."})
    assert "@preset/kind" in alice.get("/presets").content.decode()
    page = alice.get("/presets/kind").content.decode()
    assert "Version 2" in page
    assert page.index("Be brief.") < page.index("Be kind.")
    alice.post("/presets/kind/toggle")
    assert Preset.objects.get().status == "disabled"
    assert "not active" in alice.get("/presets/kind").content.decode()
    alice.post("/presets/kind/toggle")
    assert Preset.objects.get().status == "active"


@pytest.mark.parametrize(
    "wrong", [{"slug": "No!"}, {"temperature": "9"}, {"more": "{"}, {"more": "[]"}, {"model": "@preset/other"}]
)
def test_wrong_values_are_said(alice: Client, wrong: dict[str, str]) -> None:
    answer = alice.post("/presets", GIVEN | wrong)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert not Preset.objects.exists()


def test_a_member_reads_and_changes_nothing(alice: Client, bob: Client, charlie: Client, shop: Account) -> None:
    presets.keep(account_id=shop.pk, slug="kind", dialect="chat", body={"model": "acme/small"})
    act_for(bob, "shop")
    assert "acme/small" in bob.get("/presets/kind").content.decode()
    assert bob.post("/presets", GIVEN).status_code == 403
    assert bob.post("/presets/kind/toggle").status_code == 403
    assert charlie.get("/presets/kind").status_code == 404
