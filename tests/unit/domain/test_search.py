"""Searches of titles that are not looked up in the database."""

import pytest

from signalflow.domain.search import Search, words_of
from tests.searches import ONLY_ONE_WAY, SEARCHES


@pytest.mark.parametrize(("search", "title", "is_met"), [*SEARCHES, *ONLY_ONE_WAY])
def test_a_title_meets_a_search_by_how_its_words_begin(search: str, title: str, is_met: bool) -> None:
    assert Search(search).is_met(title, words_of(title)) is is_met


def test_searches_of_the_same_words_are_equal() -> None:
    assert Search("Mars  or MOON").key == Search('mars or "moon"').key
    assert len({Search(words).key for words in ("mars", "-mars", "mars moon", "mars or moon", "???", "!")}) == 6
