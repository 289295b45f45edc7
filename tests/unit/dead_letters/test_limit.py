"""The limit of dead letters stops a worker before it sets a topic aside, and counts each record once."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalflow.dead_letters.letter import letter_of
from signalflow.dead_letters.limit import DeadLetterLimit, Limit
from signalflow.errors import Fatal, Invalid, Retryable
from signalflow.events import DeadLetter
from signalflow.settings import Settings
from tests.unit.streams.fakes import Record

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def letters(offsets: Sequence[int], partition: int = 0, attempt: int = 1) -> list[DeadLetter]:
    headers = (("attempt", str(attempt).encode()),) if attempt > 1 else ()
    records = [Record(offset, partition=partition, headers=headers) for offset in offsets]
    return [letter_of(record, Invalid("bad"), stage="validate", worker="w", now=NOW) for record in records]


class History:
    """Stored letters of earlier processes; away while the database is."""

    def __init__(self, *offsets: int) -> None:
        self.offsets, self.away = set(offsets), False

    async def __call__(self, topic: str, partition: int, first: int, end: int) -> list[int]:
        if self.away:
            raise Retryable("database away")
        return [offset for offset in self.offsets if first <= offset < end]


def limit_of(history: History, *, in_row: int = 0, share: float = 0.0, window: int = 10) -> DeadLetterLimit:
    return DeadLetterLimit(Settings(dlq_limit_in_row=in_row, dlq_limit_share=share, dlq_limit_window=window), history)


@given(
    st.lists(st.booleans(), min_size=1, max_size=60),
    st.integers(0, 6),
    st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    st.integers(1, 12),
)
def test_the_limit_equals_a_plain_count_over_the_log(log: list[bool], in_row: int, share: float, window: int) -> None:
    """`log` says for each record whether it is bad. Each bad record is counted again from the whole log."""
    bad = [offset for offset, is_bad in enumerate(log) if is_bad]
    for offset in bad:
        row = 0
        while row <= offset and log[offset - row]:
            row += 1
        in_window = sum(log[max(offset - window + 1, 0) : offset + 1])
        exceeded = (in_row > 0 and row >= in_row) or (share > 0 and in_window > share * window)
        assert (Limit(in_row, share, window).used(bad, offset)[0] > 1) == exceeded


async def test_a_batch_that_exceeds_the_limit_is_refused_as_a_whole_and_earlier_batches_are_not() -> None:
    limit = limit_of(History(), in_row=5)
    await limit.admit(letters([0, 1, 2, 3]))
    with pytest.raises(
        Fatal, match=r"raw\[0\]: 5 records in a row .*DLQ_LIMIT_IN_ROW=5.* offset 4 .*goes on from the last"
    ):
        await limit.admit(letters([4]))


async def test_a_good_record_between_ends_the_row() -> None:
    limit = limit_of(History(), in_row=3)
    for offset in range(0, 30, 3):
        await limit.admit(letters([offset, offset + 1]))


async def test_a_retry_or_a_redelivery_counts_nothing_twice() -> None:
    limit = limit_of(History(), share=0.5, window=10)
    for _ in range(20):
        await limit.admit(letters([0, 2, 4, 6, 8]))
    with pytest.raises(Fatal, match="6 of the last 10 records"):
        await limit.admit(letters([9]))


async def test_a_restarted_worker_stops_at_the_same_record() -> None:
    history = History()
    for _ in range(3):
        limit = limit_of(history, in_row=4)
        for offset in sorted({0, 1, 2} - history.offsets):
            await limit.admit(letters([offset]))
            history.offsets.add(offset)
        with pytest.raises(Fatal, match="offset 3"):
            await limit.admit(letters([3]))


async def test_a_worker_goes_on_with_the_limit_raised_or_off() -> None:
    history = History(0, 1, 2)
    await limit_of(history, in_row=10).admit(letters([3]))
    await limit_of(history).admit(letters(range(3, 500)))


async def test_each_partition_is_counted_separately() -> None:
    limit = limit_of(History(), in_row=3)
    for partition in range(5):
        await limit.admit(letters([0, 1], partition))


async def test_replayed_records_do_not_stop_the_worker() -> None:
    await limit_of(History(), in_row=2).admit(letters(range(50), attempt=2))


async def test_without_the_database_the_limit_counts_what_this_worker_knows() -> None:
    history = History(0, 1, 2)
    history.away = True
    limit = limit_of(history, in_row=3)
    await limit.admit(letters([3, 4]))
    with pytest.raises(Fatal):
        await limit.admit(letters([5]))
