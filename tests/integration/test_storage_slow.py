"""A database that stores rows slowly: the sink writes smaller pieces, and sets only a row aside that is slow alone."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from agents.dlq import DlqHandler
from agents.sink import SinkHandler, newest_is_stored
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.errors import Invalid
from signalflow.events import encode
from signalflow.kafka.producer import Outgoing
from signalflow.kafka.topics import TopicNames
from signalflow.positions.stored_topic import StoredTopic
from signalflow.settings import Settings
from signalflow.storage.pool import Pool, TookTooLong
from signalflow.streams.batch_loop import Batch, Handler, Ownership
from tests.integration.storage_rows import NOON, observation, pool_of, settings_of
from tests.integration.workers import WorkerProcess, count, produce, verified
from tests.integration.workers import observation as observed
from tests.unit.streams.fakes import FakeApp, FakeEvent, FakeMessage, Record

TIMEOUT = 0.5
OWNED = Ownership(FakeApp(), 1)
SLOW = """
CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$;
CREATE OR REPLACE TRIGGER slow BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION slow();
"""


class Letters:
    """Stands for the producer of dead letters."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []

    async def send(self, topic: str, by_partition: Mapping[int, Sequence[Outgoing]]) -> dict[int, Any]:
        self.sent += [record for records in by_partition.values() for record in records]
        return {}


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    made = await pool_of(database_url, TIMEOUT)
    yield made
    made.terminate()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture
def sink(pool: Pool, letters: Letters, database_url: str) -> SinkHandler:
    stored = StoredTopic(pool, None, "enriched", newest_is_stored, None)  # type: ignore[arg-type]
    dead_letters = DeadLetters(settings_of(database_url), letters, "w1")  # type: ignore[arg-type]
    return SinkHandler(pool, dead_letters, stored, TIMEOUT)


def batch(values: Sequence[bytes]) -> Batch:
    records = [Record(offset, topic="enriched", key=b"k", value=value) for offset, value in enumerate(values)]
    return Batch([FakeEvent(FakeMessage(records))])


def of_posts(ids: Sequence[str]) -> Batch:
    return batch([encode(observation(post_id)) for post_id in ids])


async def timeouts(handler: Handler[Any], work: Any, most: int) -> int:
    """How often a commit took too long before it was done; `most` when it was not done after so many."""
    for failed in range(most):
        try:
            await handler.commit(work, OWNED)
        except TookTooLong:
            continue
        return failed
    return most


async def test_a_flush_that_runs_out_of_time_is_stored_in_smaller_pieces_that_grow_again(
    sink: SinkHandler, database: Any, letters: Letters
) -> None:
    await database.execute(SLOW.format(table="posts", seconds=0.005))
    work = await sink.prepare(of_posts([f"s{number}" for number in range(400)]))
    assert 0 < await timeouts(sink, work, 10) < 5
    assert await database.fetchval("SELECT count(*) FROM posts") == 400
    assert letters.sent == []
    await database.execute("DROP TRIGGER slow ON posts")
    for number in range(6):
        assert await timeouts(sink, await sink.prepare(of_posts([f"q{number}x{n}" for n in range(400)])), 3) == 0
    before = await database.fetchval("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
    assert before is not None
    assert sink.writer._pieces.size >= 400


@pytest.mark.parametrize("neighbours", [["a", "b", "c", "d", "e"], []], ids=["among others", "alone"])
async def test_a_row_that_is_slow_alone_is_set_aside_and_the_others_are_stored(
    neighbours: list[str], sink: SinkHandler, database: Any, letters: Letters
) -> None:
    assert await timeouts(sink, await sink.prepare(of_posts(["earlier"])), 1) == 0
    await database.execute(SLOW.format(table="posts", seconds="CASE WHEN NEW.id = 'bad' THEN 60 ELSE 0 END"))
    work = await sink.prepare(of_posts([*neighbours[:2], "bad", *neighbours[2:], "bad"]))
    assert await timeouts(sink, work, 15) < 15
    assert {row["id"] for row in await database.fetch("SELECT id FROM posts")} == {"earlier", *neighbours}
    headers = [dict(letter.headers) for letter in letters.sent]
    assert [each["dlq_error_type"] for each in headers] == [b"TooSlow"] * 2
    assert b"57014" in headers[0]["dlq_error"]
    assert int(headers[0]["dlq_offset"]) == len(neighbours[:2])


async def test_while_the_database_stores_no_row_in_time_none_is_set_aside(
    sink: SinkHandler, database: Any, letters: Letters
) -> None:
    assert await timeouts(sink, await sink.prepare(of_posts(["earlier"])), 1) == 0
    await database.execute(SLOW.format(table="posts", seconds=60))
    work = await sink.prepare(of_posts(["a", "b", "c"]))
    assert await timeouts(sink, work, 6) == 6
    assert letters.sent == []
    await database.execute("DROP TRIGGER slow ON posts")
    assert await timeouts(sink, work, 1) == 0
    assert await database.fetchval("SELECT count(*) FROM posts") == 4


async def test_dead_letters_that_run_out_of_time_are_stored_in_smaller_pieces(
    pool: Pool, database: Any, database_url: str
) -> None:
    await database.execute(SLOW.format(table="dlq_events", seconds=0.08))
    dead_letters = DeadLetters(settings_of(database_url), Letters(), "w1")  # type: ignore[arg-type]
    handler = DlqHandler(pool, dead_letters, None, None, TIMEOUT)  # type: ignore[arg-type]
    made = [
        dead_letters.letter(Record(n, timestamp=int(NOON.timestamp())), Invalid("bad"), "validate") for n in range(20)
    ]
    sent = [Record(n, topic="dlq", headers=tuple(letter.dlq_headers())) for n, letter in enumerate(made)]
    work = await handler.prepare(Batch([FakeEvent(FakeMessage(sent))]))
    assert 0 < await timeouts(handler, work, 8) < 8
    assert await database.fetchval("SELECT count(*) FROM dlq_events") == 20


async def test_a_worker_stores_a_backlog_whose_flush_runs_out_of_time(
    settings: Settings, topics: TopicNames, database: Any, tmp_path: Path
) -> None:
    """A flush of all that waits would take 12 s, and the timeout is 2 s."""
    await database.execute(SLOW.format(table="posts", seconds=0.006))
    await produce(settings, [observed(f"b{number}", NOON, created_at=NOON) for number in range(2000)])
    worker = WorkerProcess(settings, "w1", tmp_path, SIGNALFLOW_DATABASE_TIMEOUT="2")
    worker.start()
    try:
        await worker.ready()
        report = await verified(settings, worker)
        assert await worker.metric("signalflow_commit_retries_total", 'agent="sink"') > 0
    finally:
        worker.ensure_stopped()
    assert (report.posts.found, report.history.found) == (2000, 2000)
    assert await count(settings, "dlq_events") == 0
