"""Positions against a model of a log that may be cut, grow again, expire or be made anew."""

import random
from dataclasses import dataclass
from uuid import UUID

import pytest

from signalflow.domain.positions import (
    Break,
    Found,
    Outputs,
    PartitionLog,
    Position,
    Start,
    proven_by_times,
    start_of,
)

OLD, NEW = UUID(int=1), UUID(int=2)


@dataclass(frozen=True)
class Record:
    """`name` tells records of the same offset apart."""

    name: int
    timestamp: int


class Log:
    """A partition as brokers keep it."""

    def __init__(self) -> None:
        self.topic_id, self.start, self.records = OLD, 0, list[Record]()
        self._names = 0

    @property
    def end(self) -> int:
        return self.start + len(self.records)

    def append(self, *timestamps: int) -> None:
        for timestamp in timestamps:
            self._names += 1
            self.records.append(Record(self._names, timestamp))

    def cut(self, end: int) -> None:
        del self.records[max(end - self.start, 0) :]

    def expire(self, start: int) -> None:
        del self.records[: start - self.start]
        self.start = start

    def position(self, offset: int) -> Position:
        """As it is committed after the record before `offset` was consumed."""
        return Position(offset, self.topic_id, self.records[offset - 1 - self.start].timestamp if offset else None)

    def first(self, timestamp: int) -> Found | None:
        """The brokers' answer to a question for a time."""
        found = (Found(self.start + n, r.timestamp) for n, r in enumerate(self.records) if r.timestamp >= timestamp)
        return next(found, None)

    def seen_from(self, position: Position, *, record_is_read: bool = True) -> PartitionLog:
        timestamp, before = position.timestamp, position.offset - 1 - self.start
        times = {} if timestamp is None else {"since": self.first(timestamp), "after": self.first(timestamp + 1)}
        read = record_is_read and 0 <= before < len(self.records)
        return PartitionLog(
            self.topic_id, self.start, self.end, **times, before=self.records[before].timestamp if read else None
        )


def judge(position: Position, log: Log) -> Start:
    seen = log.seen_from(position, record_is_read=False)
    return start_of(position, seen if proven_by_times(position, seen) else log.seen_from(position))


def log_of(*timestamps: int) -> Log:
    log = Log()
    log.append(*timestamps)
    return log


def test_an_intact_log_is_read_on_where_it_was_left() -> None:
    log = log_of(10, 20, 20, 30)
    for offset in range(5):
        assert judge(log.position(offset), log) == Start(offset)


def test_a_log_that_is_shorter_than_the_commit_is_read_from_its_end() -> None:
    log = log_of(10, 20, 30, 40)
    position = log.position(4)
    log.cut(2)
    assert judge(position, log) == Start(2, Break.LOG_CUT)


def test_a_log_that_was_cut_and_grew_past_the_commit_is_read_from_the_cut() -> None:
    log = log_of(10, 20, 30, 40)
    position = log.position(4)
    log.cut(2)
    log.append(*range(50, 150, 10))
    assert judge(position, log) == Start(2, Break.LOG_CUT)


def test_a_cut_between_two_records_of_one_millisecond_is_seen() -> None:
    log = log_of(10, 20, 20)
    position = log.position(3)
    log.cut(2)
    log.append(30, 40)
    assert judge(position, log) == Start(2, Break.LOG_CUT)


def test_a_topic_that_was_made_anew_is_read_from_its_beginning() -> None:
    position, anew = log_of(10, 20, 30).position(2), log_of(10, 20, 30, 40)
    anew.topic_id = NEW
    assert judge(position, anew) == Start(0, Break.TOPIC_MADE_ANEW)


def test_what_retention_removed_is_no_cut() -> None:
    log = log_of(10, 20, 30, 40)
    positions = [log.position(offset) for offset in range(1, 5)]
    log.expire(3)
    assert [judge(position, log) for position in positions] == [Start(3), Start(3), Start(3), Start(4)]
    log.expire(4)
    assert [judge(position, log) for position in positions] == [Start(4)] * 4


def test_a_leader_whose_clock_is_behind_is_no_cut() -> None:
    # The first leader's clock was 5 ms ahead.
    log = log_of(100, 105, 102, 103, 104)
    for offset in range(6):
        assert judge(log.position(offset), log) == Start(offset)


def test_when_the_new_records_have_no_later_times_everything_is_read_again() -> None:
    log = log_of(10, 20, 30, 40)
    position = log.position(4)
    log.cut(2)
    log.append(25, 26, 27)
    assert judge(position, log) == Start(0, Break.LOG_CUT)
    log.append(50)
    assert judge(position, log) == Start(0, Break.LOG_CUT)


def test_a_commit_of_an_older_version_is_compared_with_the_end_alone() -> None:
    log = log_of(10, 20, 30)
    assert judge(Position(3), log) == Start(3)
    assert judge(Position(4), log) == Start(0, Break.LOG_CUT)
    log.expire(2)
    assert judge(Position(4), log) == Start(2, Break.LOG_CUT)
    assert judge(Position(1), log) == Start(2)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_to_a_log_no_record_that_it_has_is_passed_over(seed: int) -> None:
    rnd = random.Random(seed)
    for _ in range(300):
        log, now = Log(), 1_000
        consumed: set[int] = set()
        position = log.position(0)

        def grow(log: Log) -> None:
            nonlocal now
            for _ in range(rnd.randrange(6)):
                now += rnd.randrange(3)
                log.append(now)

        for _ in range(8):
            grow(log)
            start, broken = judge(position, log)
            assert log.start <= start <= log.end
            consumed |= {record.name for record in log.records[start - log.start :]}
            assert {record.name for record in log.records} <= consumed, (seed, position, broken)
            position = log.position(log.end) if log.records else Position(log.end, log.topic_id)
            match rnd.randrange(4):
                case 0:
                    log.cut(rnd.randint(log.start, log.end))
                    # The brokers restart: their time is later.
                    now += 1_000
                case 1:
                    log.expire(rnd.randint(log.start, log.end))


def test_the_metadata_of_a_commit_is_read_back() -> None:
    for position in (Position(7, OLD, 123), Position(7, OLD)):
        assert Position.of_commit(7, position.metadata()) == position
    assert Position(7).metadata() == ""


@pytest.mark.parametrize("other", ["", "anything", "topic=x record=1", f"topic={OLD} record=x", "NoMetadata"])
def test_other_metadata_tells_nothing(other: str) -> None:
    assert Position.of_commit(7, other) == Position(7)


@pytest.mark.parametrize(
    ("offset", "timestamp", "seen", "is_proven"),
    [
        # Nothing can be told by times: no time is known, or the log has no record right before the position.
        (15, None, {}, True),
        (10, 50, {}, True),
        (21, 50, {}, True),
        (20, 50, {"since": Found(19, 50)}, True),
        (11, 50, {"since": Found(10, 50)}, True),
        (15, 50, {"since": Found(14, 50), "after": Found(15, 51)}, True),
        # The record with the position's time is missing, has another time, or comes at the position or later.
        (15, 50, {}, False),
        (15, 50, {"since": Found(14, 51)}, False),
        (15, 50, {"since": Found(15, 50)}, False),
        # A later time stands before the position.
        (15, 50, {"since": Found(13, 50), "after": Found(14, 51)}, False),
    ],
)
def test_times_prove_a_log_whose_records_before_the_position_end_with_its_time(
    offset: int, timestamp: int | None, seen: dict[str, Found], is_proven: bool
) -> None:
    assert proven_by_times(Position(offset, OLD, timestamp), PartitionLog(OLD, start=10, end=20, **seen)) is is_proven


def test_a_cut_is_read_again_from_the_first_later_time_that_is_before_the_position() -> None:
    position = Position(15, OLD, 50)
    cut = {"since": Found(12, 51), "before": 60}
    assert start_of(position, PartitionLog(OLD, 10, 20, after=Found(12, 51), **cut)) == Start(12, Break.LOG_CUT)
    assert start_of(position, PartitionLog(OLD, 10, 20, after=Found(14, 51), **cut)) == Start(14, Break.LOG_CUT)
    # The brokers answered before retention removed records.
    assert start_of(position, PartitionLog(OLD, 13, 20, after=Found(12, 51), **cut)) == Start(13, Break.LOG_CUT)
    # A later time at the position or behind it tells nothing about the records before it.
    assert start_of(position, PartitionLog(OLD, 10, 20, after=Found(15, 51), before=60)) == Start(10, Break.LOG_CUT)


def test_a_cut_without_a_later_time_is_read_from_the_end_only_if_the_log_is_shorter() -> None:
    for end, start in ((14, 14), (15, 10), (16, 10)):
        assert start_of(Position(15, OLD, 50), PartitionLog(OLD, 10, end, before=60)) == Start(start, Break.LOG_CUT)


def test_a_cut_of_a_log_whose_times_the_brokers_cannot_tell_is_read_from_the_beginning() -> None:
    """A batch of that time is damaged. Without a place of the cut, records after it look like records before it."""
    untold = PartitionLog(OLD, 10, 14, told=False)
    assert start_of(Position(15, OLD, 50), untold) == Start(10, Break.LOG_CUT)
    assert start_of(Position(14, OLD, 50), PartitionLog(OLD, 10, 14, told=False, before=50)) == Start(14)
    assert start_of(Position(14, OLD, 50), PartitionLog(OLD, 10, 14, told=False, before=51)).broken is Break.LOG_CUT


def test_the_time_of_the_record_before_the_position_proves_the_log_where_times_do_not() -> None:
    position = Position(15, OLD, 50)
    behind = {"since": Found(12, 51), "after": Found(12, 51)}
    assert start_of(position, PartitionLog(OLD, 10, 20, **behind, before=50)) == Start(15)
    assert start_of(position, PartitionLog(OLD, 10, 14, **behind, before=50)) == Start(12, Break.LOG_CUT)


def test_a_commit_that_names_no_topic_is_compared_by_its_offset() -> None:
    assert start_of(Position(15), PartitionLog(NEW, 10, 20)) == Start(15)
    assert start_of(Position(10), PartitionLog(NEW, 10, 20)) == Start(10)


def test_a_commit_tells_of_its_outputs_and_of_its_position() -> None:
    position = Position(7, UUID(int=5), 1_000)
    outputs = Outputs(3, {"reddit.posts_enriched-1": Position(9, None, 1_001), "dlq": Position(0, None, 0)})
    metadata = position.metadata() + outputs.metadata()
    assert Position.of_commit(7, metadata) == position
    assert Outputs.of_commit(metadata) == outputs
    assert Outputs.of_commit(position.metadata() + Outputs(3).metadata()) == Outputs(3)


@pytest.mark.parametrize(
    "metadata",
    ["", "another program's", "since=1", " since=1 a:b@c", " since=-1", " since=1 a:1", " since=1 a:1@2 "],
)
def test_metadata_of_others_tell_of_no_outputs(metadata: str) -> None:
    assert Outputs.of_commit(metadata) is None


def test_a_time_that_is_not_known_is_not_told_of_an_output() -> None:
    assert Outputs.of_commit(Outputs(3, {"a": Position(9)}).metadata()) == Outputs(3)
