"""A real Chromium on the whole system. A console error or a script's exception on any page fails the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from marketplace.demo import EMAIL
from tests.servers import binaries
from tests.servers.system import System

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE = (1280, 860)
PHONE = (375, 760)

OpenPage = Callable[..., Page]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser for all tests here; each test has contexts of its own.

    It ends with them: Playwright keeps an event loop running, beside which no asynchronous test can run.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binaries.chromium(), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser, embedded: System) -> Iterator[OpenPage]:
    """`open_page(size=WIDE, scheme="light")` -> a new visitor; complaints but `expected` fail the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def hear(message: ConsoleMessage, expected: str) -> None:
        if message.type in {"error", "warning"} and not (expected and expected in message.text):
            complaints.append(f"{message.text} at {message.location.get('url')}")

    def make(*, size: tuple[int, int] = WIDE, scheme: str = "light", expected: str = "") -> Page:
        context = chromium.new_context(
            base_url=embedded.base_url,
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: hear(message, expected))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def demo_page(open_page: OpenPage, embedded: System) -> OpenPage:
    """Like open_page, logged in as the demo's user."""

    def make(*, size: tuple[int, int] = WIDE, scheme: str = "light", expected: str = "") -> Page:
        page = open_page(size=size, scheme=scheme, expected=expected)
        log_in(page, EMAIL, embedded.demo["password"])
        return page

    return make


def log_in(page: Page, email: str, password: str) -> None:
    """Through the form, as a person does."""
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    page.wait_for_url("**/models")
