"""What topics hold beyond a backup."""

from uuid import UUID

from signalflow.backup.archive import Topic
from signalflow.backup.topics import Beyond, compare


def test_records_after_the_positions_are_counted_and_those_that_are_gone_apart() -> None:
    """Partition 0 has 5 records after the backup, 1 lost 3 of 10 of them to retention, 2 is new and has 4."""
    topic = Topic(id=UUID(int=1), name="posts", positions={0: 10, 1: 20})
    found = compare("posts", topic, begins={0: 0, 1: 23, 2: 0}, ends={0: 15, 1: 30, 2: 4})
    assert found == Beyond("posts", 30, same=True, after=5 + 7 + 4, gone=3)
