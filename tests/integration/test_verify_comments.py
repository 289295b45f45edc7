"""`signalflow verify` on comments: an intact pipeline has no differences, every damage is found, a repair restores."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import asyncpg
from aiokafka import AIOKafkaProducer

from signalflow.events import Comment
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.storage.erasure import erase_author
from signalflow.verify.report import Report
from signalflow.verify.run import verify
from tests.integration.comment_rows import comment, envelope, fed, produce_comments
from tests.integration.test_verify import command, differences
from tests.integration.workers import WorkerProcess, count, eventually, read_topic

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
BODIES = (
    "I love it",
    "What a terrible idea",
    "Ich habe das nicht gelesen und will es nicht",
    "It\u2019s not bad",
    None,
)
COMMENTS = 40


def written(number: int, **changes: object) -> Comment:
    fields = {"post_id": f"p{number % 7}", "parent_id": f"t3_p{number % 7}", "created_utc": START}
    return comment(f"c{number}", **fields | {"body": BODIES[number % len(BODIES)]} | changes)


async def publish(settings: Settings) -> int:
    """Comments with one to three observations, which a listing and a feed made, and two bad records."""
    seen = [envelope(written(n), START + timedelta(seconds=1)) for n in range(COMMENTS)]
    again = [written(n, body="Edited", score=n, edited_at=START) for n in range(0, COMMENTS, 3)]
    in_feed = [
        fed(f"c{n}", post_id=f"p{n % 7}", created_utc=START, body=None, author=None, removed_by="moderator")
        for n in range(0, COMMENTS, 5)
    ]
    seen += [envelope(each, START + timedelta(minutes=3)) for each in again]
    seen += [envelope(each, START + timedelta(minutes=2)) for each in in_feed]
    await produce_comments(settings, seen)
    async with AIOKafkaProducer(**connection_options(settings)) as producer:
        for value in (b"not json", b"{}"):
            await producer.send_and_wait(TopicNames.of(settings).comments_raw, value, key=b"p1")
    return len(seen) + 2


async def settled(settings: Settings, worker: WorkerProcess, records: int) -> Report:
    async def all_due() -> bool:
        report = await verify(settings, TopicNames.of(settings))
        return report.records_due == records and report.dlq_events is not None and report.dlq_events.expected == 2

    await eventually(all_due, 60, worker.tail)
    return await verify(settings, TopicNames.of(settings))


DAMAGES = {
    "a comment is deleted": ("DELETE FROM comments WHERE id = 'c11'", "missing"),
    "a comment is added": (
        "INSERT INTO comments (id, post_id, subreddit, created_utc, first_seen_at, observed_at)"
        " SELECT 'x11', post_id, subreddit, created_utc, first_seen_at, observed_at FROM comments WHERE id = 'c11'",
        "extra",
    ),
    **{
        what: (f"UPDATE comments SET {change} WHERE id = 'c11'", "wrong")
        for what, change in {
            "a text is changed": "body = body || '.'",
            "a score is changed": "score = score + 1",
            "a score is forgotten": "score = NULL, score_observed_at = NULL",
            "a comment moves below another": "parent_id = 't1_c8'",
            "a comment moves to another post": "post_id = 'p5'",
            "a sentiment is changed": "sentiment_score = sentiment_score / 2",
            "a sentiment is forgotten": "sentiment_score = NULL, sentiment_label = NULL",
            "first_seen_at is moved": "first_seen_at = observed_at - interval '1 second'",
        }.items()
    },
}


async def test_intact_comments_have_no_differences_and_every_damage_is_found(
    settings: Settings, worker: WorkerProcess, topics: TopicNames, database_pool: asyncpg.Pool
) -> None:
    records = await publish(settings)
    report = await settled(settings, worker, records)
    assert report.clean, report
    assert report.comments is not None
    assert report.dead_letters is not None
    assert (report.records, report.comments.expected, report.comments.found) == (records, COMMENTS, COMMENTS)
    assert (report.dead_letters.expected, report.dead_letters.found, report.comments.unchecked) == (2, 2, 0)

    for what, (statement, kind) in DAMAGES.items():
        before = await database_pool.fetch("SELECT * FROM comments")
        assert (await database_pool.execute(statement)).endswith(" 1"), what
        damaged = await verify(settings, topics)
        assert differences(damaged) == {("comments", kind)}, what
        assert damaged.comments is not None
        assert "11" in damaged.comments.examples[0]
        await database_pool.execute("DELETE FROM comments")
        await database_pool.copy_records_to_table(
            "comments", columns=list(before[0].keys()), records=[tuple(row) for row in before]
        )
    assert (await verify(settings, topics)).clean


async def test_comments_of_an_author_who_asked_for_erasure_are_no_difference_unless_they_are_still_there(
    settings: Settings, worker: WorkerProcess, topics: TopicNames, database_pool: asyncpg.Pool
) -> None:
    records = await publish(settings)
    assert (await settled(settings, worker, records)).clean
    found = await erase_author(database_pool, "SomeOne", who="test")
    assert found.comments > 0
    assert (await verify(settings, topics)).clean
    # The worker stores a newer observation of one of them.
    await produce_comments(settings, [envelope(written(1, score=77), START + timedelta(minutes=9))])

    async def is_stored() -> bool:
        return bool(await database_pool.fetchval("SELECT score = 77 FROM comments WHERE id = 'c1'"))

    await eventually(is_stored, 30, worker.tail)
    assert await database_pool.fetchval("SELECT count(*) FROM comments WHERE author = 'someone'") == 0
    assert (await verify(settings, topics)).clean
    await database_pool.execute("UPDATE comments SET author = 'someone' WHERE id = 'c1'")
    assert differences(await verify(settings, topics)) == {("comments", "wrong")}


async def test_the_command_names_a_damaged_comment_and_a_repair_brings_back_a_missing_one(
    settings: Settings, worker: WorkerProcess, topics: TopicNames, database_pool: asyncpg.Pool
) -> None:
    records = await publish(settings)
    await settled(settings, worker, records)
    await database_pool.execute("UPDATE comments SET author = 'another' WHERE id = 'c8'")
    told = command(settings)
    assert told.returncode == 1, told.stderr
    assert "wrong: c8: author" in told.stdout
    await database_pool.execute("UPDATE comments SET author = 'someone' WHERE id = 'c8'")
    assert command(settings).returncode == 0

    before = await database_pool.fetch("SELECT * FROM comments ORDER BY id")
    await database_pool.execute("DELETE FROM comments WHERE id IN ('c30', 'c31')")
    planned = command(settings, "--repair")
    assert planned.returncode == 1
    # c30 was seen three times, c31 once.
    assert f"would be written again (give --apply to do it): 4 records of {topics.comments_raw}" in planned.stdout
    assert await count(settings, "comments") == COMMENTS - 2
    assert command(settings, "--repair", "--apply").returncode == 1

    async def is_repaired() -> bool:
        return (await verify(settings, topics)).clean and await count(settings, "comments") == COMMENTS

    await eventually(is_repaired, 60, worker.tail)
    assert await database_pool.fetch("SELECT * FROM comments ORDER BY id") == before


async def test_with_a_part_of_the_log_only_its_comments_are_compared(
    settings: Settings, worker: WorkerProcess, topics: TopicNames, database_pool: asyncpg.Pool
) -> None:
    records = await publish(settings)
    await settled(settings, worker, records)
    raw = await read_topic(settings, topics.comments_raw)
    middle = datetime.fromtimestamp(max(record.timestamp for record in raw) / 1000 + 0.001, UTC)
    now = datetime.now(UTC)
    later = [envelope(written(n, score=100 + n), now + timedelta(minutes=3)) for n in range(4)]
    await produce_comments(settings, [*later, envelope(written(900), now + timedelta(minutes=3))])
    await settled(settings, worker, records + 5)

    part = await verify(settings, topics, since=middle)
    assert part.clean, part
    assert part.comments is not None
    assert (part.records, part.comments.expected) == (5, 5)
    until = await verify(settings, topics, until=middle)
    assert until.clean, until
    assert until.records_due == records

    await database_pool.execute("UPDATE comments SET score = 7 WHERE id = 'c2'")
    await database_pool.execute("DELETE FROM comments WHERE id IN ('c3', 'c20')")
    part = await verify(settings, topics, since=middle)
    whole = await verify(settings, topics)
    for report, missing in ((part, {"c3"}), (whole, {"c3", "c20"})):
        assert differences(report) == {("comments", "missing"), ("comments", "wrong")}, asdict(report)
        assert report.missing.comments == missing
