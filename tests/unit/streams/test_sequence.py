"""Which records are the next ones of a partition, and how often a missing one is looked for."""

import pytest
from faust.types import TP

from signalflow.streams.sequence import MAX_SEEKS_TO_ONE_OFFSET, Place, Sequence

TP0, TP1 = TP("raw", 0), TP("raw", 1)


@pytest.fixture
def sequence() -> Sequence:
    sequence = Sequence()
    sequence.begin(TP0, 20, 1_190)
    return sequence


@pytest.mark.parametrize(("first", "place"), [(19, Place.BELOW), (20, Place.NEXT), (21, Place.AHEAD)])
def test_a_run_stands_where_its_first_record_does(sequence: Sequence, first: int, place: Place) -> None:
    assert sequence.place(TP0, first) is place
    assert sequence.place(TP1, first) is Place.NOT_READ


def test_a_record_that_a_few_seeks_do_not_bring_is_not_waited_for(sequence: Sequence) -> None:
    for _ in range(MAX_SEEKS_TO_ONE_OFFSET):
        assert sequence.may_seek(TP0)
        assert sequence.place(TP0, 25) is Place.AHEAD
        sequence.note_seek(TP0)
    assert not sequence.may_seek(TP0)
    assert sequence.place(TP0, 25) is Place.NEXT
    assert sequence.may_seek(TP1)


@pytest.mark.parametrize("event", ["a delivery", "another beginning", "another assignment"])
def test_seeks_are_counted_anew_after_they_brought_a_record_or_reading_began_again(
    sequence: Sequence, event: str
) -> None:
    for _ in range(MAX_SEEKS_TO_ONE_OFFSET):
        sequence.note_seek(TP0)
    if event == "a delivery":
        sequence.deliver(TP0, 24, 1_240)
    elif event == "another beginning":
        sequence.begin(TP0, 20, 1_190)
    else:
        sequence.forget()
    assert sequence.may_seek(TP0)


def test_what_is_delivered_next_follows_the_last_record(sequence: Sequence) -> None:
    assert (sequence.expected(TP0), sequence.time_before(TP0)) == (20, 1_190)
    sequence.deliver(TP0, 24, 1_240)
    assert (sequence.expected(TP0), sequence.time_before(TP0)) == (25, 1_240)
    assert sequence.start_offsets == {TP0: 20}


def test_what_retention_removed_is_skipped(sequence: Sequence) -> None:
    sequence.skip_to(TP0, 40)
    assert (sequence.expected(TP0), sequence.start_offsets) == (40, {TP0: 40})


def test_start_offsets_outlive_an_assignment_and_nothing_else_does(sequence: Sequence) -> None:
    sequence.forget()
    assert (sequence.partitions(), sequence.expected(TP0), sequence.start_offsets) == (frozenset(), None, {TP0: 20})


def test_each_beginning_has_another_number(sequence: Sequence) -> None:
    numbers = []
    for _ in range(3):
        numbers.append(sequence.beginning(TP0))
        sequence.begin(TP0, 20, None)
    assert len(set(numbers)) == 3
