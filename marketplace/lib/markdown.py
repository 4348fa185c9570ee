"""What publishers write of their models: Markdown (CommonMark, tables, strikethrough) -> HTML that is safe to show.

Whoever publishes may write anything, so only what is named here gets through. HTML in the text is never passed on: its
tags are dropped, and their words stay words. Links lead to http, https and mailto addresses and to headings of the same
text; pictures come by https. Any other link or picture leaves its words behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from itertools import pairwise
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

# Hostile texts cost some ten microseconds a character, ordinary ones one: what is longer ends with a word about it.
MOST_CHARACTERS: Final = 100_000
MOST_IN_A_LIST: Final = 1_000
CUT: Final = "\n\n*The rest is too long to show here.*"

_LINK: Final = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)
_PICTURE: Final = re.compile(r"https://[^\s/]", re.IGNORECASE)
_BARE: Final = re.compile(r"https?://[^\s<>\"'`]+", re.IGNORECASE)
_BEHIND_A_SENTENCE: Final = ".,;:!?*_"
_UNSEEN: Final = re.compile(r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_TAG: Final = re.compile(r"</?[a-z][^>]*>?", re.IGNORECASE)
_BREAK: Final = re.compile(r"<br\s*/?>", re.IGNORECASE)
_NOT_IN_AN_ANCHOR: Final = re.compile(r"[^\w -]")
_WORDS: Final = frozenset({"text", "code_inline", "softbreak", "hardbreak"})
_LANGUAGE: Final = re.compile(r"[\w+#.-]{1,30}")


@dataclass(frozen=True, slots=True)
class Document:
    """A text as HTML; whether it shows pictures of other hosts, which a page's policy has to allow."""

    html: str
    has_pictures: bool


@lru_cache(maxsize=64)
def render(text: str, *, top: int = 2, anchors: str = "", pictures: bool = True) -> Document:
    """The whole text, its greatest heading an <h{top}>. With `anchors` headings get ids that begin with it.

    Without `pictures` their descriptions stand in their place.
    """
    if len(text) > MOST_CHARACTERS:
        text = text[:MOST_CHARACTERS].rsplit("\n", 1)[0] + CUT
    tokens = _READER.parse(text)
    _lower_headings(tokens, top=top)
    if anchors:
        _name_headings(tokens, prefix=anchors)
    for block in tokens:
        if block.type == "inline" and block.children is not None:
            block.children = list(_sound(block.children, anchors=anchors, pictures=pictures))
    shown = any(one.type == "image" for block in tokens for one in block.children or ())
    return Document(_READER.renderer.render(tokens, _READER.options, {}), shown)


@lru_cache(maxsize=1024)
def words(text: str) -> str:
    """How the text begins, without its marks, in one line: for lists, where there is no room for more."""
    return " ".join(" ".join(_words(_SKIMMER.parse(text[:MOST_IN_A_LIST]))).split())


def _words(tokens: Sequence[Token]) -> Iterator[str]:
    """What a reader would hear of each block; code and pictures are left out."""
    for block in tokens:
        if block.type == "inline":
            yield _told(block.children)
        elif block.type == "html_block":
            yield _without_tags(block.content)


def _told(line: Sequence[Token] | None) -> str:
    """A line's words."""
    return "".join(" " if one.type.endswith("break") else one.content for one in line or () if one.type in _WORDS)


# -- What a text may hold


def _lower_headings(tokens: Sequence[Token], *, top: int) -> None:
    """The greatest heading becomes an <h{top}>, the others follow at their distance."""
    levels = [int(one.tag[1]) for one in tokens if one.type == "heading_open"]
    by = top - min(levels, default=top)
    for one in tokens:
        if one.type in {"heading_open", "heading_close"}:
            one.tag = f"h{min(6, int(one.tag[1]) + by)}"


def _name_headings(tokens: Sequence[Token], *, prefix: str) -> None:
    """Ids as GitHub makes them, each once, so that a table of contents leads somewhere."""
    taken: dict[str, int] = {}
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open":
            name = anchor(_told(inline.children))
            again = taken[name] = taken.get(name, -1) + 1
            heading.attrSet("id", f"{prefix}{name}{f'-{again}' if again else ''}")


def anchor(heading: str) -> str:
    """`How it's used` -> `how-its-used`."""
    return _NOT_IN_AN_ANCHOR.sub("", heading.lower()).strip().replace(" ", "-")


def _sound(tokens: Sequence[Token], *, anchors: str, pictures: bool) -> Iterator[Token]:
    """The tokens of a line without links and pictures that lead where none may; bare addresses become links."""
    opened: list[bool] = []  # of each link that is open: whether it stays
    for one in tokens:
        if one.type == "link_open":
            opened.append(_keep_link(one, anchors=anchors))
            if opened[-1]:
                yield one
        elif one.type == "link_close":
            if opened.pop():
                yield one
        elif one.type == "image":
            yield one if pictures and _PICTURE.match(str(one.attrs["src"])) else _said(_told(one.children))
        elif one.type == "text" and not opened:
            yield from _linked(one.content)
        else:
            yield one


def _keep_link(link: Token, *, anchors: str) -> bool:
    """Whether it leads somewhere from here; one to a heading then does so by our name of that."""
    to = str(link.attrs["href"])
    if to.startswith("#") and anchors:
        link.attrs["href"] = f"#{anchors}{to[1:]}"
        return True
    link.attrs["rel"] = "nofollow noopener ugc"
    return bool(_LINK.match(to))


def _linked(text: str) -> Iterator[Token]:
    """A run of text, with links where addresses stand in it."""
    at = 0
    for found in _BARE.finditer(text):
        address = found[0].rstrip(_BEHIND_A_SENTENCE)
        if address.endswith(")") and "(" not in address:
            address = address.rstrip(")").rstrip(_BEHIND_A_SENTENCE)
        if address.endswith("//"):
            continue
        yield _said(text[at : found.start()])
        href = _READER.normalizeLink(address)
        yield Token("link_open", "a", 1, attrs={"href": href, "rel": "nofollow noopener ugc"})
        yield _said(address)
        yield Token("link_close", "a", -1)
        at = found.start() + len(address)
    yield _said(text[at:])


def _said(text: str) -> Token:
    return Token("text", "", 0, content=text)


def _without_tags(html: str) -> str:
    """The words of some HTML; comments, scripts and styles have none."""
    return _TAG.sub(" ", _UNSEEN.sub(" ", html)).strip()


# -- How it is written


class _Writer(RendererHTML):
    """One method for each kind of token whose HTML is ours to say; each escapes what it is given."""

    def html_block(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """Its words."""
        told = _without_tags(tokens[index].content)
        return f"<p>{escape(told)}</p>\n" if told else ""

    def html_inline(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """Nothing, or a line's break; the words between two tags are tokens of their own."""
        return "<br>" if _BREAK.fullmatch(tokens[index].content) else ""

    def fence(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """As templates/components/code.html."""
        token = tokens[index]
        language = _LANGUAGE.match(token.info.strip())
        return (
            f'<div class="code"><div class="code-bar"><span>{escape(language[0]) if language else ""}</span>'
            '<button class="code-copy" type="button" data-copy aria-live="polite">Copy</button></div>'
            f'<pre tabindex="0"><code>{escape(token.content.rstrip())}</code></pre></div>\n'
        )

    def code_block(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """Code by its indent: as that between fences."""
        return self.fence(tokens, index, options, env)

    def table_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A wide one scrolls by itself, by keys too."""
        return '<div class="table-wrap" tabindex="0" role="region" aria-label="Table"><table class="table">\n'

    def table_close(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """The end of both."""
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """The head of a column."""
        return f'<th scope="col"{_side(tokens[index])}>'

    def td_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """A cell."""
        return f"<td{_side(tokens[index])}>"

    def image(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """Loaded when it is come to, and its host is not told whose page shows it."""
        token = tokens[index]
        title = f' title="{escape(str(token.attrs["title"]))}"' if token.attrs.get("title") else ""
        return (
            f'<img src="{escape(str(token.attrs["src"]))}" alt="{escape(_told(token.children))}"{title} '
            'loading="lazy" decoding="async" referrerpolicy="no-referrer">'
        )


def _side(cell: Token) -> str:
    """Where its words stand, by a class: the pages' policy takes no style."""
    style = str(cell.attrs.get("style", ""))
    return next((f' class="{one}"' for one in ("right", "center") if one in style), "")


# HTML is read as such only to be dropped: left unread, its tags would be shown.
_READER: Final = MarkdownIt("commonmark", {"html": True, "xhtmlOut": False}, renderer_cls=_Writer).enable(
    ["table", "strikethrough"]
)
# For lists, of which one page shows many texts: without tables, whose empty cells make much of little.
_SKIMMER: Final = MarkdownIt("commonmark", {"html": True}).enable("strikethrough")
