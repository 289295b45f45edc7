"""Records that are sent again: which ones, where to, and what becomes of those that are left out."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from signalflow.domain.backoff import Backoff
from signalflow.errors import Invalid, Retryable
from signalflow.kafka import resending
from signalflow.kafka.producer import Outgoing, Refused, partition_for
from signalflow.kafka.reader import TimedOffset
from signalflow.kafka.resending import Stretch, resend, stretch_of
from tests.unit.streams.fakes import Record

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Reader:
    """A topic of two partitions. One record a minute since NOON; the first two of partition 1 are gone."""

    topic = "raw"

    def __init__(self, *, partitions: int = 2, records: int = 10) -> None:
        self._gone = {1: 2}
        self._records = {number: [_record(number, offset) for offset in range(records)] for number in range(partitions)}

    def put(self, record: Record) -> None:
        self._records[record.partition].append(record)

    async def begins(self) -> dict[int, int]:
        return {number: self._gone.get(number, 0) for number in self._records}

    async def ends(self) -> dict[int, int]:
        return {number: len(records) for number, records in self._records.items()}

    async def first_since(self, moment: datetime) -> dict[int, TimedOffset]:
        found = {}
        for number, records in self._records.items():
            for record in records[self._gone.get(number, 0) :]:
                if record.timestamp >= moment.timestamp() * 1000:
                    found[number] = TimedOffset(record.offset, moment)
                    break
        return found

    async def stretch(
        self, begins: Mapping[int, int], ends: Mapping[int, int], *, at_once: int
    ) -> AsyncIterator[list[Record]]:
        for number, begin in begins.items():
            for start in range(begin, ends[number], at_once):
                yield self._records[number][start : min(start + at_once, ends[number])]


class Brokers:
    """Take everything but what they are told to refuse, and are away for some calls."""

    def __init__(self, refused: bytes | None = None, away: int = 0) -> None:
        self._refused, self._away = refused, away
        self.taken: list[tuple[int, Outgoing]] = []

    async def send(self, topic: str, by_partition: Mapping[int, Sequence[Outgoing]]) -> None:
        assert topic == "raw"
        if self._away:
            self._away -= 1
            raise Retryable("away")
        records = [(number, record) for number, batch in by_partition.items() for record in batch]
        if any(record.value == self._refused for _, record in records):
            raise Refused("too large")
        self.taken += records


def _record(partition: int, offset: int, **changes: Any) -> Record:
    at = NOON + timedelta(minutes=offset)
    fields = {
        "key": f"k{partition}".encode(),
        "value": f"{partition}:{offset}".encode(),
        "headers": (("mode", b"new"),),
    }
    return Record(offset, "raw", partition, timestamp=int(at.timestamp() * 1000), **fields | changes)


async def again(reader: Reader, stretch: Stretch, brokers: Brokers | None, judge: Any = lambda _: None) -> Any:
    return await resend(reader, stretch, judge, brokers)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resending, "WHILE_AWAY", Backoff(first=0.0, most=0.0))


@pytest.mark.parametrize(
    ("since", "until", "partition", "begins", "ends"),
    [
        (NOON, None, None, {0: 0, 1: 2}, {0: 10, 1: 10}),
        (NOON + timedelta(minutes=4), NOON + timedelta(minutes=6), None, {0: 4, 1: 4}, {0: 6, 1: 6}),
        (NOON + timedelta(seconds=30), None, 0, {0: 1}, {0: 10}),
        (NOON - timedelta(days=9), NOON, None, {0: 0, 1: 2}, {0: 0, 1: 2}),
        (NOON + timedelta(days=1), None, None, {0: 10, 1: 10}, {0: 10, 1: 10}),
        (3, 5, 1, {1: 3}, {1: 5}),
        (5, 3, 1, {1: 5}, {1: 5}),
        (8, 99, 0, {0: 8}, {0: 10}),
    ],
)
async def test_a_stretch_is_named_by_times_or_by_offsets_of_a_partition(
    since: Any, until: Any, partition: int | None, begins: dict[int, int], ends: dict[int, int]
) -> None:
    found = await stretch_of(Reader(), since, until, partition)  # type: ignore[arg-type]
    assert (found.begins, found.ends) == (begins, ends)
    assert found.offsets == sum(ends.values()) - sum(begins.values())


@pytest.mark.parametrize(("since", "partition", "field"), [(1, 1, "from"), (NOON, 2, "partition")])
async def test_what_the_topic_does_not_have_is_refused(since: Any, partition: int, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        await stretch_of(Reader(), since, None, partition)  # type: ignore[arg-type]
    assert refused.value.field == field


async def test_records_go_to_the_partition_of_their_key_in_their_order_and_name_their_original() -> None:
    reader, brokers = Reader(), Brokers()
    done = await again(reader, await stretch_of(reader, NOON), brokers)  # type: ignore[arg-type]
    assert (done.read, done.sent, done.left_out) == (18, 18, {})
    assert {(number, record.key) for number, record in brokers.taken} == {
        (partition_for(key, 2), key) for key in (b"k0", b"k1")
    }
    for number, first in ((0, 0), (1, 2)):
        copies = [record for _, record in brokers.taken if record.key == f"k{number}".encode()]
        assert [record.value for record in copies] == [f"{number}:{offset}".encode() for offset in range(first, 10)]
        assert copies[0].headers == [("mode", b"new"), ("replay_of", f"{number}:{first}".encode())]


async def test_a_second_replay_sends_no_copy_of_a_copy_while_the_original_is_there() -> None:
    reader = Reader(records=3)
    reader.put(_record(0, 3, headers=(("replay_of", b"0:1"),)))
    reader.put(_record(1, 3, headers=(("replay_of", b"1:1"),)))  # its original is gone
    brokers = Brokers()
    done = await again(reader, await stretch_of(reader, NOON), brokers)  # type: ignore[arg-type]
    assert (done.read, done.sent, done.left_out) == (6, 5, {"copy": 1})
    assert [record.headers for _, record in brokers.taken if record.value == b"1:3"] == [[("replay_of", b"1:3")]]


async def test_links_to_dead_letters_are_not_copied() -> None:
    reader, brokers = Reader(records=0), Brokers()
    reader.put(_record(0, 0, headers=(("attempt", b"2"), ("mode", b"new"), ("dlq_of", b"7:t"))))
    await again(reader, Stretch({0: 0}, {0: 1}, {0: 0}), brokers)
    assert brokers.taken[0][1].headers == [("mode", b"new"), ("replay_of", b"0:0")]


async def test_what_is_judged_wrong_is_counted_and_not_sent() -> None:
    reader, brokers = Reader(records=4), Brokers()
    stretch = Stretch({0: 0}, {0: 4}, {0: 0})
    done = await again(reader, stretch, brokers, lambda record: "invalid" if record.offset % 2 else None)
    assert (done.read, done.sent, done.left_out) == (4, 2, {"invalid": 2})


async def test_without_a_sender_records_are_only_counted() -> None:
    reader = Reader(records=4)
    done = await again(reader, Stretch({0: 0}, {0: 4}, {0: 0}), None, lambda record: None if record.offset else "x")
    assert (done.read, done.sent, done.left_out) == (4, 0, {"x": 1})


async def test_an_outage_is_waited_for_and_a_record_that_the_topic_refuses_harms_no_other() -> None:
    reader, brokers = Reader(records=4), Brokers(refused=b"0:2", away=3)
    done = await again(reader, Stretch({0: 0}, {0: 4}, {0: 0}), brokers)
    assert (done.sent, done.left_out) == (3, {"refused": 1})
    assert [record.value for _, record in brokers.taken] == [b"0:0", b"0:1", b"0:3"]
