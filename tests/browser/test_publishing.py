"""Publishing with a browser: an archive larger than one part is dropped, loses its connection, and goes on."""

from __future__ import annotations

import base64
import hashlib
import io
import uuid
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from execution.services import folders
from tests.browser.conftest import OpenPage
from tests.servers.system import PART_BYTES, ROOT, System

pytestmark = [pytest.mark.browser, pytest.mark.live]

DROP = """
(target, [name, content]) => {
    const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
    const held = new DataTransfer();
    held.items.add(new File([bytes], name, { type: "application/zip", lastModified: 1 }));
    for (const kind of ["dragenter", "dragover", "drop"]) {
        target.dispatchEvent(new DragEvent(kind, { dataTransfer: held, bubbles: true, cancelable: true }));
    }
}
"""


def packed(*, with_config: bool = True) -> bytes:
    """examples/hello-text with weights that make it larger than two parts."""
    content = io.BytesIO(folders.pack(ROOT / "examples" / "hello-text") if with_config else b"")
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr("weights.bin", hashlib.shake_256(uuid.uuid4().bytes).digest(2 * PART_BYTES + 1000))
    return content.getvalue()


def drop(page: Page, content: bytes, name: str = "model.zip") -> None:
    page.locator("[data-drop]").evaluate(DROP, [name, base64.b64encode(content).decode()])


def test_a_dropped_archive_goes_up_in_parts_and_on_after_a_break(demo_page: OpenPage, embedded: System) -> None:
    page = demo_page(expected="ERR_CONNECTION")
    page.goto("/publish")
    slug = f"big-{uuid.uuid4().hex[:8]}"
    page.get_by_label("Name").fill(slug)
    drop(page, packed())
    offsets: list[str] = []

    def relay(route: Route) -> None:
        if route.request.method == "PUT":
            offsets.append(route.request.headers["upload-offset"])
        if len(offsets) == 2 and route.request.method == "PUT":
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/publish/uploads/*", relay)
    page.get_by_role("button", name="Build it").click()
    page.wait_for_url("**/publish/builds/*")
    assert offsets == ["0", str(PART_BYTES), str(PART_BYTES), str(2 * PART_BYTES)]
    expect(page.get_by_text("Published as version").first).to_be_visible(timeout=60_000)
    left = "from execution.models import Upload; result = Upload.objects.filter(account__slug='demo').count()"
    assert embedded.query(left) == 0


def test_what_is_no_model_is_told_before_it_is_sent(demo_page: OpenPage, tmp_path: Path) -> None:
    page = demo_page()
    page.goto("/publish")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method) if request.method != "GET" else None)
    page.get_by_label("Name").fill("nothing")
    for name, content, says in (
        ("model.tar", b"x", "not a .zip"),
        ("model.zip", b"x" * 100, "not a zip archive"),
        ("model.zip", packed(with_config=False), "no cog.yaml"),
    ):
        drop(page, content, name)
        expect(page.get_by_role("alert")).to_contain_text(says)
        page.get_by_role("button", name="Build it").click()
        expect(page.get_by_role("alert")).to_contain_text(says)
    assert sent == []
