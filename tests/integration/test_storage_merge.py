"""Any split of a log into batches, and any redelivery, gives the same tables as single observations in order."""

import random
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec import UNSET

from signalflow.events import Enriched
from signalflow.storage.jobs import refresh_touched
from signalflow.storage.known import mark_not_shown
from signalflow.storage.pool import Pool
from signalflow.storage.writer import write_batch, write_or_reject
from tests.integration.storage_oracle import Oracle
from tests.integration.storage_rows import NOON, column, contents, empty, observation

TABLES = ("posts", "post_metrics_history", "post_metrics_hourly", "post_nlp_features", "rollup_touched", "post_words")
# Few posts and moments, so that they often coincide. The moments are in three hours of two days.
MOMENTS = (0.0, 0.5, 1800.0, 3599.999999, 3600.0, 7000.0, 50_000.0)


@st.composite
def observations(draw: st.DrawFn) -> Enriched:
    """An observation as the enrich agent could send it. Velocities are exact in floating point."""
    seconds = draw(st.sampled_from(MOMENTS))
    velocity = st.none() | st.integers(-8, 8).map(lambda n: n / 4)
    mode = draw(st.sampled_from(["new", "refresh", "backfill"]))
    # A feed tells neither number, and not always whether it is a text post; a file may lack the score.
    tells = draw(st.sampled_from(["all", "all", "feed", "less than a feed", "file"]))
    known = tells in ("all", "file")
    return observation(
        draw(st.sampled_from("abcd")),
        seconds,
        title=draw(st.sampled_from(["one", "two words", "three little words"])),
        body=draw(st.sampled_from([UNSET, None, "text", "other text"])),
        author=draw(st.sampled_from(["someone", None])),
        removed_by=draw(st.sampled_from([None, "moderator"])),
        first_seen_at=NOON + timedelta(seconds=draw(st.sampled_from(MOMENTS))),
        current_score=draw(st.integers(-5, 5)) if tells == "all" else None,
        current_comments=draw(st.integers(0, 5)) if known else None,
        current_ratio=draw(st.sampled_from([None, 0.5, 0.97])) if known else None,
        over_18=draw(st.booleans()) if known else None,
        is_self=None if tells == "less than a feed" else draw(st.booleans()),
        flair=draw(st.sampled_from([None, "News"])) if known else None,
        score_velocity=draw(velocity) if tells == "all" else None,
        comment_velocity=draw(velocity) if tells == "all" else None,
        trend_velocity=draw(velocity) if tells == "all" else None,
        is_trending=draw(st.booleans()) if tells == "all" else False,
        mode=mode,
    )


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Enriched], list[list[Enriched]]]:
    """A log and the batches in which it comes. A batch may begin again at an earlier offset."""
    log = draw(st.lists(observations(), min_size=1, max_size=16))
    batches, reached = [], 0
    while reached < len(log):
        start = draw(st.integers(0, reached))
        end = draw(st.integers(reached + 1, len(log)))
        batches.append(log[start:end])
        reached = end
    return log, batches


async def check_equal(pool: Pool, oracle: Oracle) -> None:
    """Compare all tables with those of the oracle."""
    by_key: Any = lambda row: tuple(row.values())[:2]  # noqa: E731
    assert {row["id"]: row for row in await contents(pool, "posts")} == oracle.posts
    assert await contents(pool, "post_metrics_history") == sorted(oracle.history.values(), key=by_key)
    assert await contents(pool, "post_metrics_hourly") == oracle.hourly()
    rows = {row["post_id"]: row for row in await contents(pool, "post_nlp_features")}
    # The sentiment of an erased title stays where it was known, and the oracle does not know whether it was.
    erased = {row["post_id"]: row["keywords"] for row in rows.values() if row["title"] == ""}
    assert erased.keys().isdisjoint(oracle.sentiment)
    assert set(erased.values()) <= {"[]"}
    features = {post_id: row["sentiment_score"] for post_id, row in rows.items() if post_id not in erased}
    assert features == oracle.sentiment
    no_words = await pool.fetchval("SELECT search_words('', NULL)::text")
    words = {
        row["post_id"]
        for row in await pool.fetch("SELECT post_id, words::text FROM post_words")
        if row["words"] != no_words
    }
    assert words == {post_id for post_id, post in oracle.posts.items() if post["title"] or post["body"]}


@hypothesis_settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(delivered=deliveries())
async def test_batches_and_redelivery_give_the_tables_of_single_observations(
    pool: Pool, delivered: tuple[list[Enriched], list[list[Enriched]]]
) -> None:
    log, batches = delivered
    await empty(pool, TABLES)
    oracle = Oracle()
    for row in log:
        oracle.apply(row)
    for batch in batches:
        await write_batch(pool, batch)
        await refresh_touched(pool)
    await check_equal(pool, oracle)


# Two posts and few moments, so that an observation is often as new as the absence, or a little newer.
ABSENCE_MOMENTS = (0.0, 0.5, 1800.0)
SEEN = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(ABSENCE_MOMENTS)), min_size=1, max_size=3)


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    steps=st.lists(st.tuples(st.booleans(), SEEN), min_size=2, max_size=6),
    moments=st.fixed_dictionaries(dict.fromkeys("ab", st.sampled_from(ABSENCE_MOMENTS))),
)
async def test_a_post_is_no_longer_shown_exactly_while_its_absence_is_newer_than_its_observations(
    pool: Pool, steps: list[tuple[bool, list[tuple[str, float]]]], moments: dict[str, float]
) -> None:
    """The poller repeats what it misses, so the last time comes after the posts are stored."""
    since = {post_id: NOON + timedelta(seconds=moment) for post_id, moment in moments.items()}
    await empty(pool, TABLES)
    for is_told, seen in steps:
        if is_told:
            await mark_not_shown(pool, since)
        await write_batch(pool, [observation(post_id, moment) for post_id, moment in seen])
    for _ in range(2):
        await mark_not_shown(pool, since)
    # Of the pairs of a post, the last counts: the newest observation.
    newest = dict(sorted(one for _, seen in steps for one in seen))
    found = {row["id"]: row["not_shown_since"] for row in await contents(pool, "posts")}
    assert found == {
        post_id: since[post_id] if moments[post_id] > seen_at else None for post_id, seen_at in newest.items()
    }


async def test_an_absence_that_is_told_again_writes_no_row(pool: Pool) -> None:
    await write_batch(pool, [observation("a", 0)])
    since = {"a": NOON + timedelta(seconds=5), "unknown": NOON}
    versions = []
    for _ in range(2):
        await mark_not_shown(pool, since)
        versions.append(await pool.fetchval("SELECT xmin::text FROM posts WHERE id = 'a'"))
    assert versions[0] == versions[1]
    await write_batch(pool, [observation("a", 4)])
    assert await column(pool, "posts", "not_shown_since") == [since["a"]], "seen before it was missed"
    await write_batch(pool, [observation("a", 5)])
    assert await column(pool, "posts", "not_shown_since") == [None]


async def test_a_refresh_without_text_keeps_the_body(pool: Pool) -> None:
    await write_batch(pool, [observation("a", 0, body="the text")])
    await write_batch(pool, [observation("a", 10, current_score=7)])
    assert [(row["body"], row["current_score"]) for row in await contents(pool, "posts")] == [("the text", 7)]


async def test_a_late_text_is_stored_beside_newer_numbers(pool: Pool) -> None:
    await write_batch(pool, [observation("a", 10, current_score=7)])
    await write_batch(pool, [observation("a", 0, current_score=3, body="the text")])
    assert [(row["body"], row["current_score"]) for row in await contents(pool, "posts")] == [("the text", 7)]


async def test_a_stale_observation_changes_no_number(pool: Pool) -> None:
    await write_batch(pool, [observation("a", 10, current_score=7)])
    await write_batch(pool, [observation("a", 5, current_score=3), observation("a", 10, current_score=99)])
    assert await column(pool, "posts", "current_score") == [7]
    assert await column(pool, "post_metrics_history", "score") == [3, 7]


async def test_first_seen_at_is_the_earliest_in_any_order_of_arrival(pool: Pool) -> None:
    late, early = NOON, NOON - timedelta(minutes=5)
    await write_batch(pool, [observation("a", 10, first_seen_at=late)])
    await write_batch(pool, [observation("a", 5, first_seen_at=early), observation("a", 20, first_seen_at=late)])
    assert await column(pool, "posts", "first_seen_at") == [early]


async def test_a_backfilled_post_has_features_and_no_history_and_yields_to_what_is_newer(pool: Pool) -> None:
    await write_batch(pool, [observation("a", 10, current_score=7)])
    backfilled = [observation(name, 0, mode="backfill", current_score=3) for name in "ab"]
    for _ in range(2):
        await write_batch(pool, backfilled)
    assert await column(pool, "posts", "current_score") == [7, 3]
    assert await column(pool, "post_nlp_features", "post_id") == ["a", "b"]
    assert await column(pool, "post_metrics_history", "post_id") == ["a"]


async def test_a_changed_title_brings_its_features(pool: Pool) -> None:
    await write_batch(pool, [observation("a", 0, title="one")])
    await write_batch(pool, [observation("a", 10, title="two words")])
    await write_batch(pool, [observation("a", 5, title="three little words")])
    assert await column(pool, "post_nlp_features", "keywords") == ['["two", "words"]']


MARKER = "xyzzymarker"
WITH_TEXT: dict[str, Any] = {
    "title": f"about {MARKER}",
    "author": MARKER,
    "url": f"https://example.org/{MARKER}",
    "permalink": f"/r/python/comments/a/{MARKER}/",
    "flair": MARKER,
    "body": f"a text on {MARKER}",
}


async def holds_the_marker(pool: Pool) -> set[str]:
    """The tables in which the marker stands, of all tables."""
    tables = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = set()
    for (table,) in tables:
        if await pool.fetchval(f"SELECT EXISTS (SELECT FROM {table} AS t WHERE strpos(t::text, '{MARKER}') > 0)"):
            found.add(table)
    return found


async def test_of_a_post_that_is_taken_away_no_table_keeps_a_word_and_its_numbers_stay(pool: Pool) -> None:
    await write_batch(pool, [observation("a", 0, **WITH_TEXT, current_score=5)])
    assert await holds_the_marker(pool) == {"posts", "post_nlp_features", "post_words"}
    (sentiment,) = await column(pool, "post_nlp_features", "sentiment_score")
    # As a program of an earlier version sends it: with its text, and without the body.
    gone = observation("a", 10, **WITH_TEXT | {"body": UNSET}, removed_by="deleted", current_score=9)
    for _ in range(2):
        await write_batch(pool, [gone])
        assert await holds_the_marker(pool) == set()
    (post,) = await contents(pool, "posts")
    assert (post["removed_by"], post["title"], post["current_score"]) == ("deleted", "", 9)
    assert post["erased_until"] == gone.observed_at
    assert await column(pool, "post_nlp_features", "sentiment_score") == [sentiment]
    assert [(row["post_id"], row["removed_by"], row["seen_at"]) for row in await contents(pool, "erasures")] == [
        ("a", "deleted", gone.observed_at)
    ]


async def test_an_older_observation_that_comes_again_brings_no_text_back_and_a_newer_one_does(pool: Pool) -> None:
    first = observation("a", 0, **WITH_TEXT)
    gone = observation("a", 10, title="", removed_by="moderator", current_comments=None, is_self=None)
    for rows in ([first], [gone], [first], [observation("a", 5, **WITH_TEXT)], [first, gone]):
        await write_batch(pool, rows)
    assert await holds_the_marker(pool) == set()
    await write_batch(pool, [observation("a", 20, **WITH_TEXT)])
    (post,) = await contents(pool, "posts")
    assert {name: post[name] for name in WITH_TEXT} == WITH_TEXT
    assert post["removed_by"] is None
    assert await holds_the_marker(pool) == {"posts", "post_nlp_features", "post_words"}


async def test_a_post_that_was_gone_when_it_was_first_seen_has_no_features(pool: Pool) -> None:
    await write_batch(pool, [observation("a", 0, title="", removed_by="reddit")])
    assert await column(pool, "posts", "title") == [""]
    assert await contents(pool, "post_nlp_features") == []


async def test_an_empty_batch_needs_no_database(pool: Pool) -> None:
    await pool.close()
    assert await write_or_reject(pool, []) == []


async def test_refreshes_leave_the_words_of_a_post_alone(pool: Pool) -> None:
    """Otherwise the indexes would get every word of title and body again."""
    await write_batch(pool, [observation(name, 0, body="a long text") for name in "abcd"])
    for n in range(1, 40):
        await write_batch(pool, [observation(name, n, current_score=n, score_velocity=n / 2) for name in "abcd"])
    await pool.execute("SELECT pg_stat_force_next_flush()")
    written = "SELECT sum(n_tup_upd) FROM pg_stat_user_tables WHERE relname IN ('post_nlp_features', 'post_words')"
    assert await pool.fetchval(written) == 0


async def test_a_changed_title_is_found_by_its_new_words(pool: Pool) -> None:
    await write_batch(pool, [observation("a", 0, title="rocket launches")])
    await write_batch(pool, [observation("a", 1, title="planet launches")])
    found = "SELECT post_id FROM post_words WHERE words @@ websearch_to_tsquery('english', $1)"
    assert await pool.fetch(found, "rocket") == []
    assert len(await pool.fetch(found, "planets launched")) == 1


async def test_a_changed_body_is_found_by_its_new_words(pool: Pool) -> None:
    await write_batch(pool, [observation("a", 0, title="a title", body="cheese from the valley")])
    await write_batch(pool, [observation("a", 10, title="a title", body="bread from the valley")])
    await write_batch(pool, [observation("a", 5, title="a title", body="wine from the valley")])
    found = "SELECT post_id FROM post_words WHERE words @@ websearch_to_tsquery('english', $1)"
    for word, times in (("cheese", 0), ("wine", 0), ("bread", 1), ("title", 1)):
        assert len(await pool.fetch(found, word)) == times, word


async def test_the_longest_text_is_stored(pool: Pool) -> None:
    """The words of a post must not pass PostgreSQL's limit of a text vector, or the post could not be stored."""
    rng = random.Random(1)
    hostile = [
        " ".join(map(str, range(100_000)))[:80_000],
        "".join(chr(rng.randrange(0x20000, 0x2A6DF)) for _ in range(80_000)),
        " ".join(chr(rng.randrange(0x4E00, 0x9FFF)) + chr(0x1F600 + n % 80) for n in range(26_000)),
        "é" * 80_000,
        "x/" * 40_000,
    ]
    for number, body in enumerate(hostile):
        await write_batch(pool, [observation(f"p{number}", 0, title="猫" * 600, body=body)])
    assert await pool.fetchval("SELECT count(*) FROM post_words") == len(hostile)
