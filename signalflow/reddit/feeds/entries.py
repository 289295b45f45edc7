"""Reads the entries of an Atom feed of Reddit. Pure: bytes in, texts out; nothing is validated but the XML."""

from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import fromstring

from signalflow.errors import Invalid

# 100 posts with the longest texts (40,000 characters, escaped twice) are smaller.
MAX_FEED_BYTES = 16 * 2**20
_ATOM = "{http://www.w3.org/2005/Atom}"


@dataclass(frozen=True, slots=True)
class Entry:
    """The parts of an entry that tell of a post; None for what it lacks. `content` is HTML."""

    id: str | None
    title: str | None
    author: str | None
    subreddit: str | None
    link: str | None
    published: str | None
    updated: str | None
    content: str | None


@dataclass(frozen=True, slots=True)
class Feed:
    """The entries in the feed's order, and the address of the next page if the feed names one."""

    entries: tuple[Entry, ...]
    following: str | None


def feed_of(body: bytes) -> Feed:
    """The feed in a document. Raises Invalid when it is too large, no XML, no feed, or has a DTD (so also entities)."""
    if len(body) > MAX_FEED_BYTES:
        raise Invalid(f"the feed has more than {MAX_FEED_BYTES} bytes")
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, ValueError, LookupError) as error:
        # ValueError: a DTD, or an encoding that the parser cannot read. LookupError: an unknown encoding.
        raise Invalid(f"the feed is not the XML that Reddit sends: {type(error).__name__}") from error
    if root.tag != f"{_ATOM}feed":
        raise Invalid("the document is not an Atom feed")
    following = next((link.get("href") for link in root.findall(f"{_ATOM}link") if link.get("rel") == "next"), None)
    return Feed(tuple(_entry(element) for element in root.findall(f"{_ATOM}entry")), following)


def _entry(element: Element) -> Entry:
    category, link = element.find(f"{_ATOM}category"), element.find(f"{_ATOM}link")
    return Entry(
        id=element.findtext(f"{_ATOM}id"),
        title=element.findtext(f"{_ATOM}title"),
        author=element.findtext(f"{_ATOM}author/{_ATOM}name"),
        subreddit=None if category is None else category.get("term"),
        link=None if link is None else link.get("href"),
        published=element.findtext(f"{_ATOM}published"),
        updated=element.findtext(f"{_ATOM}updated"),
        content=element.findtext(f"{_ATOM}content"),
    )
