"""The sink's handler: a flush is done only when the database and the dead-letter topic have confirmed."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from agents.sink import SinkHandler, newest_is_stored
from agents.stored import StoredTopic
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.errors import Invalid, Retryable
from signalflow.events import Enriched, Source, TextFeatures, encode
from signalflow.kafka.producer import Outgoing
from signalflow.settings import Settings
from signalflow.storage import paced_writer
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
    return SinkHandler(None, DeadLetters(Settings(), dlq, "w1"), stored, 10.0)  # type: ignore[arg-type]


OWNED = Ownership(FakeApp(), 1)


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
    async def refuse_second(*args: Any) -> list[Rejected]:
        return [Rejected(1, Invalid("value out of range"))]

    monkeypatch.setattr(paced_writer, "write_or_reject", refuse_second)
    values = [encode(row(post_id)) for post_id in "abc"]
    await handler.commit(await handler.prepare(batch(*values)), OWNED)
    assert [letter.value for letter in dlq.letters] == [values[1]]
    headers = dict(dlq.letters[0].headers)
    assert headers["dlq_stage"] == b"write"
    assert headers["dlq_offset"] == b"1"


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
