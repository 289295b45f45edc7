"""The sink's handler: a flush is done only when the database and the dead-letter topic have confirmed."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from agents import sink
from agents.sink import SinkHandler, newest_is_stored
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.errors import Invalid, Retryable
from signalflow.events import Enriched, Source, TextFeatures, encode
from signalflow.kafka.producer import Outgoing
from signalflow.kafka.records import UnreadableRecord
from signalflow.metrics import REGISTRY, ROWS_WRITTEN, VISIBLE_SECONDS
from signalflow.positions.stored_topic import StoredTopic
from signalflow.settings import Settings
from signalflow.storage import paced_writer
from signalflow.storage.paced_writer import Written
from signalflow.storage.positions import Advances, Progress
from signalflow.storage.writer import Rejected
from signalflow.streams.batch_loop import Batch, Ownership
from tests.unit.streams.fakes import FakeApp, FakeEvent, FakeMessage, Record

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def row(post_id: str) -> Enriched:
    return Enriched(
        id=post_id, subreddit="python", author=None, title="t", url=None, permalink=None, flair=None, over_18=False,
        created_utc=NOW, first_seen_at=NOW, observed_at=NOW, emitted_at=NOW, current_score=1, current_comments=0,
        current_ratio=None, score_velocity=None, comment_velocity=None, trending_score=0.0, is_trending=False,
        nlp=TextFeatures(sentiment_score=0.0, sentiment_label="neutral", keywords=[]), removed_by=None, late=False,
        mode="new", source=Source(topic="raw", partition=0, offset=0),
    )  # fmt: skip


class Dlq:
    def __init__(self) -> None:
        self.letters: list[Outgoing] = []
        self.away = False

    async def send(self, topic: str, by_partition: Mapping[int, Sequence[Outgoing]]) -> dict[int, Any]:
        if self.away:
            raise Retryable("brokers away")
        self.letters += [record for records in by_partition.values() for record in records]
        return {}


def batch(*values: bytes) -> Batch:
    records = [Record(offset, topic="enriched", key=f"k{offset}".encode(), value=v) for offset, v in enumerate(values)]
    return Batch([FakeEvent(FakeMessage(records))])


@pytest.fixture
def dlq() -> Dlq:
    return Dlq()


@pytest.fixture
def handler(dlq: Dlq) -> SinkHandler:
    stored = StoredTopic(None, None, "enriched", newest_is_stored, None)  # type: ignore[arg-type]
    return SinkHandler("the pool", DeadLetters(Settings(), dlq, "w1"), stored, 10.0)  # type: ignore[arg-type]


OWNED = Ownership(FakeApp(), 1)


async def test_a_flush_has_its_time_and_the_rules_of_alerts(dlq: Dlq, monkeypatch: pytest.MonkeyPatch) -> None:
    rules: Any = object()
    made: list[tuple[Any, ...]] = []
    monkeypatch.setattr(sink, "PacedWriter", lambda *given: made.append(given))
    stored = StoredTopic(None, None, "enriched", newest_is_stored, None)  # type: ignore[arg-type]
    SinkHandler("the pool", DeadLetters(Settings(), dlq, "w1"), stored, 7.5, rules)  # type: ignore[arg-type]
    assert made == [("the pool", 7.5, rules)]


async def test_a_flush_is_not_done_before_the_transaction_has_committed(
    handler: SinkHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = asyncio.Event()

    async def slow(*args: Any) -> list[Rejected]:
        await committed.wait()
        return []

    monkeypatch.setattr(paced_writer, "write_or_reject", slow)
    flush = asyncio.create_task(handler.commit(await handler.prepare(batch(encode(row("a")))), OWNED))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not flush.done()
    committed.set()
    await flush


async def test_only_the_row_that_the_database_refuses_becomes_a_dead_letter(
    handler: SinkHandler, dlq: Dlq, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse_second(pool: Any, *args: Any) -> list[Rejected]:
        assert pool == "the pool"
        return [Rejected(1, Invalid("value out of range"))]

    monkeypatch.setattr(paced_writer, "write_or_reject", refuse_second)
    values = [encode(row(post_id)) for post_id in "abc"]
    await handler.commit(await handler.prepare(batch(*values)), OWNED)
    assert [letter.value for letter in dlq.letters] == [values[1]]
    headers = dict(dlq.letters[0].headers)
    assert headers["dlq_stage"] == b"write"
    assert headers["dlq_offset"] == b"1"
    assert headers["dlq_error"] == b"value out of range"


async def test_a_record_that_the_client_could_not_read_becomes_a_dead_letter_with_the_reason(
    handler: SinkHandler, dlq: Dlq, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database(handler, monkeypatch)
    # The bytes that there are may look like a row.
    record = UnreadableRecord("enriched", 0, 0, 0, 0, value=encode(row("a")), reason="a damaged batch")
    work = await handler.prepare(Batch([FakeEvent(FakeMessage([record]))]))  # type: ignore[list-item]
    await handler.commit(work, OWNED)
    (letter,) = dlq.letters
    assert dict(letter.headers)["dlq_error"] == b"a damaged batch"
    assert work.rows == []


async def test_a_flush_is_not_done_before_its_dead_letters_are_confirmed(
    handler: SinkHandler, dlq: Dlq, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fine(*args: Any) -> list[Rejected]:
        return []

    monkeypatch.setattr(paced_writer, "write_or_reject", fine)
    dlq.away = True
    work = await handler.prepare(batch(encode(row("a")), b"not json"))
    with pytest.raises(Retryable):
        await handler.commit(work, OWNED)
    dlq.away = False
    await handler.commit(work, OWNED)
    assert [letter.value for letter in dlq.letters] == [b"not json"]


async def test_a_record_that_cannot_be_decoded_is_set_aside_once_however_often_the_rows_are_tried(
    handler: SinkHandler, dlq: Dlq, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [Retryable("away"), Retryable("away")]

    async def fails_twice(*args: Any) -> list[Rejected]:
        if failures:
            raise failures.pop()
        return []

    monkeypatch.setattr(paced_writer, "write_or_reject", fails_twice)
    work = await handler.prepare(batch(b"not json", encode(row("a"))))
    for _ in range(2):
        with pytest.raises(Retryable):
            await handler.commit(work, OWNED)
    await handler.commit(work, OWNED)
    (letter,) = dlq.letters
    headers = dict(letter.headers)
    assert (letter.value, headers["dlq_stage"], headers["dlq_offset"]) == (b"not json", b"decode", b"0")


class Database:
    """Stands for the writer and its database, which refuses the posts `bad`. `most`: rows that it stores at once."""

    def __init__(self, handler: SinkHandler, monkeypatch: pytest.MonkeyPatch, most: int = 1_000) -> None:
        self._most = most
        self.rows: list[list[str]] = []
        self.records: list[list[int]] = []
        # What was advanced without rows.
        self.rest: list[Advances] = []
        monkeypatch.setattr(handler, "writer", self)
        monkeypatch.setattr(sink, "write_batch", self.write_batch)

    async def write(self, rows: Sequence[Enriched], records: Sequence[Record], progress: Progress | None) -> Written:
        rows, records = rows[: self._most], records[: self._most]
        self.rows.append([each.id for each in rows])
        self.records.append([record.offset for record in records])
        bad = [index for index, each in enumerate(rows) if each.id == "bad"]
        if progress and len(bad) < len(rows):
            progress.stored(progress.advances([record for n, record in enumerate(records) if n not in bad]))
        return Written(len(rows), [Rejected(index, Invalid("value out of range")) for index in bad])

    async def write_batch(self, pool: Any, rows: Sequence[Enriched], advances: Advances) -> None:
        assert (pool, rows) == ("the pool", [])
        self.rest.append(advances)


async def test_pieces_keep_rows_records_and_refusals_together(
    handler: SinkHandler, dlq: Dlq, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(handler, monkeypatch, most=2)
    before = ROWS_WRITTEN._value.get()
    values = [encode(row("a")), b"not json", encode(row("b")), encode(row("bad")), encode(row("c")), encode(row("bad"))]
    await handler.commit(await handler.prepare(batch(*values)), OWNED)
    assert database.rows == [["a", "b"], ["bad", "c"], ["bad"]]
    assert database.records == [[0, 2], [3, 4], [5]]
    offsets = [dict(letter.headers)["dlq_offset"] for letter in dlq.letters]
    assert offsets == [b"1", b"3", b"5"]
    assert ROWS_WRITTEN._value.get() == before + 3


def end_to_end(sample: str, **labels: str) -> float:
    found = REGISTRY.get_sample_value(f"signalflow_end_to_end_seconds_{sample}", {"kind": "posts"} | labels)
    return found or 0.0


async def test_the_way_from_reddits_answer_to_the_row_is_measured_without_what_came_from_files(
    handler: SinkHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database(handler, monkeypatch)
    monkeypatch.setattr(sink, "utcnow", lambda: NOW + timedelta(seconds=3))
    before = end_to_end("count"), end_to_end("sum"), end_to_end("bucket", le="2.0"), end_to_end("bucket", le="5.0")
    rows = [row("a"), replace(row("old"), mode="backfill", observed_at=NOW - timedelta(days=900))]
    rows.append(replace(row("b"), emitted_at=NOW + timedelta(seconds=2)))
    await handler.commit(await handler.prepare(batch(*map(encode, rows))), OWNED)
    after = end_to_end("count"), end_to_end("sum"), end_to_end("bucket", le="2.0"), end_to_end("bucket", le="5.0")
    assert [now - then for now, then in zip(after, before, strict=True)] == pytest.approx([2, 6, 0, 2])


TOPIC_ID = UUID(int=7)


def owned_with_positions() -> Ownership:
    app = FakeApp()
    app.consumer.topic_ids["enriched"] = TOPIC_ID
    return Ownership(app, 1)


@pytest.mark.parametrize(
    ("values", "rest"),
    [
        ([b"not json", encode(row("a"))], []),
        ([encode(row("a")), b"not json"], [2]),
        ([encode(row("a")), encode(row("bad"))], [2]),
        ([b"not json"], [1]),
    ],
)
async def test_positions_pass_records_that_give_no_row(
    handler: SinkHandler, monkeypatch: pytest.MonkeyPatch, values: list[bytes], rest: list[int]
) -> None:
    """Otherwise the database would look as if it lacked them."""
    database = Database(handler, monkeypatch)
    await handler.commit(await handler.prepare(batch(*values)), owned_with_positions())
    advanced = [each for advances in database.rest for each in advances.of_partitions]
    assert [(each.partition, each.next_offset) for each in advanced] == [(0, offset) for offset in rest]
    assert {advances.topic_id for advances in database.rest} <= {TOPIC_ID}


async def test_rows_count_as_visible_since_they_were_emitted(
    handler: SinkHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database(handler, monkeypatch)
    monkeypatch.setattr(sink, "utcnow", lambda: NOW + timedelta(seconds=3))
    seen: list[float] = []
    monkeypatch.setattr(VISIBLE_SECONDS, "observe", seen.append)
    await handler.commit(await handler.prepare(batch(encode(row("a")), encode(row("b")))), OWNED)
    assert seen == [3.0, 3.0]
    monkeypatch.setattr(sink, "utcnow", lambda: NOW - timedelta(seconds=3))
    await handler.commit(await handler.prepare(batch(encode(row("a")))), OWNED)
    assert seen == [3.0, 3.0, 0.0], "a clock that is behind gives no time below 0"
    seen.clear()
    await handler.commit(await handler.prepare(batch(*[encode(row(f"p{n}")) for n in range(249)])), OWNED)
    assert len(seen) == 63, "every fourth of so many"


@pytest.mark.parametrize(
    ("values", "asked", "expected"),
    [
        ([encode(row("a")), encode(row("b"))], ["b"], True),
        ([encode(row("a")), encode(row("gone"))], ["gone"], False),
        ([encode(row("a")), b"not json"], ["a"], True),
        ([b"not json", b""], [], False),
        ([], [], False),
    ],
)
async def test_the_newest_record_that_can_be_decoded_tells_whether_the_tables_have_them(
    monkeypatch: pytest.MonkeyPatch, values: list[bytes], asked: list[str], expected: bool
) -> None:
    found: list[str] = []

    async def is_stored(pool: Any, given: Enriched) -> bool:
        assert pool == "the pool"
        found.append(given.id)
        return given.id != "gone"

    monkeypatch.setattr(sink, "is_stored", is_stored)
    records = [Record(offset, value=value or None) for offset, value in enumerate(values)]
    assert await newest_is_stored("the pool", records) is expected  # type: ignore[arg-type]
    assert found == asked
