"""Unwraps the HTML in which a feed shows a post: its text, and the address that it links to."""

import re
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser

# Reddit puts the text between these comments. Markdown cannot contain them: its HTML is escaped.
_BEGIN, _END = "<!-- SC_OFF -->", "<!-- SC_ON -->"
_LINK = re.compile(r'<a href="([^"]*)">\[link\]</a>')
_BLOCKS = frozenset(
    ("div", "p", "ul", "ol", "li", "blockquote", "pre", "hr", "table", "tr", "h1", "h2", "h3", "h4", "h5", "h6")
)
_SPACE = re.compile(r"[ \t\r\n]+")


@dataclass(frozen=True, slots=True)
class Content:
    """`text` is None where there is none or it cannot be read; `link` is where the post's link leads."""

    text: str | None
    link: str | None


def content_of(html: str) -> Content:
    """What the content of an entry shows."""
    before, marker, rest = html.rpartition(_END)
    # The text may hold a [link] of its author's: only what follows it is Reddit's.
    links: list[str] = _LINK.findall(rest)
    return Content(
        text=text_of(before.partition(_BEGIN)[2]) or None if marker else None,
        link=unescape(links[-1]) if links else None,
    )


def text_of(html: str) -> str:
    """The text of HTML that Reddit made from Markdown: paragraphs with an empty line between them, `* ` before items.

    Of links only the words are kept, of quotes and emphasis not the marks. HTML that cannot be read has no text.
    """
    reader = _Text()
    try:
        reader.feed(html)
        reader.close()
    except AssertionError:
        # html.parser raises it for declarations that do not exist, such as <![x[.
        return ""
    return reader.text()


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._blocks: list[list[str]] = [[]]
        self._verbatim = 0

    def text(self) -> str:
        """The blocks that were read so far."""
        blocks = ("".join(block).strip() for block in self._blocks)
        return "\n\n".join(block for block in blocks if block not in ("", "*"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self._blocks[-1].append("\n")
        elif tag in _BLOCKS and self._blocks[-1] != ["* "]:
            # The paragraph of an item stands behind the item's mark.
            self._blocks.append([])
        if tag == "li":
            self._blocks[-1] = ["* "]
        self._verbatim += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._blocks.append([])
        self._verbatim -= tag == "pre" and self._verbatim > 0

    def handle_data(self, data: str) -> None:
        text = data if self._verbatim else _SPACE.sub(" ", data)
        if text.strip() or self._blocks[-1] not in ([], ["* "]):
            self._blocks[-1].append(text)
