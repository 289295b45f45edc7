"""Erasure on request, of dead letters, and what the API tells of it, on a real database."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from signalflow.cli import erase
from signalflow.domain.erasure import author_digest
from signalflow.events import DeadLetter
from signalflow.storage import erasure, texts
from signalflow.storage.column_statistics import TABLES, renew_statistics
from signalflow.storage.comment_writer import write_comments
from signalflow.storage.dead_letters import NewLetter, store_letters
from signalflow.storage.erasure import erase_letters
from signalflow.storage.pool import Pool
from signalflow.storage.texts import mark_swept, sweep_reached, texts_after
from signalflow.storage.topic_clusters import TopicClusters
from signalflow.storage.writer import write_batch
from tests.integration.alert_rows import make_rule, make_target, tell
from tests.integration.comment_rows import comment, seen
from tests.integration.posts_api import api_of
from tests.integration.storage_rows import NOON, column, contents, observation, pool_of
from tests.integration.test_storage_merge import MARKER, WITH_TEXT, holds_the_marker
from tests.waiting import until

T = TypeVar("T")
AUTHOR = MARKER.upper()


def signalflow(*arguments: str) -> Result:
    app = Typer()
    erase.register(app)
    # A single group would be taken for the application itself.
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["erase", *arguments])


def within(url: str, work: Callable[[Pool], Awaitable[T]]) -> T:
    async def run() -> T:
        async with await pool_of(url) as pool:
            return await work(pool)

    return asyncio.run(run())


def letter_of(
    post_id: str, offset: int = 7, topic: str = "reddit.posts.raw", value: bytes = f"about {MARKER}".encode()
) -> NewLetter:
    """A dead letter whose record holds a text of a post, or of a comment below it."""
    letter = DeadLetter(
        topic=topic, partition=0, offset=offset, key=post_id.encode(), value=value,
        headers=(), stage="validate", error_type="Invalid", error="a field", worker="w1", failed_at=NOON,
        topic_id=UUID(int=1),
    )  # fmt: skip
    return NewLetter(letter, whole=True, previous=None)


async def fill(pool: Pool) -> None:
    """Two posts of the author and one of somebody else; a comment of each; a dead letter of the first post."""
    other = {"author": "somebody", "title": "another title"}
    await write_batch(pool, [observation("a", 0, **WITH_TEXT), observation("b", 0, **WITH_TEXT)])
    await write_batch(pool, [observation("c", 0, **other)])
    await write_comments(
        pool,
        [seen(comment("k", author=MARKER, body=f"on {MARKER}")), seen(comment("l", author="somebody", body="else"))],
    )
    await store_letters(pool, [letter_of("a")], None)


@pytest.mark.parametrize("kind", ["post", "comment"])
async def test_a_row_that_is_being_stored_while_its_author_is_erased_does_not_stay(pool: Pool, kind: str) -> None:
    """Neither transaction would see what the other has not committed. So one waits for the other."""

    async def waiting() -> int:
        return int(await pool.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))

    async def waits(number: int) -> None:
        async def is_so() -> bool:
            return await waiting() == number

        await until(is_so, f"{number} that wait")

    async with pool.acquire() as storing, storing.transaction():
        await erasure.keep_erasures_out(storing)
        erasing = asyncio.create_task(erasure.erase_author(pool, AUTHOR, who="test"))
        await waits(1)
        row = seen(comment("k", author=MARKER, body=f"on {MARKER}"))
        post = observation("a", 0, **WITH_TEXT)
        later = asyncio.create_task(write_comments(pool, [row]) if kind == "comment" else write_batch(pool, [post]))
        await waits(2)
    await asyncio.gather(erasing, later)
    assert await holds_the_marker(pool) == set()


def test_what_an_author_wrote_is_erased_on_request_and_stays_so(database: str) -> None:
    within(database, fill)
    done = signalflow("author", f"u/{AUTHOR}")
    assert (done.exit_code, done.output) == (
        0,
        "2 posts and 1 comments would be erased: repeat the command with --yes\n",
    )
    assert "posts" in within(database, holds_the_marker), "without --yes nothing is erased"
    done = signalflow("author", AUTHOR, "--yes", "--json", "--wait", "0")
    assert json.loads(done.output) == {"posts": 2, "comments": 1, "erased": True, "untold": 3}
    assert within(database, holds_the_marker) == set()

    async def later(pool: Pool) -> None:
        # Older and newer observations of known posts, and a post that was not known.
        await write_batch(pool, [observation("a", -5, **WITH_TEXT), observation("b", 50, **WITH_TEXT)])
        await write_batch(pool, [observation("d", 50, **WITH_TEXT, current_score=3)])
        # Newer observations of the known comments, and one that was not known.
        await write_comments(pool, [seen(comment("k", author=AUTHOR, body=f"on {MARKER}", score=8), 50)])
        await write_comments(pool, [seen(comment("l", author="somebody", body="else"), 50)])
        await write_comments(pool, [seen(comment("m", author=MARKER, body=f"more {MARKER}"), 50)])

    within(database, later)
    assert within(database, holds_the_marker) == set()
    posts = {row["id"]: row for row in within(database, lambda pool: contents(pool, "posts"))}
    assert (posts["c"]["author"], posts["c"]["title"]) == ("somebody", "another title")
    assert posts["d"]["current_score"] == 3, "numbers stay"
    comments = {row["id"]: row for row in within(database, lambda pool: contents(pool, "comments"))}
    assert {id_: row["author"] for id_, row in comments.items()} == {"k": None, "l": "somebody", "m": None}
    assert (comments["k"]["score"], comments["k"]["sentiment_score"], comments["l"]["body"]) == (8, None, "else")

    # Of posts by that author the poller publishes no words. An observation without a name brings none back later.
    async def published_without_words(pool: Pool) -> None:
        words = {"title": "", "author": None, "removed_by": "request"}
        await write_batch(pool, [observation("e", 60, **words)])
        gone = comment("n", author=None, body=None, removed_by="request")
        await write_comments(pool, [seen(gone, 60)])
        nameless = comment("n", author=None, body=f"on {MARKER}"), comment("m", author=None, body=f"on {MARKER}")
        await write_batch(pool, [observation("e", 70, **WITH_TEXT | {"author": None}), observation("f", 70)])
        await write_comments(pool, [seen(each, 70) for each in nameless])
        await write_comments(pool, [seen(comment("o", author=None), 70)])

    within(database, published_without_words)
    assert within(database, holds_the_marker) == set()
    found = within(database, erasure.erased_on_request)
    assert (found.authors, found.posts, found.comments) == (
        {author_digest(MARKER)}, set("abde"), set("kmn"),
    )  # fmt: skip
    assert {row["removed_by"] for row in within(database, lambda pool: contents(pool, "erasures"))} == {None}
    rows = within(database, lambda pool: erasure.erased_rows(pool, sorted(found.posts), sorted(found.comments)))
    told = {row.id: row.is_told for some in rows for row in some}
    assert told == dict.fromkeys("abdekmn", False), "a newer observation of another program has their words"
    assert within(database, erasure.untold) == len(told)
    (entry,) = within(database, lambda pool: contents(pool, "audit_log"))
    assert (entry["action"], json.loads(entry["details"])) == ("erase.author", {"posts": 2, "comments": 1})
    assert entry["target"].startswith("sha256:")


@pytest.mark.parametrize("name", ["Some-Body_1", "I", "Ünï", "İ", "\u212a"])
async def test_the_digest_of_a_name_is_that_of_the_poller(pool: Pool, name: str) -> None:
    await erasure.erase_author(pool, name, who="test")
    assert (await erasure.erased_on_request(pool)).authors == {author_digest(name)}
    assert author_digest(name) == author_digest("".join(char.lower() if char.isascii() else char for char in name))


def test_a_post_is_erased_on_request_whatever_reddit_shows(database: str) -> None:
    within(database, fill)
    assert signalflow("post", "unknown").exit_code != 0
    assert signalflow("post", "t3_a").output == "a would be erased: repeat the command with --yes\n"
    assert "not told yet of 1 posts and comments" in signalflow("post", "t3_a", "--yes", "--wait", "0").output
    within(database, lambda pool: write_batch(pool, [observation("a", 50, **WITH_TEXT)]))
    assert within(database, erasure.untold) == 1
    (row,), _ = within(database, lambda pool: erasure.erased_rows(pool, ["a"], []))
    assert (row.subreddit, row.is_told) == ("python", False)
    gone = {"title": "", "author": None, "removed_by": "request"}
    within(database, lambda pool: write_batch(pool, [observation("a", 60, **gone)]))
    done = signalflow("post", "t3_a", "--yes")
    assert (done.exit_code, done.output) == (0, f"erased a. {erase.TOLD}\n")
    titles = within(database, lambda pool: column(pool, "posts", "title"))
    assert titles == ["", WITH_TEXT["title"], "another title"]
    assert within(database, lambda pool: column(pool, "dlq_events", "original_value")) == [None]


async def test_a_dead_letter_of_an_erased_post_loses_its_record_whichever_was_stored_first(pool: Pool) -> None:
    await store_letters(pool, [letter_of("a")], None)
    await write_batch(pool, [observation("a", 0, title="", removed_by="deleted")])
    assert await holds_the_marker(pool) == set(), "the bytes of the record do not show as text"
    assert [await erase_letters(pool), await erase_letters(pool)] == [1, 0]
    (letter,) = await contents(pool, "dlq_events")
    assert (letter["original_value"], letter["whole"], letter["state"]) == (None, False, "dead")


async def test_a_dead_letter_of_an_erased_comment_loses_its_record_and_those_of_its_answers_do_not(pool: Pool) -> None:
    gone: dict[str, Any] = {"author": None, "body": None}
    rows = [
        comment("k", removed_by="deleted", **gone),
        comment("l", author="somebody", body="else"),
        comment("m", author=AUTHOR),
    ]
    await write_comments(pool, [seen(row) for row in rows])
    await erasure.erase_author(pool, AUTHOR, who="test")
    values = {
        "the comment": b'{"payload": {"id": "k", "body": "%s"}}',
        "one whose erasure was asked for": b'{"payload":{"id":"m","body":"%s"}}',
        "an answer to it": b'{"payload":{"id":"l","parent_id":"t1_k","body":"%s"}}',
        "one that is not stored": b'{"payload":{"id":"kk","body":"%s"}}',
        # It may be of any comment below the post.
        "of no id": b'{"payload":{"body":"%s \xff"',
        "of no id, below another post": b'{"payload":{"body":"%s"',
    }
    letters = [
        letter_of("xyz" if "another" in what else "abc", offset, "reddit.comments.raw", value % MARKER.encode())
        for offset, (what, value) in enumerate(values.items())
    ]
    await store_letters(pool, [*letters, letter_of("abc", 9, value=b"a post without an id")], None)
    assert [await erase_letters(pool), await erase_letters(pool)] == [3, 0]
    kept = {row["source_offset"]: row["original_value"] is not None for row in await contents(pool, "dlq_events")}
    erased = {"the comment", "one whose erasure was asked for", "of no id"}
    assert kept == {offset: what not in erased for offset, what in enumerate(values)} | {9: True}


async def with_samples(pool: Pool) -> set[str]:
    """The tables and indexes of which PostgreSQL keeps values with the marker; it shows bytes as digits."""
    found = "SELECT tablename FROM pg_stats AS s WHERE strpos(s::text, $1) > 0 OR strpos(s::text, $2) > 0"
    return {name for (name,) in await pool.fetch(found, MARKER, MARKER.encode().hex())}


@pytest.fixture
async def sampled(pool: Pool) -> Pool:
    """A database whose statistics hold values of an author's posts, comments, dead letters and alerts."""
    # A value that stands in one row alone is not kept.
    await write_batch(pool, [observation(name, 0, **WITH_TEXT) for name in ("a", "b")])
    await write_comments(pool, [seen(comment(name, author=MARKER, body=f"on {MARKER}")) for name in ("k", "l")])
    await TopicClusters().step(pool)
    await store_letters(pool, [letter_of("a", 7), letter_of("b", 8)], None)
    rule = await make_rule(pool, "subreddit:python", await make_target(pool))
    for kind, id_ in (("post", "a"), ("post", "b"), ("comment", "k"), ("comment", "l")):
        await tell(pool, rule, kind, id_, f"on {MARKER}")
    # Without them no author would be left, and an index without a row keeps its statistics.
    await write_batch(pool, [observation("c", 0)])
    await write_comments(pool, [seen(comment("m"))])
    await pool.execute("ANALYZE")
    assert await with_samples(pool) == {*TABLES, "posts_of_author", "comments_of_author", "comments_words"}
    return pool


async def test_the_statistics_of_columns_forget_what_was_erased_once_they_are_an_hour_old(sampled: Pool) -> None:
    kept = await with_samples(sampled)
    await erasure.erase_author(sampled, AUTHOR, who="test")
    await TopicClusters().step(sampled)
    assert await holds_the_marker(sampled) == set()
    assert (await renew_statistics(sampled), await with_samples(sampled)) == ([], kept), "they are new enough"
    await sampled.execute("SELECT pg_stat_reset()")
    assert await renew_statistics(sampled) == list(TABLES), "nobody knows how old they are"
    assert await with_samples(sampled) == set()
    assert await renew_statistics(sampled, timedelta(0)) == list(TABLES), "also where nothing has changed"


async def test_an_ordinary_owner_of_the_tables_makes_their_statistics_anew(
    ordinary_role: str, database_url: str, sampled: Pool
) -> None:
    await erasure.erase_author(sampled, AUTHOR, who="test")
    await TopicClusters().step(sampled)
    for table in TABLES:
        await sampled.execute(f"ALTER TABLE {table} OWNER TO {ordinary_role}")
    async with await pool_of(f"postgresql://{ordinary_role}:secret@{database_url.rpartition('@')[2]}") as owner:
        assert await renew_statistics(owner, timedelta(0)) == list(TABLES)
    assert await with_samples(sampled) == set()


async def test_the_sweep_reads_old_posts_with_text(pool: Pool) -> None:
    old = NOON - timedelta(days=3)
    await write_batch(pool, [observation(name, 0, created_utc=old) for name in "abcde"])
    await write_batch(pool, [observation("b", 5, created_utc=old, title="", removed_by="deleted")])
    await write_batch(pool, [observation("e", 5, created_utc=old, title="", removed_by="moderator")])
    await write_batch(pool, [observation("young", 0)])
    before = NOON - timedelta(days=2)
    assert [row["id"] for row in await texts_after(pool, texts.POSTS, "", before, 2)] == ["a", "c"]
    assert [row["id"] for row in await texts_after(pool, texts.POSTS, "c", before, 9)] == ["d", "e"], (
        "e may be restored"
    )


async def test_the_sweep_of_comments_reads_what_has_a_text_or_may_be_restored(pool: Pool) -> None:
    old = NOON - timedelta(days=3)
    gone: dict[str, Any] = {"author": None, "body": None}
    rows = [
        comment("a", created_utc=old),
        comment("b", created_utc=old, author=MARKER),
        comment("c", created_utc=old, removed_by="deleted", **gone),
        comment("d", created_utc=old, removed_by="moderator", **gone),
        comment("e", created_utc=old, author=None),
        comment("f", created_utc=old, removed_by="request", **gone),
        comment("young"),
    ]
    await write_comments(pool, [seen(row) for row in rows])
    await erasure.erase_author(pool, MARKER, who="test")
    found = await texts_after(pool, texts.COMMENTS, "", NOON - timedelta(days=1), 9)
    assert [row["id"] for row in found] == ["a", "d", "e"]
    assert [row["id"] for row in await texts_after(pool, texts.COMMENTS, "a", NOON, 1)] == ["d"]


async def test_each_sweep_remembers_how_far_it_is(pool: Pool) -> None:
    for swept, other in ((texts.POSTS, texts.COMMENTS), (texts.COMMENTS, texts.POSTS)):
        assert await sweep_reached(pool, swept) == ""
        for reached in ("c", "d", ""):
            await mark_swept(pool, swept, reached)
            assert (await sweep_reached(pool, swept), await sweep_reached(pool, other)) == (reached, "")
        (row,) = await contents(pool, swept.progress)
        assert None not in (row["began_at"], row["ended_at"])


async def test_the_api_tells_how_long_erasure_takes(database_url: str, pool: Pool) -> None:
    async with api_of(database_url) as client:
        nothing = (await client.get("/api/erasure/")).json()
        assert (nothing["comments"], nothing["comment_sweep_began_at"]) == (0, None)
        assert (nothing["sweep_began_at"], nothing["sweep_ended_at"]) == (None, None)
        assert (nothing["posts"], nothing["newest"], nothing["median_lag_seconds"]) == (0, None, None)
        await write_batch(pool, [observation(name, 0, title="", removed_by="deleted") for name in "ab"])
        # As if the second had been erased three seconds later than the first, which took one second.
        for name, lag in (("a", 1), ("b", 4)):
            await pool.execute(
                "UPDATE erasures SET seen_at = erased_at - $2::interval WHERE post_id = $1",
                name,
                timedelta(seconds=lag),
            )
        gone = [seen(comment(name, author=None, body=None, removed_by="deleted")) for name in "kl"]
        await write_comments(pool, [*gone, seen(comment("m", author=AUTHOR)), seen(comment("n"))])
        await erasure.erase_author(pool, AUTHOR, who="test")
        await pool.execute("UPDATE comment_erasures SET seen_at = erased_at - interval '7 seconds'")
        found: dict[str, Any] = (await client.get("/api/erasure")).json()
    assert (nothing["untold"], found["untold"]) == (0, 1)
    assert (found["posts"], found["posts_of_last_day"]) == (2, 2)
    assert (found["comments"], found["comments_of_last_day"]) == (3, 2), "what was asked for has no lag"
    # 1, 4, 7 and 7 seconds.
    assert (found["median_lag_seconds"], found["longest_lag_seconds"], found["kafka_days"]) == (5.5, 7.0, 7)
