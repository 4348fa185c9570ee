"""Decision records: each has a number of its own, and what links to one finds it."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECORDS = sorted((ROOT / "docs" / "decisions").glob("*.md"))


def test_numbers_are_taken_once_and_none_is_left_out() -> None:
    assert [int(one.name[:4]) for one in RECORDS] == list(range(1, len(RECORDS) + 1))


def test_each_begins_with_its_number() -> None:
    for one in RECORDS:
        assert re.match(rf"# 0*{int(one.name[:4])}[.:] ", one.read_text()), one.name


def test_links_between_documents_lead_somewhere() -> None:
    """Also to headings: what a link names after the # is one of the page it leads to."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    lost = []
    for page in pages:
        for target in re.findall(r"\]\(([^)\s:]+)\)", page.read_text()):
            path, _, heading = target.partition("#")
            found = (page.parent / path).resolve() if path else page
            if not found.exists() or (heading and heading not in _headings(found)):
                lost.append(f"{page.relative_to(ROOT)} -> {target}")
    assert not lost


def _headings(page: Path) -> set[str]:
    lines = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}
