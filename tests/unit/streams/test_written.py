"""What a worker wrote, and which of it new records have replaced."""

from signalflow.domain.positions import Position
from signalflow.kafka.producer import Span
from signalflow.streams.written import Written


def test_the_last_confirmed_record_of_each_partition_is_known() -> None:
    written = Written()
    written.note("made", {0: [Span(5, 9, 0, 1_000), Span(10, 11, 5, 1_001)], 1: [Span(0, 0, 0, 1_000)]})
    assert written.end("made", 0) == Position(12, None, 1_001)
    assert written.end("made", 1) == Position(1, None, 1_000)
    assert (written.end("made", 2), written.end("other", 0)) == (None, None)


def test_new_records_at_confirmed_offsets_tell_that_the_log_lost_some_until_it_is_forgotten() -> None:
    written = Written()
    written.note("made", {0: [Span(0, 9, 0, 1_000)]})
    written.note("made", {0: [Span(7, 8, 0, 2_000)]})
    written.note("made", {0: [Span(9, 20, 0, 3_000)]})
    assert written.is_overwritten("made", 0)
    assert written.end("made", 0) == Position(21, None, 3_000)
    assert not written.is_overwritten("made", 1)
    written.forget("made", 0)
    assert (written.is_overwritten("made", 0), written.end("made", 0)) == (False, None)


def test_a_loss_between_two_batches_of_one_send_counts() -> None:
    written = Written()
    written.note("made", {0: [Span(40, 60, 0, 1_000), Span(40, 55, 21, 2_000)]})
    assert written.is_overwritten("made", 0)


def test_batches_that_are_noted_in_another_order_than_they_were_appended_replace_nothing() -> None:
    written = Written()
    written.note("made", {0: [Span(5, 9, 0, 1_001)]})
    written.note("made", {0: [Span(0, 4, 0, 1_000)]})
    written.note("made", {0: [Span(0, 4, 0, 1_001)]})
    assert not written.is_overwritten("made", 0)
    assert written.end("made", 0) == Position(10, None, 1_001)
