"""The unit of work keeps its order, and a send ends only when the brokers have confirmed it."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, RecordListTooLargeError, kafka_errors

from signalflow import fail_points
from signalflow.errors import Retryable
from signalflow.kafka import producer as producer_module
from signalflow.kafka.producer import ConfirmedProducer, Outgoing, Refused, partition_for
from signalflow.metrics import REGISTRY
from signalflow.settings import Settings
from signalflow.streams.batch_loop import GiveBack, Ownership
from signalflow.streams.unit_of_work import RefusedOutput, Unit, write_unit
from tests.unit.streams.fakes import FakeApp, Record
from tests.waiting import until


class FakeProducer:
    """Remembers what was sent; fails on the topics in `failing`."""

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal
        self.failing: set[str] = set()
        self.sent: list[bytes | None] = []

    async def send(self, topic: str, by_partition: Mapping[int, Sequence[Outgoing]]) -> dict[int, Any]:
        if topic in self.failing:
            raise Retryable("away")
        if any(record.value == b"large" for records in by_partition.values() for record in records):
            raise Refused("too large")
        self.sent += [record.value for records in by_partition.values() for record in records]
        self.journal.append(topic)
        return {}


class FakeTable:
    agent = "enrich"

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal

    async def write(self, producer: Any, states: Any, check: Callable[[], None]) -> None:
        check()
        self.written = (producer, states)
        self.journal.append("state")


def make_unit() -> Unit:
    unit = Unit(states={0: {b"k": b"v"}})
    unit.emit("enriched", 0, Outgoing(b"k", b"v"), Record(0))
    unit.emit("dlq", 0, Outgoing(b"k", b"v"), Record(0))
    return unit


async def nothing(refused: object) -> None:
    raise AssertionError(f"set aside: {refused}")


async def test_outputs_and_dead_letters_come_before_the_state() -> None:
    journal: list[str] = []
    await write_unit(make_unit(), FakeProducer(journal), FakeTable(journal), Ownership(FakeApp(), 1), nothing)  # type: ignore[arg-type]
    assert journal == ["enriched", "dlq", "state"]


async def test_the_time_of_outputs_is_measured_for_each_topic() -> None:
    def measured() -> float:
        labels = {"agent": "enrich", "step": "outputs"}
        return REGISTRY.get_sample_value("signalflow_unit_of_work_step_seconds_count", labels) or 0.0

    before, journal = measured(), list[str]()
    await write_unit(make_unit(), FakeProducer(journal), FakeTable(journal), Ownership(FakeApp(), 1), nothing)  # type: ignore[arg-type]
    assert measured() == before + 2


async def test_without_confirmed_outputs_no_state_is_written_and_a_retry_sends_only_what_is_missing() -> None:
    journal: list[str] = []
    producer, table, unit = FakeProducer(journal), FakeTable(journal), make_unit()
    producer.failing = {"dlq"}
    with pytest.raises(Retryable):
        await write_unit(unit, producer, table, Ownership(FakeApp(), 1), nothing)  # type: ignore[arg-type]
    assert journal == ["enriched"]
    producer.failing = set()
    await write_unit(unit, producer, table, Ownership(FakeApp(), 1), nothing)  # type: ignore[arg-type]
    assert journal == ["enriched", "dlq", "state"]


async def test_an_output_that_the_brokers_refuse_costs_its_input_alone_which_is_set_aside_before_the_state() -> None:
    journal: list[str] = []
    aside: list[int] = []
    producer, unit = FakeProducer(journal), Unit()
    for offset in range(7):
        value = b"large" if offset in (2, 6) else b"%d" % offset
        unit.emit("enriched", offset % 2, Outgoing(b"k", value), Record(offset, partition=offset % 2))
    away = True

    async def set_aside(refused: Sequence[RefusedOutput]) -> None:
        if away:
            raise Retryable("away")
        aside.extend(each.source.offset for each in refused)
        journal.append("aside")

    for attempt in range(2):
        away = attempt == 0
        with contextlib.suppress(Retryable):
            await write_unit(unit, producer, FakeTable(journal), Ownership(FakeApp(), 1), set_aside)  # type: ignore[arg-type]
    assert producer.sent == [b"0", b"4", b"1", b"3", b"5"], "in order within a partition, and once"
    assert aside == [2, 6]
    assert journal[-2:] == ["aside", "state"]
    assert journal.count("state") == 1


async def test_inputs_that_several_topics_refuse_are_all_set_aside() -> None:
    unit, aside = Unit(), []
    unit.emit("enriched", 0, Outgoing(b"k", b"large"), Record(3))
    unit.emit("dlq", 0, Outgoing(b"k", b"large"), Record(5))

    async def set_aside(refused: Sequence[RefusedOutput]) -> None:
        aside.extend((each.topic, each.source.offset, str(each.error)) for each in refused)

    await write_unit(unit, FakeProducer([]), FakeTable([]), Ownership(FakeApp(), 1), set_aside)  # type: ignore[arg-type]
    assert aside == [("enriched", 3, "too large"), ("dlq", 5, "too large")]


async def test_a_record_that_one_topic_refuses_has_no_output_in_the_next_and_the_others_have_theirs() -> None:
    unit, producer, aside = Unit(), FakeProducer([]), []
    for offset in range(4):
        unit.emit("enriched", 0, Outgoing(b"k", b"large" if offset == 2 else b"%d" % offset), Record(offset))
        unit.emit(
            "inputs", offset % 2, Outgoing(b"k", b"large" if offset == 3 else b"input %d" % offset), Record(offset)
        )

    async def set_aside(refused: Sequence[RefusedOutput]) -> None:
        aside.extend((each.topic, each.source.offset) for each in refused)

    await write_unit(unit, producer, FakeTable([]), Ownership(FakeApp(), 1), set_aside)  # type: ignore[arg-type]
    assert producer.sent == [b"0", b"1", b"3", b"input 0", b"input 1"]
    assert aside == [("enriched", 2), ("inputs", 3)]


async def test_the_states_of_a_unit_go_to_the_table_with_the_producer_of_its_changelog() -> None:
    journal: list[str] = []
    producer, table, unit = FakeProducer(journal), FakeTable(journal), make_unit()
    await write_unit(unit, producer, table, Ownership(FakeApp(), 1), nothing)  # type: ignore[arg-type]
    assert table.written == (producer, {0: {b"k": b"v"}})


@pytest.mark.parametrize(
    ("point", "done"),
    [
        ("enrich.before_outputs", []),
        ("enrich.after_outputs:1", ["enriched"]),
        ("enrich.after_outputs:2", ["enriched", "dlq"]),
    ],
)
async def test_the_fault_suite_kills_between_the_steps_that_the_fail_points_name(
    point: str, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal: list[str] = []
    at_death: list[list[str]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: at_death.append(list(journal)))
    fail_points.arm(point)
    try:
        await write_unit(make_unit(), FakeProducer(journal), FakeTable(journal), Ownership(FakeApp(), 1), nothing)  # type: ignore[arg-type]
    finally:
        fail_points.arm("")
    assert at_death == [done]


async def test_an_assignment_that_ends_while_outputs_are_sent_leaves_the_refused_inputs_to_the_next_owner() -> None:
    journal: list[str] = []
    app, unit = FakeApp(), Unit()
    unit.emit("enriched", 0, Outgoing(b"k", b"large"), Record(0))

    class Slow(FakeProducer):
        async def send(self, topic: str, by_partition: Mapping[int, Sequence[Outgoing]]) -> dict[int, Any]:
            app.consumer_generation_id = 2
            return await super().send(topic, by_partition)

    with pytest.raises(GiveBack):
        await write_unit(unit, Slow(journal), FakeTable(journal), Ownership(app, 1), nothing)  # type: ignore[arg-type]
    assert journal == []


async def test_a_batch_of_an_earlier_generation_writes_nothing() -> None:
    journal: list[str] = []
    app = FakeApp()
    app.consumer_generation_id = 2
    with pytest.raises(GiveBack):
        await write_unit(make_unit(), FakeProducer(journal), FakeTable(journal), Ownership(app, 1), nothing)  # type: ignore[arg-type]
    assert journal == []


class FakeKafka:
    """An AIOKafkaProducer whose brokers confirm when told to. Batches hold two records."""

    instances: list["FakeKafka"]

    def __init__(self, **options: Any) -> None:
        self.options, self.stopped = options, False
        self.pending: list[tuple[int, int, asyncio.Future[Any]]] = []
        self.known, self.on_brokers = {0, 1, 2}, {0, 1, 2, 3}
        self.client = self
        type(self).instances.append(self)

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped = True

    def create_batch(self) -> Any:
        class Batch(list[Any]):
            def append(self, **record: Any) -> Any:
                if len(self) == 2:
                    return None
                super().append(record)
                return record

        return Batch()

    async def partitions_for(self, topic: str) -> set[int]:
        return self.known

    async def force_metadata_update(self) -> None:
        self.known = self.on_brokers

    async def send_batch(self, batch: list[Any], topic: str, partition: int) -> asyncio.Future[Any]:
        assert partition in self.known, "Unrecognized partition"
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.pending.append((partition, len(batch), future))
        return future


class Confirmation:
    """What aiokafka tells of a batch. The time is -1 where the topic keeps the times of producers."""

    def __init__(self, offset: int, timestamp: int = -1) -> None:
        self.offset, self.timestamp = offset, timestamp


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> type[FakeKafka]:
    FakeKafka.instances = []
    monkeypatch.setattr(producer_module, "AIOKafkaProducer", FakeKafka)
    return FakeKafka


RECORDS = {0: [Outgoing(b"k", b"v")] * 3}


async def test_a_send_returns_only_when_every_batch_is_confirmed(kafka: type[FakeKafka]) -> None:
    producer = ConfirmedProducer(Settings(kafka="127.0.0.1:9"), "test")
    sending = asyncio.create_task(producer.send("topic", RECORDS))
    await until(lambda: kafka.instances and len(kafka.instances[0].pending) == 2)
    first, second = (future for _, _, future in kafka.instances[0].pending)
    first.set_result(Confirmation(100, 1_700))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not sending.done(), "the second batch is not confirmed"
    second.set_result(Confirmation(102))
    assert [tuple(span) for span in (await sending)[0]] == [(100, 101, 0, 1_700), (102, 102, 2, None)]


async def test_the_producer_asks_for_all_replicas_and_idempotence(kafka: type[FakeKafka]) -> None:
    producer = ConfirmedProducer(Settings(kafka="127.0.0.1:9"), "test")
    sending = asyncio.create_task(producer.send("topic", RECORDS))
    await until(lambda: kafka.instances)
    options = kafka.instances[0].options
    assert options["acks"] == "all"
    assert options["enable_idempotence"] is True
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


async def test_a_failed_send_is_retryable_and_the_producer_is_replaced(kafka: type[FakeKafka]) -> None:
    producer = ConfirmedProducer(Settings(kafka="127.0.0.1:9"), "test")
    sending = asyncio.create_task(producer.send("topic", RECORDS))
    await until(lambda: kafka.instances and len(kafka.instances[0].pending) == 2)
    for _, _, future in kafka.instances[0].pending:
        future.set_exception(KafkaTimeoutError())
    with pytest.raises(Retryable):
        await sending
    assert kafka.instances[0].stopped
    again = asyncio.create_task(producer.send("topic", RECORDS))
    await until(lambda: len(kafka.instances) == 2)
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)


@pytest.mark.parametrize("error", [MessageSizeTooLargeError, kafka_errors[87], RecordListTooLargeError])
async def test_a_record_that_the_topic_does_not_take_is_not_sent_again_and_again(
    error: type[Exception], kafka: type[FakeKafka]
) -> None:
    producer = ConfirmedProducer(Settings(kafka="127.0.0.1:9"), "test")
    sending = asyncio.create_task(producer.send("topic", {0: [Outgoing(b"k", b"v")]}))
    await until(lambda: kafka.instances and kafka.instances[0].pending)
    kafka.instances[0].pending[0][2].set_exception(error())
    with pytest.raises(Refused):
        await sending


async def test_a_send_that_no_broker_confirms_ends_as_retryable(
    kafka: type[FakeKafka], monkeypatch: pytest.MonkeyPatch
) -> None:
    # aiokafka never expires a batch of an idempotent producer whose leader is known.
    monkeypatch.setattr(producer_module, "CONFIRM_SECONDS", 0.1)
    producer = ConfirmedProducer(Settings(kafka="127.0.0.1:9"), "test")
    async with asyncio.timeout(5):
        with pytest.raises(Retryable):
            await producer.send("topic", RECORDS)


def test_a_key_gets_the_partition_that_every_other_kafka_client_chooses() -> None:
    # Values of org.apache.kafka.common.utils.Utils.murmur2 for these keys, as its own tests list them.
    assert partition_for(b"21", 1 << 30) == (-973932308 & 0x7FFFFFFF) % (1 << 30)
    assert partition_for(b"foobar", 1 << 30) == (-790332482 & 0x7FFFFFFF) % (1 << 30)
    assert partition_for(b"abc", 12) == (479470107 & 0x7FFFFFFF) % 12


async def test_a_partition_that_was_added_lately_is_sent_to_once_the_brokers_know_it(kafka: type[FakeKafka]) -> None:
    producer = ConfirmedProducer(Settings(), "test")
    sending = asyncio.create_task(producer.send("topic", {3: [Outgoing(b"k", b"v")]}))
    await until(lambda: kafka.instances and kafka.instances[0].pending)
    kafka.instances[0].pending[0][2].set_result(Confirmation(0))
    assert list(await sending) == [3]
    with pytest.raises(Retryable, match="topic has no partition 4 yet"):
        await producer.send("topic", {4: [Outgoing(b"k", b"v")]})
