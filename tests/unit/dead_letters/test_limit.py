"""The limit of dead letters stops a worker before it sets a topic aside, and counts each record once."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from signalflow.dead_letters.letter import letter_of
from signalflow.dead_letters.limit import DeadLetterLimit, Limit
from signalflow.errors import Fatal, Invalid, Retryable
from signalflow.events import DeadLetter
from signalflow.metrics import REGISTRY
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


def used() -> float | None:
    return REGISTRY.get_sample_value("signalflow_dead_letter_limit_used", {"topic": "raw"})


@pytest.mark.parametrize(
    ("in_row", "share", "bad", "share_used", "words"),
    [
        (5, 0.0, [1, 2], 2 / 4, "2 records in a row (SIGNALFLOW_DLQ_LIMIT_IN_ROW=5)"),
        (1, 0.0, [2], 2.0, "1 records in a row (SIGNALFLOW_DLQ_LIMIT_IN_ROW=1)"),
        (0, 0.5, [0, 2], 2 / 5, "2 of the last 10 records (SIGNALFLOW_DLQ_LIMIT_SHARE=0.5)"),
        (9, 0.5, [1, 2], 2 / 5, "2 of the last 10 records (SIGNALFLOW_DLQ_LIMIT_SHARE=0.5)"),
        (3, 0.5, [1, 2], 2 / 2, "2 records in a row (SIGNALFLOW_DLQ_LIMIT_IN_ROW=3)"),
        # Both are used to the same share: the records in a row are only named when they are the worse.
        (3, 0.2, [1, 2], 2 / 2, "2 of the last 10 records (SIGNALFLOW_DLQ_LIMIT_SHARE=0.2)"),
        (0, 0.0, [1, 2], 0.0, ""),
    ],
)
def test_the_worse_of_both_limits_says_how_much_of_it_is_used(
    in_row: int, share: float, bad: list[int], share_used: float, words: str
) -> None:
    assert Limit(in_row, share, 10).used(bad, 2) == (pytest.approx(share_used), words)


async def test_the_metric_follows_the_worst_letter_of_a_batch_and_falls_again() -> None:
    limit = limit_of(History(), in_row=5)
    await limit.admit(letters([0, 1, 2, 10]))
    assert used() == 3 / 4
    await limit.admit(letters([20]))
    assert used() == 1 / 4
    with pytest.raises(Fatal):
        await limit.admit(letters(range(30, 36)))
    assert used() == 5 / 4


async def test_the_limit_that_stops_a_worker_is_logged_with_the_place_and_says_the_last_error() -> None:
    limit = limit_of(History(), in_row=2)
    failed = [
        letter_of(Record(offset, partition=3), Invalid("x" * 300), stage="validate", worker="w", now=NOW)
        for offset in (4, 5)
    ]
    with capture_logs() as logged, pytest.raises(Fatal, match=r"The last error: x{200}\. "):
        await limit.admit(failed)
    reached = "2 records in a row (SIGNALFLOW_DLQ_LIMIT_IN_ROW=2)"
    assert logged == [
        {
            "event": "dead_letter_limit",
            "log_level": "error",
            "topic": "raw",
            "partition": 3,
            "offset": 5,
            "reached": reached,
        }
    ]


async def test_the_history_is_asked_for_what_the_limit_looks_at_before_the_first_letter() -> None:
    asked: list[tuple[str, int, int, int]] = []

    async def open_offsets(topic: str, partition: int, first: int, end: int) -> list[int]:
        asked.append((topic, partition, first, end))
        return []

    limit = DeadLetterLimit(Settings(dlq_limit_in_row=5, dlq_limit_share=0.5, dlq_limit_window=20), open_offsets)
    await limit.admit(letters([100, 103], partition=3))
    assert asked == [("raw", 3, 80, 100)]


async def test_a_database_that_does_not_answer_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signalflow.dead_letters.limit.HISTORY_SECONDS", 0.01)

    async def hanging(topic: str, partition: int, first: int, end: int) -> list[int]:
        await asyncio.Event().wait()
        return []

    limit = DeadLetterLimit(Settings(dlq_limit_in_row=2), hanging)
    async with asyncio.timeout(10):
        await limit.admit(letters([0]))


async def test_a_limit_without_history_says_so_once_per_batch() -> None:
    history = History()
    history.away = True
    with capture_logs() as logged:
        await limit_of(history, in_row=5).admit(letters([0, 1]))
    assert logged == [
        {
            "event": "dead_letter_limit_without_history",
            "log_level": "warning",
            "topic": "raw",
            "error": "database away",
        }
    ]


async def test_letters_of_one_partition_are_remembered_only_as_far_as_the_limit_looks() -> None:
    limit = limit_of(History(), in_row=3, share=0.5, window=10)
    for offset in range(0, 1000, 5):
        await limit.admit(letters([offset]))
    # The last letter is at 995; of the records after 985 two are bad.
    assert {place: sorted(bad) for place, bad in limit._bad.items()} == {("raw", 0): [990, 995]}
