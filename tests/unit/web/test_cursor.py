"""Cursors: they come back as they were, for the walk that they are of, and nothing else is one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalflow.storage.post_list import Cursor
from signalflow.storage.post_orders import ORDERS, OrderName
from web.api.posts.cursor import decode_cursor, encode_cursor

AS_OF = datetime(2026, 1, 1, 12, tzinfo=UTC)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "timestamptz": st.timedeltas(timedelta(0), timedelta(days=80_000)).map(datetime(1970, 1, 1, tzinfo=UTC).__add__),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "float8": st.floats(allow_nan=False, allow_infinity=False) | st.just(float("-inf")),
}


@st.composite
def cursors(draw: st.DrawFn) -> tuple[OrderName, Cursor]:
    """An order, and a place in it."""
    order = draw(st.sampled_from(list(ORDERS)))
    key = tuple(draw(VALUES[kind]) for _, kind in ORDERS[order].key)
    post_id = draw(st.from_regex(r"[0-9a-z]{1,13}", fullmatch=True))
    position = draw(st.integers(0, 2**62))
    return order, Cursor(key, post_id, AS_OF, position, None if ORDERS[order].is_fixed else "10:20:11,12")


def cursor_at(moment: datetime) -> Cursor:
    return Cursor((moment,), "a", AS_OF, 7, None)


@given(cursors())
def test_a_cursor_comes_back_as_it_was(given: tuple[OrderName, Cursor]) -> None:
    order, cursor = given
    assert decode_cursor(encode_cursor(cursor, order, "walk"), order, "walk") == cursor


def test_a_cursor_keeps_microseconds() -> None:
    """Two posts a microsecond apart are two places."""
    texts = {encode_cursor(cursor_at(AS_OF + timedelta(microseconds=n)), "newest", "") for n in (0, 1)}
    assert len(texts) == 2


def test_a_cursor_of_another_walk_is_refused() -> None:
    text = encode_cursor(cursor_at(AS_OF), "newest", "the filters")
    with pytest.raises(ValueError, match="these filters"):
        decode_cursor(text, "newest", "other filters")
    with pytest.raises(ValueError, match="this order"):
        decode_cursor(text, "score", "the filters")


@given(st.integers(0, 200), st.characters(min_codepoint=45, max_codepoint=122))
def test_a_cursor_with_any_changed_character_is_refused(place: int, character: str) -> None:
    text = encode_cursor(cursor_at(AS_OF), "newest", "")
    place %= len(text)
    if text[place] != character:
        with pytest.raises(ValueError):
            decode_cursor(text[:place] + character + text[place + 1 :], "newest", "")


@given(st.text(max_size=64))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        decode_cursor(text, "newest", "")
