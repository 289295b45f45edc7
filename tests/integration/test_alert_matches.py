"""What rules of alerts meet is written with what was stored, once, and nothing that is no news."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from signalflow.clock import utcnow
from signalflow.domain.signals.term_hash import term_hash
from signalflow.errors import Invalid
from signalflow.events import Enriched, EnrichedComment, Source
from signalflow.metrics import ALERT_RULES_UNREADABLE
from signalflow.signal_events import Signal
from signalflow.storage import erasure
from signalflow.storage.alert_matches import AlertMatches
from signalflow.storage.comment_writer import write_comments
from signalflow.storage.pool import Connection, Pool
from signalflow.storage.signal_writer import write_signals
from signalflow.storage.writer import write_batch
from tests.integration.alert_rows import make_rule, make_target, matches, rules_changed, states, told
from tests.integration.comment_rows import comment, seen
from tests.integration.signal_rows import viral
from tests.integration.storage_rows import NOON, features, observation
from tests.waiting import until


@pytest.fixture
def alerts() -> AlertMatches:
    return AlertMatches()


def signal(kind: str = "viral", subject: str = "a", **changes: Any) -> Signal:
    """A signal about a post."""
    row = viral(subject, started_at=NOON, **changes)
    source = Source(
        topic=row.pop("source_topic"), partition=row.pop("source_partition"), offset=row.pop("source_offset")
    )
    return Signal(**row | {"kind": kind, "id": f"{kind}-{subject}", "source": source, "emitted_at": NOON})


async def store(pool: Pool, alerts: AlertMatches, rows: Sequence[Any]) -> None:
    """Store rows of one kind, with what rules meet."""
    if isinstance(rows[0], Enriched):
        await write_batch(pool, rows, None, alerts)
    elif isinstance(rows[0], EnrichedComment):
        await write_comments(pool, rows, None, alerts)
    else:
        await write_signals(pool, rows, None, alerts)


async def test_a_post_and_a_comment_that_a_rule_meets_are_told_once_to_each_target_that_takes_messages(
    pool: Pool, alerts: AlertMatches
) -> None:
    targets = [
        await make_target(pool),
        await make_target(pool, "someone@example.org", "mail"),
        await make_target(pool, None, "feed", token_hash=b"x"),  # type: ignore[arg-type]
        await make_target(pool, disabled_at=NOON),
    ]
    await make_rule(pool, "rocket score>5", *targets, name="Rockets")
    rows = [observation("a", title="A rocket"), observation("b", title="A boat", current_score=9)]
    rows += [observation("a", 60, title="A rocket", current_score=12, current_comments=1)]
    said = [seen(comment("c1", body="my rocket", score=9)), seen(comment("c2", body="my boat", score=9))]
    for _ in range(2):
        await store(pool, alerts, rows)
        await store(pool, alerts, said)
        await store(pool, AlertMatches(), [observation("a", 120, title="A rocket", current_score=20)])
    assert await matches(pool) == {("post", "a"), ("comment", "c1")}
    assert await states(pool) == {"a": "waiting", "c1": "waiting"}
    assert await pool.fetchval("SELECT count(*) FROM alert_deliveries") == 4
    alert = await told(pool, "a")
    assert (alert["rule"], alert["title"], alert["numbers"]) == ("Rockets", "A rocket", {"score": 12, "comments": 1})
    assert alert["id"] == f"alert_{(await pool.fetchval('SELECT id FROM alert_matches WHERE kind = $1', 'post')).hex}"
    assert (await told(pool, "c1"))["url"] == "https://www.reddit.com/r/python/comments/abc/_/c1/"


async def test_what_is_no_news_or_does_not_stand_is_not_told(pool: Pool, alerts: AlertMatches) -> None:
    rule = await make_rule(pool, "subreddit:python", await make_target(pool))
    old = utcnow() - timedelta(hours=49)
    await erasure.erase_author(pool, "gone", who="someone")
    await pool.execute(
        "INSERT INTO alert_matches (id, rule_id, kind, subject) VALUES ($1, $2, 'post', 'known')", uuid4(), rule
    )
    await store(pool, AlertMatches(), [observation("newer", 60)])
    await pool.execute("DELETE FROM alert_matches WHERE subject = 'newer'")
    await store(
        pool,
        alerts,
        [
            observation("from_file", mode="backfill"),
            observation("late", late=True),
            observation("old", created_utc=old),
            observation("removed", removed_by="moderator"),
            observation("removed_later"),
            observation("removed_later", 60, removed_by="author"),
            observation("of_erased", author="Gone"),
            observation("known"),
            observation("newer", 0),
            observation("told"),
        ],
    )
    await store(
        pool,
        alerts,
        [
            seen(comment("c1", created_utc=old)),
            seen(comment("c2", body=None, author=None, removed_by="deleted")),
            seen(comment("c3", author="gone")),
            seen(comment("c4")),
        ],
    )
    assert await matches(pool) == {("post", "known"), ("post", "told"), ("comment", "c4")}
    assert await states(pool) == {"told": "waiting", "c4": "waiting"}


async def test_a_refresh_without_text_meets_a_rule_by_the_text_that_is_stored(pool: Pool, alerts: AlertMatches) -> None:
    await make_rule(pool, "rocket score>100")
    await store(pool, alerts, [observation("a", body="all about a rocket")])
    assert await matches(pool) == set()
    await store(pool, alerts, [observation("a", 60, current_score=101)])
    assert await matches(pool) == {("post", "a")}


async def test_rules_that_change_count_from_the_next_flush_and_one_that_cannot_be_read_stops_nothing(
    pool: Pool, alerts: AlertMatches
) -> None:
    unreadable = await make_rule(pool, "score>(")
    changed = await make_rule(pool, "boat")
    await store(pool, alerts, [observation("a", title="A rocket")])
    assert (await matches(pool), ALERT_RULES_UNREADABLE._value.get()) == (set(), 1)
    await pool.execute("UPDATE alert_rules SET query = 'rocket' WHERE id = $1", changed)
    await pool.execute("DELETE FROM alert_rules WHERE id = $1", unreadable)
    # Nobody has told the writers: what they know of the deleted rule breaks no flush.
    await store(pool, alerts, [observation("b", title="A boat")])
    assert await matches(pool) == {("post", "b")}
    await rules_changed(pool)
    await store(pool, alerts, [observation("c", title="A rocket"), observation("d", title="A boat")])
    assert (await matches(pool), ALERT_RULES_UNREADABLE._value.get()) == ({("post", "b"), ("post", "c")}, 0)
    await pool.execute("UPDATE alert_rules SET paused_at = now()")
    await store(pool, alerts, [observation("e", title="A rocket")])
    await pool.execute("DELETE FROM alert_rules")
    await store(pool, alerts, [observation("f", title="A rocket")])
    assert await matches(pool) == set()


async def test_a_flush_that_fails_leaves_no_alert(pool: Pool, alerts: AlertMatches) -> None:
    await make_rule(pool, "subreddit:python", await make_target(pool))
    with pytest.raises(Invalid):
        await store(pool, alerts, [observation("a"), observation("b", observed_at=NOON + timedelta(days=99999))])
    assert await matches(pool) == set()


async def test_many_writers_at_once_wait_for_each_other_in_no_circle_and_write_each_match_once(pool: Pool) -> None:
    for word in ("one", "two", "three"):
        await make_rule(pool, f"{word} OR subreddit:python", await make_target(pool))
    names = [f"p{number}" for number in range(20)]

    async def write(number: int) -> None:
        alerts, order = AlertMatches(), names[number:] + names[:number]
        for moment in range(5):
            await store(pool, alerts, [observation(name, moment) for name in order])
            await store(pool, alerts, [seen(comment(name), moment) for name in order])

    await asyncio.gather(*(write(number) for number in range(4)))
    rows = await pool.fetch("SELECT count(*) AS many FROM alert_matches GROUP BY rule_id, kind")
    assert [row["many"] for row in rows] == [20] * 6
    assert await pool.fetchval("SELECT count(*) FROM alert_deliveries") == 120


class Held(AlertMatches):
    """Keeps its transaction open until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.let_go = asyncio.Event(), asyncio.Event()

    async def write(self, storing: Connection, rows: Any) -> None:
        await super().write(storing, rows)
        self.written.set()
        await self.let_go.wait()


async def store_at_once(pool: Pool, first: Sequence[Any], second: Sequence[Any]) -> None:
    """Store both, the second one while the first is not committed; it may wait for it."""
    held = Held()
    storing = asyncio.create_task(store(pool, held, first))
    await held.written.wait()
    other = asyncio.create_task(store(pool, AlertMatches(), second))

    async def is_done_or_waits() -> bool:
        return other.done() or bool(await pool.fetch("SELECT FROM pg_locks WHERE NOT granted"))

    await until(is_done_or_waits, lambda: "it neither waits nor ends", 10, pause=0.05)
    held.let_go.set()
    await asyncio.gather(storing, other)


@pytest.mark.parametrize("first", ["post", "signal", "post not committed", "signal not committed"])
async def test_a_post_with_a_signal_is_told_whichever_is_stored_first(
    pool: Pool, alerts: AlertMatches, first: str
) -> None:
    await make_rule(pool, "signal:viral subreddit:python", await make_target(pool))
    await make_rule(pool, "subreddit:python -post", name="without signals")
    post = [observation("a", title="A rocket post"), observation("b")]
    found = [signal(), signal("unusual_here", "b")]
    both = (post, found) if first.startswith("post") else (found, post)
    if first.endswith("committed"):
        await store_at_once(pool, *both)
    else:
        for rows in both:
            await store(pool, alerts, rows)
    told_of = await pool.fetch("SELECT subject, alert->>'rule' AS rule, alert->>'sentence' AS why FROM alert_matches")
    assert {(row["subject"], row["rule"]) for row in told_of} == {("a", "a rule"), ("b", "without signals")}
    (why,) = [row["why"] for row in told_of if row["subject"] == "a"]
    assert why.startswith("r/python: a post with 480 points after 2 hours is 73 % likely to be among the best")


async def test_a_signal_of_a_subreddit_is_told_while_it_goes_on(pool: Pool, alerts: AlertMatches) -> None:
    await make_rule(pool, "signal:unusual_here subreddit:Python", await make_target(pool))
    await make_rule(pool, "-rocket", name="has no signal")
    about = {"subject_kind": "subreddit", "inputs": {}, "observed": 12.0, "expected": 3.0}
    ended = signal("unusual_here", "golang", **about | {"subreddit": "python", "ended_at": NOON})
    going_on = signal("unusual_here", "python", **about)
    await store(pool, alerts, [ended, going_on])
    assert await matches(pool) == {("signal", "unusual_here-python")}
    alert = await told(pool, "unusual_here-python")
    assert (alert["kind"], alert["title"], alert["url"]) == ("signal", None, "https://www.reddit.com/r/python/")
    assert alert["sentence"].startswith("r/python: 12 posts in 15 minutes, 4 times its usual number")


async def test_a_burst_is_told_with_its_term_until_all_of_its_posts_are_erased(
    pool: Pool, alerts: AlertMatches
) -> None:
    await make_rule(pool, "signal:burst", await make_target(pool))
    posts = [observation(id_, title="Rocket launch", nlp=features(0, "rocket launch")) for id_ in ("a", "b")]
    await store(pool, alerts, posts)
    about = {"subject_kind": "term", "subreddit": None, "inputs": {"subreddits": 1}, "observed": 9.0, "expected": 0.5}
    await store(pool, alerts, [signal("burst", term_hash("rocket launch"), **about, post_ids=["a", "b"])])
    (subject,) = [subject for _, subject in await matches(pool)]
    said = "“rocket launch”: 9 posts in an hour where 0.5 are usual, in r/python."
    assert (await told(pool, subject))["sentence"] == said
    await erasure.erase_post(pool, "a", who="someone")
    assert (await told(pool, subject))["sentence"] == said
    await erasure.erase_post(pool, "b", who="someone")
    assert (await told(pool, subject))["sentence"] == ""
    assert await states(pool) == {subject: "given_up"}


async def test_what_is_erased_is_taken_out_of_alerts_and_not_sent_any_more(pool: Pool, alerts: AlertMatches) -> None:
    await make_rule(pool, "marker", await make_target(pool))
    titled = {"title": "The Marker", "author": "writer"}
    await store(pool, alerts, [observation(id_, **titled) for id_ in ("asked", "removed", "again")])
    await store(pool, alerts, [observation("by_id", title="The Marker", author="other")])
    await store(pool, alerts, [seen(comment("c1", body="marker", author="writer")), seen(comment("c2", body="marker"))])
    await pool.execute(
        "UPDATE alert_deliveries SET state = 'done' FROM alert_matches AS m "
        "WHERE m.id = match_id AND m.subject = 'again'"
    )
    await pool.execute(
        "INSERT INTO alert_attempts (delivery_id, seconds, verdict, reason, answer) "
        "SELECT id, 1, 'done', '', 'The Marker' FROM alert_deliveries"
    )
    await store(pool, alerts, [observation("removed", 60, **titled, removed_by="moderator")])
    gone = [observation("again", 60, **titled, removed_by="moderator"), observation("again", 90, **titled)]
    await store(pool, alerts, gone)
    assert (await told(pool, "again"))["title"] == "The Marker"
    await store(pool, alerts, [seen(comment("c2", body=None, author=None, removed_by="deleted"), 60)])
    await erasure.erase_author(pool, "WRITER", who="someone")
    await erasure.erase_post(pool, "by_id", who="someone")
    for subject in ("asked", "removed", "again", "by_id", "c1", "c2"):
        alert = await told(pool, subject)
        assert (alert["title"], alert["url"], alert["sentence"]) == (None, None, ""), subject
        assert alert["numbers"]["score"] == 1
    not_sent = dict.fromkeys(("asked", "removed", "by_id", "c1", "c2"), "given_up")
    assert await states(pool) == not_sent | {"again": "done"}
    assert await pool.fetchval("SELECT count(*) FROM alert_attempts WHERE answer <> ''") == 0
