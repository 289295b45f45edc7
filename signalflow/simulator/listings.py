"""Listings: which things are on a page, by Reddit's rules for limit, after, before and count."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

DEFAULT_LIMIT, MAX_LIMIT = 25, 100
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageQuery:
    """The parameters of a listing as Reddit reads them; it ignores values that make no sense."""

    limit: int = DEFAULT_LIMIT
    after: str | None = None
    before: str | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class ListingPage(Generic[T]):
    """The things of a page, and the fullnames in its `after` and `before`; None where the API says null."""

    things: list[T]
    after: str | None
    before: str | None


def page_query(query: "Sequence[tuple[str, str]] | dict[str, str]") -> PageQuery:
    """From a query string. The limit is 25 unless given, and clamped to 1..100."""
    given = dict(query)
    limit = _integer(given.get("limit"))
    return PageQuery(
        limit=DEFAULT_LIMIT if limit is None else min(max(limit, 1), MAX_LIMIT),
        after=given.get("after") or None,
        before=given.get("before") or None,
        count=_integer(given.get("count")),
    )


def page_of(things: Iterable[T], name: Callable[[T], str], query: PageQuery) -> ListingPage[T]:
    """The page of a listing that `query` asks for; `things` are in the listing's order.

    `after` asks for the things that follow an anchor, `before` for the nearest ones that precede it, both in the
    listing's order. An anchor that is not in the listing (deleted, removed, beyond the cap) always gives an empty page.
    A page asked for with `before` but without `count` has neither `after` nor `before`; no page has a `before` without
    `count`.
    """
    if query.before is not None:
        nearest: list[T] = []
        more = False
        for thing in things:
            if name(thing) == query.before:
                break
            nearest.append(thing)
            if len(nearest) > query.limit:
                del nearest[0]
                more = True
        else:
            return ListingPage([], None, None)
        if query.count is None or not nearest:
            return ListingPage(nearest, None, None)
        return ListingPage(nearest, name(nearest[-1]), name(nearest[0]) if more else None)
    rest = iter(things)
    if query.after is not None and not any(name(thing) == query.after for thing in rest):
        return ListingPage([], None, None)
    found = list(islice(rest, query.limit + 1))
    page = found[: query.limit]
    return ListingPage(
        page,
        after=name(page[-1]) if len(found) > query.limit else None,
        before=name(page[0]) if query.count and query.after and page else None,
    )


def listing_json(children: Iterable[bytes], dist: int | None, after: str | None, before: str | None) -> bytes:
    """A Listing of serialised things."""
    return (
        b'{"kind":"Listing","data":{"modhash":null,"dist":%s,"after":%s,"before":%s,"geo_filter":"","children":[%s]}}'
        % (
            b"null" if dist is None else b"%d" % dist,
            _text(after),
            _text(before),
            b",".join(children),
        )
    )


def _text(value: str | None) -> bytes:
    return b"null" if value is None else b'"%s"' % value.encode()


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and text.lstrip("-").isdecimal() else None
