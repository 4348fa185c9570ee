"""From nothing to a charge, as a person with a browser does it."""

from __future__ import annotations

import itertools
import re
import uuid

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.servers.system import System

pytestmark = [pytest.mark.browser, pytest.mark.live]
PASSWORD = "a-Long-one-for-tests-9"


def sign_up(page: Page) -> str:
    """A new account through the form; its slug."""
    slug = f"new-{uuid.uuid4().hex[:8]}"
    page.goto("/")
    page.get_by_role("link", name="Sign up").click()
    page.get_by_label("Email").fill(f"{slug}@example.com")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password (again)").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/models")
    return slug


def test_sign_up_key_chat_charge(open_page: OpenPage, embedded: System) -> None:
    page = open_page()
    slug = sign_up(page)
    embedded.manage("issue_key", "--account", slug, "--credit", "1.00")

    # The key is shown once.
    page.goto("/keys")
    page.get_by_role("link", name="New key").first.click()
    page.get_by_label("Name").fill("browser test")
    page.get_by_role("button", name="Create key").click()
    key = page.get_by_label("Your key").input_value()
    assert key.startswith("sk-tp-v1-")
    page.get_by_role("link", name="I have copied it").click()
    expect(page.get_by_role("row").filter(has_text="browser test")).to_be_visible()
    assert key not in page.content()

    # The answer comes piece by piece.
    page.goto(f"/{embedded.demo['chat_model']}")
    grown = page.evaluate_handle(
        """() => {
            const seen = [];
            const log = document.querySelector("[data-chat-log]");
            new MutationObserver(() => {
                const text = document.querySelector(".turn-assistant .turn-text")?.textContent ?? "";
                if (text && text !== seen.at(-1)) seen.push(text);
            }).observe(log, { childList: true, subtree: true, characterData: true });
            return seen;
        }"""
    )
    page.get_by_label("Message").fill("Say hello.")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".turn-assistant .turn-meta")).to_contain_text("$0.0", timeout=30_000)
    pieces = grown.json_value()
    assert len(pieces) > 3, pieces
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(pieces))
    cost = re.search(r"\$(0\.\d+)", page.locator(".turn-assistant .turn-meta").inner_text())
    assert cost

    # Why this provider.
    page.get_by_role("link", name="Why this provider?").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Generation")

    # The charge, to the last digit, and the balance without it.
    page.goto("/usage")
    rows = page.get_by_role("row").filter(has_text=embedded.demo["chat_model"])
    expect(rows).to_have_count(2)  # the model's sum, and the request
    for row in rows.all():
        expect(row).to_contain_text(f"${cost[1]}")
    expect(rows.last).to_contain_text("Playground")
    page.goto("/credits")
    expect(page.get_by_text(f"−${cost[1]}")).to_be_visible()


def test_an_empty_wallet_is_told_so_in_the_chat(open_page: OpenPage, embedded: System) -> None:
    page = open_page(expected="402")
    sign_up(page)
    page.goto(f"/chat?model={embedded.demo['chat_model']}")
    page.get_by_label("Message").fill("Say hello.")
    with page.expect_response("**/api/v1/chat/completions") as answered:
        page.get_by_role("button", name="Send").click()
    assert answered.value.status == 402
    expect(page.get_by_role("alert")).to_contain_text(re.compile("credit", re.IGNORECASE))
    expect(page.get_by_label("Message")).to_have_value("Say hello.")


def test_a_stopped_answer_keeps_what_had_come(demo_page: OpenPage, embedded: System) -> None:
    page = demo_page()
    page.goto(f"/chat?model={embedded.demo['chat_model']}")
    page.get_by_label("Message").fill("Tell me a long story.")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".turn-assistant .turn-text")).to_contain_text(re.compile(r"\w+ \w+"), timeout=30_000)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(page.locator(".turn-assistant .turn-meta")).to_contain_text("stopped")
