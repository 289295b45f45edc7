"""Whether new records of the poller tell that the log has lost earlier ones."""

from uuid import UUID

import pytest

from agents.published import takes_the_place
from signalflow.domain.positions import Position
from signalflow.kafka.producer import Span


@pytest.mark.parametrize(
    ("first", "at", "told"),
    [
        (10, 2_000, False),
        (9, 2_000, True),
        (9, 1_000, False),
        (9, 999, False),
        (9, None, False),
    ],
    ids=["after the known ones", "later at a lower offset", "at the same time", "noted late", "times of producers"],
)
def test_a_later_record_at_a_lower_offset_takes_the_place_of_a_lost_one(first: int, at: int | None, told: bool) -> None:
    known = Position(10, UUID(int=1), 1_000)
    assert takes_the_place(Span(first, first + 4, 0, at), known) is told
