"""What a transaction advances of the positions that the database keeps."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from signalflow.storage.positions import Advance, Advances, Progress
from tests.unit.streams.fakes import Record

TOPIC_ID = UUID(int=7)


def at(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


@pytest.fixture
def progress() -> Progress:
    return Progress(TOPIC_ID, {0: 10, 1: 3, 2: 40})


def test_a_transaction_advances_each_partition_from_what_was_stored_to_after_its_last_record(
    progress: Progress,
) -> None:
    records = [
        Record(3, partition=1, timestamp=1_000),
        Record(10, timestamp=2_001),
        Record(4, partition=1, timestamp=1_500),
        Record(11, timestamp=2_002),
        Record(12, timestamp=2_500),
    ]
    advances = progress.advances(records)
    assert advances == Advances(
        TOPIC_ID, [Advance(0, 10, 13, at(2_001), at(2_500)), Advance(1, 3, 5, at(1_000), at(1_500))]
    )
    assert progress.expected == {0: 10, 1: 3, 2: 40}, "not before the transaction is committed"
    progress.stored(advances)
    assert progress.expected == {0: 13, 1: 5, 2: 40}


def test_a_repetition_takes_no_progress_back(progress: Progress) -> None:
    progress.stored(progress.advances([Record(4), Record(5)]))
    assert progress.expected == {0: 10, 1: 3, 2: 40}
