"""Which fetches of changelogs were overtaken by a seek of recovery."""

import pytest
from faust.types import TP

from signalflow.streams.changelog_seeks import ChangelogSeeks

LOG0, LOG1 = TP("changelog", 0), TP("changelog", 1)


@pytest.fixture
def seeks() -> ChangelogSeeks:
    return ChangelogSeeks()


def test_before_the_first_fetch_only_what_was_sought_is_overtaken(seeks: ChangelogSeeks) -> None:
    assert not seeks.has_overtaken(LOG0)
    seeks.note({LOG0: 300})
    assert (seeks.has_overtaken(LOG0), seeks.has_overtaken(LOG1)) == (True, False)


@pytest.mark.parametrize("offset", [300, 310])
def test_each_seek_overtakes_the_fetch_under_way_even_if_it_seeks_the_same_offset_again(
    seeks: ChangelogSeeks, offset: int
) -> None:
    for _ in range(3):
        seeks.fetch_begins()
        assert not seeks.has_overtaken(LOG0), "it was sought before the fetch"
        seeks.note({LOG0: 300})
        assert seeks.has_overtaken(LOG0)
    seeks.fetch_begins()
    seeks.note({LOG0: offset, LOG1: 7})
    assert (seeks.has_overtaken(LOG0), seeks.has_overtaken(LOG1)) == (True, True)
    assert seeks.last_offsets([LOG0]) == {LOG0: offset}
