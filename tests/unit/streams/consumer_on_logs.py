"""A consumer whose brokers are lists of records in memory: what the tests of seeks, rewinds and commits share."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import faust
import pytest
from faust.types import TP

from signalflow.domain.positions import Commit, Found, Outputs, Position
from signalflow.streams.faust_consumer import Consumer, consumer_class
from signalflow.streams.runs import Run
from tests.unit.streams.fakes import Record

TP0, TP1 = TP("raw", 0), TP("raw", 1)
TOPIC_ID, NEW_ID = UUID(int=1), UUID(int=99)


def make_app() -> faust.App:
    return faust.App("races", broker="kafka://127.0.0.1:9", store="memory://", table_standby_replicas=0)


def make_running_app() -> faust.App:
    """An app whose first generation has begun, in the loop that runs now."""
    app = make_app()
    app.loop = asyncio.get_running_loop()
    app.consumer_generation_id = 1
    app.flow_control.resume()
    return app


def timestamp_of(offset: int) -> int:
    """The timestamp of the record at an offset, in a log that was never cut."""
    return 1_000 + 10 * offset


class BrokersOfOneTopic:
    async def topic_ids(self, names: Iterable[str]) -> dict[str, UUID]:
        return {name: TOPIC_ID for name in names if name == "raw"}

    async def timestamp_at(self, tp: TP, offset: int) -> int | None:
        return None

    async def log_ends(self, partitions: Collection[TP]) -> dict[TP, int]:
        return dict.fromkeys(partitions, 0)


class BrokersOfANewTopic(BrokersOfOneTopic):
    """The topic was deleted and made anew. At first it is away, and the brokers are."""

    def __init__(self, *answers: dict[str, UUID] | Exception) -> None:
        self.answers = list(answers)

    async def topic_ids(self, names: Iterable[str]) -> dict[str, UUID]:
        answer = self.answers.pop(0) if self.answers else {"raw": NEW_ID}
        if isinstance(answer, Exception):
            raise answer
        return {name: answer[name] for name in names if name in answer}


class Log:
    """A partition on a broker, and the fetch offset of a consumer in it."""

    def __init__(self, length: int, committed: int) -> None:
        self.length, self.committed, self.position = length, committed, committed
        # Retention has removed the records below.
        self.start = 0
        self.in_memory: list[list[int]] = []
        # The connection over which it is read.
        self.connection: object | None = "the first connection"
        # The log was cut: from this offset on there are other records, which came later.
        self.cut: int | None = None
        # What the commit tells of its outputs.
        self.outputs: Outputs | None = None

    def commit(self) -> Commit:
        """What the group committed."""
        position = Position(self.committed, TOPIC_ID, timestamp_of(self.committed - 1))
        return Commit(position, self.outputs)

    def timestamp_of(self, offset: int) -> int:
        return timestamp_of(offset) if self.cut is None or offset < self.cut else 1_000_000 + offset

    def cut_and_grow(self, cut: int, length: int) -> None:
        """Lose the records from an offset on, and get other ones."""
        self.cut, self.length = cut, length

    def seek(self, offset: int) -> None:
        self.position = offset

    def first_at(self, timestamp: int) -> Found | None:
        """The first record at a time or later."""
        offsets = range(self.start, self.length)
        found = (Found(n, self.timestamp_of(n)) for n in offsets if self.timestamp_of(n) >= timestamp)
        return next(found, None)

    def fetch(self) -> list[int]:
        """Records that were in memory before a seek come first, then the records from the fetch offset on."""
        if self.in_memory:
            return self.in_memory.pop(0)
        found = list(range(self.position, min(self.position + 10, self.length)))
        self.position += len(found)
        return found


def fake_io(consumer: Consumer, logs: Mapping[TP, Log], monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the consumer's thread by logs."""

    async def seek_to_committed() -> dict[TP, int]:
        for log in logs.values():
            log.seek(log.committed)
        return {tp: log.committed for tp, log in logs.items()}

    async def position(tp: TP) -> int:
        return logs[tp].position

    class Thread:
        has_ended = False

        async def getmany(self, active_partitions: Any, timeout: float) -> dict[TP, list[Record]]:
            await asyncio.sleep(0)
            fetched = {
                tp: [Record(n, tp.topic, tp.partition, timestamp=log.timestamp_of(n)) for n in log.fetch()]
                for tp, log in logs.items()
            }
            return {tp: records for tp, records in fetched.items() if records}

        async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
            return {tp: logs[tp].start for tp in tps}

        async def highwaters(self, *tps: TP) -> dict[TP, int]:
            return {tp: logs[tp].length for tp in tps}

        def connection_of(self, tp: TP) -> object:
            return logs[tp].connection

        async def seek_wait(self, partitions: dict[TP, int]) -> None:
            for tp, offset in partitions.items():
                logs[tp].seek(offset)
                consumer._read_offset[tp] = offset or None

        async def committed(self, partitions: Collection[TP]) -> dict[TP, Commit]:
            return {tp: logs[tp].commit() for tp in partitions}

        async def first_at(self, timestamps: dict[TP, int]) -> dict[TP, Found | None]:
            return {tp: logs[tp].first_at(timestamp) for tp, timestamp in timestamps.items()}

        async def commit(self, offsets: dict[TP, int]) -> bool:
            for tp, offset in offsets.items():
                logs[tp].committed = offset
            return True

    async def seek_in_the_wrong_thread(tp: TP, offset: int) -> None:
        raise AssertionError("Faust's seek drops records that the fetcher is reading")

    consumer._thread = Thread()
    for name, replacement in {
        "seek_to_committed": seek_to_committed,
        "_seek": seek_in_the_wrong_thread,
        "assignment": lambda: set(logs),
        "highwater": lambda tp: logs[tp].length,
        "position": position,
    }.items():
        monkeypatch.setattr(consumer, name, replacement)


def make_consumer(
    app: faust.App, kind: type[Any], callback: Callable[[Any], Any], partitions: Iterable[TP] = (TP0,)
) -> Any:
    async def nothing(*args: Any, **kwargs: Any) -> None: ...

    consumer = kind(
        app.transport, callback=callback, on_partitions_revoked=nothing, on_partitions_assigned=nothing, loop=app.loop
    )
    app._consumer = consumer
    app.topics._acking_topics.add("raw")
    consumer._set_active_tps(set(partitions))
    consumer.resume_flow()

    class Runs:
        def iterate(self, records: dict[TP, list[Record]]) -> Any:
            return iter([(tp, Run(list(found))) for tp, found in records.items()])

    consumer.scheduler = Runs()
    return consumer


async def drained(consumer: Any, delivered: list[int], upto: int) -> None:
    """Run Faust's own fetch loop until a record has been delivered, or for a few turns when it never is."""

    class Fetcher:
        _stopped = asyncio.Event()

    task = asyncio.create_task(consumer._drain_messages(Fetcher()))
    for _ in range(200):
        if upto in delivered or task.done():
            break
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@dataclass
class Rig:
    """A consumer on logs, and the offsets that it delivered. `log`: the log of the first partition."""

    consumer: Any
    logs: dict[TP, Log]
    delivered: list[int]

    @property
    def log(self) -> Log:
        return self.logs[TP0]


def make_rig(
    app: faust.App,
    kind: type[Any],
    monkeypatch: pytest.MonkeyPatch,
    length: int,
    committed: int,
    partitions: Iterable[TP] = (TP0,),
) -> Rig:
    """A consumer whose partitions have so many records each, and are committed up to an offset."""
    delivered: list[int] = []

    async def callback(message: Any) -> None:
        delivered.extend(record.offset for record in message.value)

    logs = {tp: Log(length, committed) for tp in partitions}
    consumer = make_consumer(app, kind, callback, logs)
    fake_io(consumer, logs, monkeypatch)
    return Rig(consumer, logs, delivered)


CURED = consumer_class(frozenset({"raw"}), BrokersOfOneTopic(), contiguity_guard=True)


async def no_commits(partitions: Collection[TP]) -> dict[TP, Commit]:
    return {}


def breaks_of(consumer: Any) -> list[tuple[TP, str, int, int]]:
    return [(each.tp, each.reason, each.committed, each.going_on_at) for each in consumer.unrecorded_breaks()]


def events_of(logs: list[Any], event: str) -> list[dict[str, Any]]:
    """The fields of the log lines of an event."""
    return [
        {name: value for name, value in line.items() if name not in ("event", "log_level")}
        for line in logs
        if line["event"] == event
    ]
