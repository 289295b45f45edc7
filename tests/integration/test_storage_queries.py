"""Queries as conditions of statements: they find what the evaluation of documents finds."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signalflow.clock import utcnow
from signalflow.domain.queries.evaluate import condition_of, document_of, host_of
from signalflow.domain.queries.language import parse
from signalflow.domain.queries.tree import KINDS, SIGNALS, Kind, Query
from signalflow.storage import migrate
from signalflow.storage.pool import Pool
from signalflow.storage.query_sql import comment_condition, post_condition
from tests.integration.storage_rows import pool_of
from tests.searches import ONLY_ONE_WAY, SEARCHES
from tests.unit.domain.queries.documents import HOSTS, NAMES, WORDS, queries

TEXTS = st.lists(st.sampled_from([*WORDS, "rocketry", "!!", "Ro\u0301CK", "ＡＩ", "ªai", "a™", "💥a", "ﬁ"]), max_size=6)
NUMBERS = st.sampled_from([None, 0, 1])
STORED = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(KINDS),
        "title": TEXTS.map(" ".join),
        "body": st.none() | TEXTS.map("-".join),
        "subreddit": st.sampled_from([name.title() for name in NAMES]),
        "author": st.sampled_from([None, "Mars", "moon"]),
        "url": st.sampled_from([None, "/r/a", *(f"https://a@{host.title()}:1/com" for host in HOSTS)]),
        "flair": st.none() | TEXTS.map(" ".join),
        "over_18": st.sampled_from([None, True, False]),
        "score": NUMBERS,
        "comments": NUMBERS,
        "sentiment": NUMBERS,
        "ratio": NUMBERS,
        # The time that the test takes changes no answer.
        "age": st.sampled_from([-1000.0, 1000.0]),
        "signals": st.sets(st.sampled_from(SIGNALS)),
    }
)
ALL_SEARCHES = (*SEARCHES, *ONLY_ONE_WAY)
# A post or comment of which nothing but the text is known.
ROW: dict[str, Any] = {"subreddit": "a", "author": None, "url": None, "flair": None, "over_18": None} | {
    "score": None,
    "comments": None,
    "sentiment": None,
    "ratio": None,
    "age": 0.0,
    "signals": set(),
}
POST = ("subreddit", "author", "title", "body", "url", "flair", "over_18", "score", "comments", "ratio")
COMMENT = ("subreddit", "author", "body", "score", "sentiment")
INSERT_POST = """
INSERT INTO posts (id, subreddit, author, title, body, url, flair, over_18, current_score, current_comments,
    current_ratio, created_utc, first_seen_at, last_polled_at, trending_score, is_trending)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, now() - make_interval(secs => $12), now(), now(), 0, false)
"""
INSERT_COMMENT = """
INSERT INTO comments (id, post_id, subreddit, author, body, score, score_observed_at, sentiment_score, sentiment_label,
    sentiment_basis, created_utc, first_seen_at, observed_at)
SELECT $1, 'a', $2, $3, $4, $5::int, CASE WHEN $5 IS NOT NULL THEN now() END, $6::float8,
    CASE WHEN $6 IS NOT NULL THEN 'neutral' END, CASE WHEN $4::text IS NOT NULL THEN 'as_written' END,
    now() - make_interval(secs => $7), now(), now()
"""
INSERT_FEATURES = """
INSERT INTO post_nlp_features (post_id, title, sentiment_score, sentiment_label, keywords)
VALUES ($1, '', $2, 'neutral', '[]')
"""
INSERT_SIGNAL = """
INSERT INTO signals (id, kind, rule_version, subject_kind, subject, started_at, peak_at, ended_at, changed_at, strength,
    observed, expected, post_ids, inputs, source_topic, source_partition, source_offset)
VALUES ($1, $2, 1, 'post', $3, now(), now(), $4, now(), 1, 1, 1, '{}', '{}', 't', 0, 0)
"""


async def store(pool: Pool, rows: Sequence[dict[str, Any]]) -> None:
    """Store documents that were drawn, as the posts and comments that they are, in the place of all others."""
    posts = [(str(number), row) for number, row in enumerate(rows) if row["kind"] == "post"]
    comments = [(str(number), row) for number, row in enumerate(rows) if row["kind"] == "comment"]
    ended = {True: None, False: utcnow()}
    signals = [(f"{one}-{id_}", one, id_, ended[one in row["signals"]]) for id_, row in posts for one in SIGNALS]
    async with pool.acquire() as connection, connection.transaction():
        for table in ("posts", "post_nlp_features", "comments", "signals"):
            await connection.execute(f"DELETE FROM {table}")
        await connection.executemany(INSERT_POST, [(id_, *map(row.get, POST), row["age"]) for id_, row in posts])
        features = [(id_, row["sentiment"]) for id_, row in posts if row["sentiment"] is not None]
        await connection.executemany(INSERT_FEATURES, features)
        await connection.executemany(INSERT_SIGNAL, signals)
        values = [(id_, *map(row.get, COMMENT), row["age"]) for id_, row in comments]
        await connection.executemany(INSERT_COMMENT, values)


def is_met(query: Query, row: dict[str, Any]) -> bool:
    """Whether the document of a row meets a query."""
    common = {name: row[name] for name in ("subreddit", "author", "score", "sentiment", "age")}
    if row["kind"] == "comment":
        return condition_of(query)(document_of("comment", row["body"] or "", **common))
    of_post = {name: row[name] for name in ("flair", "over_18", "comments", "ratio", "signals")}
    document = document_of("post", row["title"], row["body"] or "", domain=host_of(row["url"]), **common, **of_post)
    return condition_of(query)(document)


async def found(pool: Pool, kind: Kind, query: Query) -> set[str]:
    """The ids of the stored posts or comments that meet a query."""
    parameters: list[object] = []

    def bound(value: object) -> str:
        parameters.append(value)
        return f"${len(parameters)}"

    if kind == "post":
        rows = "p.id FROM posts AS p LEFT JOIN post_nlp_features AS n ON n.post_id = p.id"
        statement = f"SELECT {rows} WHERE {post_condition(query, bound)}"
    else:
        statement = f"SELECT c.id FROM comments AS c WHERE {comment_condition(query, bound)}"
    return {row["id"] for row in await pool.fetch(statement, *parameters)}


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(STORED, min_size=1, max_size=12), st.lists(queries(), min_size=1, max_size=8))
async def test_a_condition_finds_the_documents_that_meet_the_query(
    pool: Pool, rows: list[dict[str, Any]], asked: Sequence[Query]
) -> None:
    await store(pool, rows)
    for query in asked:
        met = {str(number) for number, row in enumerate(rows) if is_met(query, row)}
        assert {id_ for kind in KINDS for id_ in await found(pool, kind, query)} == met, query


async def test_words_are_folded_and_parted_as_in_a_search(pool: Pool) -> None:
    rows = [ROW | {"kind": kind, "title": title, "body": title} for _, title, _ in ALL_SEARCHES for kind in KINDS]
    await store(pool, rows)
    for search in {search for search, _, _ in ALL_SEARCHES}:
        query = parse(search)
        met = {str(number) for number, row in enumerate(rows) if is_met(query, row)}
        assert {id_ for kind in KINDS for id_ in await found(pool, kind, query)} == met, search


async def test_words_of_the_version_before_are_found_after_the_upgrade(
    make_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, upgrade = make_database(), migrate.command.upgrade
    with monkeypatch.context() as before:
        before.setattr(migrate.command, "upgrade", lambda config, _: upgrade(config, "0037"))
        await migrate.upgrade(url)
    async with await pool_of(url) as pool:
        await store(pool, [ROW | {"kind": kind, "title": "Mars/Moon", "body": "Mars/Moon"} for kind in KINDS])
        await pool.execute(
            f'ALTER DATABASE "{await pool.fetchval("SELECT current_database()")}" SET enable_seqscan = off'
        )
    await migrate.upgrade(url)
    async with await pool_of(url) as pool:
        assert {id_ for kind in KINDS for id_ in await found(pool, kind, parse("moon"))} == {"0", "1"}
