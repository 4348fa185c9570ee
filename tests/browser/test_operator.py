"""A provider brought to market by a browser, and a chat that it answers."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, OpenPage, log_in
from tests.browser.test_look import CONTRAST
from tests.browser.test_newcomer import PASSWORD, sign_up
from tests.servers.system import System

pytestmark = [pytest.mark.browser, pytest.mark.live]


def test_a_provider_is_registered_probed_shown_and_asked(open_page: OpenPage, embedded: System) -> None:
    page = open_page(expected="422")
    slug = sign_up(page)
    page.goto("/keys")
    page.get_by_role("link", name="Become an operator").click()
    expect(page.get_by_text(f"grant_role {slug} operator")).to_be_visible()
    embedded.manage("grant_role", slug, "operator")
    embedded.manage("issue_key", "--account", slug, "--credit", "1.00")
    page.reload()
    page.get_by_role("link", name="Register a provider").first.click()

    # Register: an address that is refused comes back with what was typed, and is mended.
    name, model = f"prov-{uuid.uuid4().hex[:6]}", f"{slug}/llama"
    page.get_by_label("Name", exact=True).fill("North")
    page.get_by_label("Short name").fill(name)
    page.get_by_label("Base URL").fill("http://10.0.0.1/v1")
    page.get_by_label("Keeps nothing").check()
    first = page.locator("details").filter(has_text="Model 1")
    first.get_by_label("Model", exact=True).fill(model)
    first.get_by_label("Its name at the provider").fill("simulated")
    first.get_by_label("Input, $/M tokens").fill("0.15")
    first.get_by_label("Output, $/M tokens").fill("0.60")
    first.get_by_label("Context, tokens").fill("8000")
    first.get_by_label("Tools").check()
    page.get_by_label("Credentials").fill("simulated")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("alert")).to_contain_text("https")
    expect(first.get_by_label("Model", exact=True)).to_have_value(model)
    page.get_by_label("Base URL").fill(f"http://127.0.0.1:{embedded.simulated_ports['sim-steady']}/v1")
    page.get_by_label("Credentials").fill("simulated")
    page.get_by_role("button", name="Register").click()

    # The probe passes while the page is looked at.
    row = page.get_by_role("row").filter(has_text=model)
    expect(row).to_contain_text("shown", timeout=60_000)
    expect(row).to_contain_text("tools")
    expect(page.get_by_text("simulated", exact=True).first).to_be_visible()
    row.get_by_role("link", name=model).click()
    expect(page.get_by_role("region", name="Last probe")).to_contain_text("stream")

    # A new price, dated.
    page.get_by_label("Input, $/M tokens").fill("0.2")
    page.get_by_role("button", name="Set prices from now on").click()
    expect(page.get_by_role("region", name="Prices over time")).to_contain_text("$0.20")
    expect(page.get_by_role("region", name="Prices over time")).to_contain_text("$0.15")
    endpoint = page.url

    # It stands on its model's page and answers.
    page.get_by_role("link", name="Its page").click()
    page.get_by_role("tab", name="Providers").click()
    expect(page.get_by_role("table").first).to_contain_text("North")
    page.get_by_role("tab", name="Playground").click()
    page.get_by_label("Message").fill("Say hello.")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".turn-assistant .turn-meta")).to_contain_text("$0.0", timeout=30_000)
    page.goto(endpoint)
    expect(page.get_by_text("1 request,")).to_be_visible()

    # Its pages can be read, in the dark too, and fit a phone.
    paths = [
        "/operate",
        "/operate/register",
        f"/operate/providers/{name}",
        f"/operate/providers/{name}/models",
        endpoint,
    ]
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for path in paths:
            page.goto(path)
            assert page.evaluate(CONTRAST) == [], (scheme, path)
    phone = open_page(size=PHONE)
    log_in(phone, f"{slug}@example.com", PASSWORD)
    for path in paths:
        phone.goto(path)
        assert not phone.evaluate("document.documentElement.scrollWidth > innerWidth"), path

    # Retired, it serves nobody.
    page.goto(f"/operate/providers/{name}")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Retire").click()
    expect(page.get_by_text("This provider is retired")).to_be_visible()
