"""Light, dark, phone: nothing sticks out, everything can be read."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, OpenPage
from tests.servers.system import System

pytestmark = [pytest.mark.browser, pytest.mark.live]

OPEN = ["/", "/docs", "/models", "/providers", "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/"]
OWN = [
    "/chat",
    "/keys",
    "/keys/create",
    "/usage",
    "/usage?span=24h&part=kind",
    "/alerts",
    "/credits",
    "/earnings",
    "/settings",
    "/organisations",
    "/organisations/create",
]
OWN += ["/operate", "/publish", "/publish/models", "/predictions", "/trainings"]

# Every visible text with less contrast than WCAG AA asks of its size.
CONTRAST = """
() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const over = (top, under) => {
        const a = top[3] / 255;
        return [0, 1, 2].map((i) => top[i] * a + under[i] * (1 - a)).concat(255);
    };
    const behind = (element) => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
        return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 255]);
    };
    const light = (c) => {
        const [r, g, b] = c.map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const poor = [];
    for (const element of document.querySelectorAll("body *")) {
        const text = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.textContent.trim()).join("");
        const exempt = ".visually-hidden, .skip-link, [aria-disabled], option, noscript";
        if (!text || !element.checkVisibility() || element.closest(exempt)) continue;
        const style = getComputedStyle(element);
        const under = behind(element);
        const [a, b] = [light(over(rgba(style.color), under)), light(under)].sort((x, y) => y - x);
        const size = parseFloat(style.fontSize);
        const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < least) poor.push(`${text.slice(0, 30)}: ${ratio.toFixed(2)}`);
    }
    return poor;
}
"""


def paths(system: System) -> list[str]:
    """Every page that the demo's user can open."""
    return [*OPEN[:3], *OWN, f"/{system.demo['chat_model']}", "/demo/detect-shapes"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(
    demo_page: OpenPage, open_page: OpenPage, embedded: System, scheme: str
) -> None:
    page = demo_page(scheme=scheme)
    poor = {}
    for path in paths(embedded):
        page.goto(path)
        poor[path] = page.evaluate(CONTRAST)
    stranger = open_page(scheme=scheme)
    for path in OPEN:
        stranger.goto(path)
        poor[f"stranger {path}"] = stranger.evaluate(CONTRAST)
    assert {path: found for path, found in poor.items() if found} == {}


def test_nothing_scrolls_sideways_on_a_phone(demo_page: OpenPage, open_page: OpenPage, embedded: System) -> None:
    page, stranger = demo_page(size=PHONE), open_page(size=PHONE)
    wide = []
    for visitor, visited in ((page, paths(embedded)), (stranger, OPEN)):
        for path in visited:
            visitor.goto(path)
            if visitor.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wide.append(path)
    assert wide == []


def test_nothing_lies_behind_an_edge_on_a_low_screen_and_what_folds_shows_that_it_does(
    demo_page: OpenPage, open_page: OpenPage
) -> None:
    low = demo_page(size=(1280, 500))
    low.goto("/keys")
    assert low.locator(".side").evaluate("one => one.scrollHeight <= one.clientHeight")
    low.goto("/models")
    assert low.locator(".filters").evaluate("one => getComputedStyle(one).position") == "static"
    phone = open_page(size=PHONE)
    phone.goto("/models")
    assert phone.locator(".filter-more summary").evaluate("one => getComputedStyle(one).display") == "list-item"


def test_the_theme_follows_the_system_until_chosen_and_the_choice_lasts(open_page: OpenPage) -> None:
    page = open_page(scheme="dark")
    page.goto("/")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Switch between light and dark").click()
    light = page.evaluate(background)
    assert light != dark
    page.goto("/models")
    assert page.evaluate(background) == light
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate(background) == dark


def test_the_phone_menu_opens_by_keyboard_and_closes_with_escape(open_page: OpenPage) -> None:
    page = open_page(size=PHONE)
    page.goto("/")
    menu = page.locator("summary[aria-label=Menu]")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Providers").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("navigation", name="Main")).to_have_count(0)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Menu"


def test_the_list_narrows_while_typing_and_the_address_keeps_it(open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/models")
    page.get_by_label("Search").fill("nothing-is-called-so")
    expect(page.get_by_role("heading", name="No model fits")).to_be_visible()
    assert "q=nothing-is-called-so" in page.url
    page.get_by_role("link", name="Clear all filters").click()
    expect(page.get_by_role("list").locator("a.cover").first).to_be_visible()


def test_tabs_move_with_arrows(open_page: OpenPage, embedded: System) -> None:
    page = open_page()
    page.goto(f"/{embedded.demo['chat_model']}")
    page.get_by_role("tab", name="Playground").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("table").first).to_be_visible()  # A second one appears once the model has been asked.
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("$TURNPIKE_API_KEY").first).to_be_visible()
    assert page.url.endswith("#api")
