"""What the writer decides before it asks the database: order, merging, history, and the search for refused rows."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from signalflow.errors import Invalid, Retryable
from signalflow.events import Enriched, Rank
from signalflow.storage import writer
from signalflow.storage.columns import FEATURES, HISTORY, POSTS, Column, Guard, arrays_of
from signalflow.storage.positions import Advances, Progress
from signalflow.storage.writer import history_statement, posts_statement, ranks_statement, write_or_reject
from tests.unit.streams.fakes import Record
from tests.unit.test_sink_agent import NOW, row

POOL: Any = None


def seen(post_id: str, minute: int, **changes: Any) -> Enriched:
    """An observation of a post some minutes after NOW."""
    return replace(row(post_id), observed_at=NOW + timedelta(minutes=minute), **changes)


def posts(rows: Sequence[Enriched]) -> dict[str, dict[str, Any]]:
    """The values that the statement for posts gets, by post and column."""
    names = [column.name for column in (*POSTS, *FEATURES)]
    elements = [dict(zip(names, values, strict=True)) for values in zip(*writer._columns(rows).posts, strict=True)]
    assert [element["id"] for element in elements] == sorted({row.id for row in rows}), "locked in one order by all"
    return {element["id"]: element for element in elements}


def history(rows: Sequence[Enriched]) -> list[tuple[Any, ...]]:
    """Post and score of each row of the history, in the order of the statement."""
    assert [column.name for column in HISTORY][:3] == ["post_id", "observed_at", "score"]
    arrays = writer._columns(rows).history
    return list(zip(arrays[0], arrays[2], strict=True))


class Database:
    """Stands for a database that refuses some posts: remembers which transactions were tried and what is stored."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refused: set[str]) -> None:
        self.refused = refused
        self.tried: list[list[str]] = []
        self.stored: list[str] = []
        self.advances: list[Advances | None] = []
        monkeypatch.setattr(writer, "write_batch", self.write)

    async def write(self, pool: Any, rows: Sequence[Enriched], advances: Any, alerts: None) -> None:
        assert pool == "the pool"
        ids = [each.id for each in rows]
        self.tried.append(ids)
        if set(ids) & self.refused:
            raise Invalid(f"refused: {sorted(set(ids) & self.refused)}")
        self.stored += ids
        self.advances.append(advances)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
async def test_every_row_is_stored_in_order_or_rejected_with_its_place_and_reason(bad: list[bool]) -> None:
    rows = [row(f"p{index}") for index in range(len(bad))]
    refused = {f"p{index}" for index, is_bad in enumerate(bad) if is_bad}
    with pytest.MonkeyPatch.context() as monkeypatch:
        database = Database(monkeypatch, refused)
        rejected = await write_or_reject("the pool", rows)  # type: ignore[arg-type]
    assert database.stored == [each.id for each in rows if each.id not in refused]
    places = [index for index, is_bad in enumerate(bad) if is_bad]
    assert [(each.index, str(each.error)) for each in rejected] == [(n, f"refused: ['p{n}']") for n in places]


async def test_one_bad_row_of_a_thousand_costs_few_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(monkeypatch, {"p700"})
    await write_or_reject("the pool", [row(f"p{index}") for index in range(1000)])  # type: ignore[arg-type]
    # Halving needs ten steps for 1000 rows, with two transactions each.
    assert len(database.tried) <= 21


async def test_a_database_that_is_away_rejects_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(pool: Any, rows: Sequence[Enriched], advances: Any, alerts: None) -> None:
        raise Retryable("away")

    monkeypatch.setattr(writer, "write_batch", away)
    with pytest.raises(Retryable):
        await write_or_reject(POOL, [row("a"), row("b")])


async def test_progress_notes_only_what_the_database_stored_each_piece_with_its_own_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = Database(monkeypatch, {"p0", "p2"})
    records = [Record(offset, partition=offset % 2) for offset in range(4)]
    progress = Progress(UUID(int=7), {0: 0, 1: 1})
    rejected = await write_or_reject("the pool", [row(f"p{n}") for n in range(4)], records, progress)  # type: ignore[arg-type]
    assert [each.index for each in rejected] == [0, 2]
    advances = [each.of_partitions for each in database.advances if each]
    assert [[(each.partition, each.next_offset) for each in some] for some in advances] == [[(1, 2)], [(1, 4)]]
    assert progress.expected == {0: 0, 1: 4}, "of partition 0 nothing was stored"


async def test_no_rows_need_no_database() -> None:
    assert await write_or_reject(POOL, []) == []


def test_the_newest_observation_gives_the_values_whatever_the_order() -> None:
    rows = [seen("b", 1, current_score=1), seen("a", 5, current_score=50), seen("b", 9, current_score=9),
            seen("a", 2, current_score=20), seen("b", 4, current_score=4)]  # fmt: skip
    stored = posts(rows)
    assert {name: (post["current_score"], post["last_polled_at"].minute) for name, post in stored.items()} == {
        "a": (50, 5),
        "b": (9, 9),
    }


def test_of_two_observations_of_one_moment_the_first_in_the_log_counts() -> None:
    rows = [seen("a", 1, current_score=1, body="first"), seen("a", 1, current_score=2, body="second")]
    stored = posts(rows)["a"]
    assert (stored["current_score"], stored["body"]) == (1, "first")
    assert history(rows) == [("a", 1), ("a", 2)], "the statement keeps the first of the same moment"


def test_the_body_follows_the_newest_observation_that_carried_one() -> None:
    rows = [seen("a", 1, body="old"), seen("a", 5, body="new"), seen("a", 3, body="between"), seen("a", 9)]
    stored = posts(rows)["a"]
    assert (stored["body"], stored["text_observed_at"].minute, stored["last_polled_at"].minute) == ("new", 5, 9)


def test_a_body_that_comes_after_observations_without_one_is_taken() -> None:
    stored = posts([seen("a", 9), seen("a", 1, body="text"), seen("b", 1)])
    assert (stored["a"]["body"], stored["a"]["text_observed_at"].minute) == ("text", 1)
    assert (stored["b"]["body"], stored["b"]["text_observed_at"]) == (None, None)


def test_a_body_that_was_removed_is_a_text_too() -> None:
    stored = posts([seen("a", 1, body="text"), seen("a", 2, body=None)])["a"]
    assert (stored["body"], stored["text_observed_at"].minute) == (None, 2)


def test_a_post_was_first_seen_at_the_earliest_of_all_times() -> None:
    first = [NOW + timedelta(minutes=minute) for minute in (7, 3, 5)]
    rows = [seen("a", n, first_seen_at=moment) for n, moment in enumerate(first)]
    assert posts([*rows, seen("b", 0, first_seen_at=NOW)])["a"]["first_seen_at"] == first[1]


@pytest.mark.parametrize("turned", [False, True])
def test_an_observation_without_numbers_replaces_none_in_either_order(turned: bool) -> None:
    fed = seen("a", 9, title="newer", current_score=None, current_comments=None, over_18=None, is_self=None)
    rows = [seen("a", 1, current_score=1, flair="News"), fed]
    stored = posts(rows[::-1] if turned else rows)["a"]
    assert (stored["title"], stored["last_polled_at"].minute) == ("newer", 9)
    assert (stored["current_score"], stored["flair"]) == (1, "News")
    assert (stored["score_observed_at"].minute, stored["details_observed_at"].minute) == (1, 1)
    assert history(rows) == [("a", 1)]


@pytest.mark.parametrize("turned", [False, True])
def test_a_newer_file_without_scores_gives_comments_and_flags_in_either_order(turned: bool) -> None:
    told = seen("a", 1, current_score=1, current_comments=1, current_ratio=0.9, score_velocity=0.5, over_18=False)
    of_file = seen("a", 9, mode="backfill", current_score=None, current_comments=7, over_18=True)
    rows = [told, of_file]
    stored = posts(rows[::-1] if turned else rows)["a"]
    assert (stored["current_comments"], stored["over_18"], stored["details_observed_at"].minute) == (7, True, 9)
    assert (stored["current_score"], stored["current_ratio"], stored["score_velocity"]) == (1, 0.9, 0.5)
    assert stored["score_observed_at"].minute == 1


def test_the_history_has_every_observation_in_log_order_and_none_of_a_backfill() -> None:
    rows = [seen("b", 2, current_score=2), seen("a", 9, current_score=9), seen("b", 1, current_score=1),
            seen("a", 3, current_score=3, mode="backfill")]  # fmt: skip
    assert history(rows) == [("a", 9), ("b", 2), ("b", 1)]
    assert posts(rows).keys() == {"a", "b"}, "a backfilled post is stored"


KEY, TEXT = Column("id", "text"), Column("body", "text", guard=Guard.TEXT)
SCORE, LABEL = Column("score", "int", "current_score"), Column("label", "text", "nlp.sentiment_label")
WORDS = Column("words", "jsonb", "nlp.keywords")


def test_the_statement_for_posts_names_each_column_where_it_belongs() -> None:
    """PostgreSQL runs it in tests/integration/test_storage_merge.py; this is the text for three columns of posts."""
    sql, _ = posts_statement([KEY, TEXT, SCORE], [LABEL, WORDS])
    newer = "EXCLUDED.last_polled_at > p.last_polled_at"
    newer_text = "EXCLUDED.text_observed_at > COALESCE(p.text_observed_at, '-infinity')"
    assert " ".join(line.strip() for line in sql.splitlines() if not line.strip().startswith("--")).strip() == (
        "WITH input AS MATERIALIZED ( "
        "SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::jsonb[]) "
        "AS t (id, body, score, label, words) ), "
        "stored AS ( INSERT INTO posts AS p (id, body, score) SELECT id, body, score FROM input "
        "ON CONFLICT (id) DO UPDATE SET "
        f"body = CASE WHEN {newer_text} THEN EXCLUDED.body ELSE p.body END, "
        f"score = CASE WHEN {newer} THEN EXCLUDED.score ELSE p.score END, not_shown_since = "
        "CASE WHEN EXCLUDED.last_polled_at >= p.not_shown_since THEN NULL ELSE p.not_shown_since END "
        f"WHERE {newer} OR {Guard.SCORE.value} OR {Guard.DETAILS.value} OR {newer_text} "
        f"OR EXCLUDED.first_seen_at < p.first_seen_at OR {Guard.REMOVED.value} "
        "RETURNING id, title, COALESCE(last_polled_at <= erased_until, false) AS is_erased ) "
        "INSERT INTO post_nlp_features AS n (post_id, title, label, words) "
        "SELECT id, title, label, words FROM input JOIN stored USING (id, title) "
        "WHERE NOT is_erased AND NOT EXISTS ( SELECT FROM post_nlp_features AS o WHERE o.post_id = input.id "
        "AND (o.title, o.label, o.words) IS NOT DISTINCT FROM (input.title, input.label, input.words) ) "
        "ON CONFLICT (post_id) DO UPDATE SET title = EXCLUDED.title, label = EXCLUDED.label, words = EXCLUDED.words"
    )


def test_a_moment_that_is_the_newest_is_stored_as_null() -> None:
    sql, _ = posts_statement([KEY, Column("seen_at", "timestamptz", "observed_at", same_as="last_polled_at")], [LABEL])
    assert "INSERT INTO posts AS p (id, seen_at)\n    SELECT id, NULLIF(seen_at, last_polled_at) FROM input" in sql
    new, old = (f"COALESCE({row}.seen_at, {row}.last_polled_at)" for row in ("EXCLUDED", "p"))
    assert (
        f"seen_at = NULLIF(CASE WHEN {Guard.NEWEST.value} THEN {new} ELSE {old} END, "
        "GREATEST(EXCLUDED.last_polled_at, p.last_polled_at))"
    ) in sql


def test_what_an_author_wrote_is_stored_only_if_it_was_observed_after_the_post_was_taken_away() -> None:
    sql, _ = posts_statement([KEY, Column("title", "text", erased="''")], [LABEL])
    assert "SELECT id, CASE WHEN last_polled_at <= erased_until THEN '' ELSE title END FROM input" in sql
    assert (
        "title = CASE WHEN GREATEST(EXCLUDED.last_polled_at, p.last_polled_at)"
        " <= GREATEST(EXCLUDED.erased_until, p.erased_until) THEN '' ELSE"
        f" CASE WHEN {Guard.NEWEST.value} THEN EXCLUDED.title ELSE p.title END END"
    ) in sql


def test_of_a_removal_the_newest_of_a_batch_counts_and_no_text_of_it() -> None:
    rows = [seen("a", 2, removed_by="moderator"), seen("a", 1, removed_by="reddit"), seen("a", 3), seen("b", 9)]
    stored = posts(rows)
    assert (stored["a"]["erased_until"].minute, stored["a"]["removed_by"]) == (2, None)
    assert stored["b"]["erased_until"] is None
    assert writer._columns(rows).removals == {"a": NOW + timedelta(minutes=1)}
    assert posts(rows[:2])["a"]["title"] == ""


def test_the_statement_for_the_history_names_each_column_where_it_belongs() -> None:
    sql, arrays = history_statement([KEY, SCORE])
    assert "INSERT INTO post_metrics_history (id, score)" in sql
    assert "SELECT * FROM unnest($1::text[], $2::int[])" in sql
    assert arrays({Guard.NEWEST: [seen("a", 0, current_score=5)]}) == [["a"], [5]]


def test_each_column_follows_the_observations_of_its_guard() -> None:
    """In the order of the statement's parameters; JSON as text, and null where no observation carried a body."""
    seen_at = Column("first_seen_at", "timestamptz", guard=Guard.FIRST)
    flair = Column("flair", "text", guard=Guard.DETAILS)
    _, arrays = posts_statement([KEY, TEXT, SCORE, seen_at, flair], [LABEL, WORDS])
    newest = [seen("a", 9, current_score=9), seen("b", 9, current_score=8)]
    first = [seen("a", 0, first_seen_at=NOW), seen("b", 0, first_seen_at=NOW + timedelta(1))]
    label, keywords = newest[0].nlp.sentiment_label, newest[0].nlp.keywords
    followed = {
        Guard.NEWEST: newest,
        Guard.DETAILS: [seen("a", 2, flair="News"), seen("b", 2, flair="Talk")],
        Guard.TEXT: [seen("a", 1, body="text"), None],
        Guard.FIRST: first,
    }
    assert arrays(followed) == [
        ["a", "b"],
        ["text", None],
        [9, 8],
        [NOW, NOW + timedelta(1)],
        ["News", "Talk"],
        [label, label],
        [json.dumps(keywords, separators=(",", ":"))] * 2,
    ]


def test_a_value_that_json_cannot_hold_is_refused_with_its_column() -> None:
    odd = seen("a", 0)
    odd = replace(odd, nlp=replace(odd.nlp, keywords=["\ud800"]))
    with pytest.raises(Invalid, match="surrogates") as refused:
        arrays_of([WORDS])({Guard.NEWEST: [odd]})
    assert refused.value.field == "words"


def violation(table: str, constraint: str | None) -> Invalid:
    cause = asyncpg.CheckViolationError("in any language")
    cause.table_name, cause.constraint_name = table, constraint
    error = Invalid("23514")
    error.__cause__ = cause
    return error


def test_only_a_row_of_the_history_without_a_partition_makes_one() -> None:
    assert writer._lacks_partition(violation("post_metrics_history", None))
    assert not writer._lacks_partition(violation("post_metrics_history", "score_is_finite"))
    assert not writer._lacks_partition(violation("posts", None))
    assert not writer._lacks_partition(Invalid("no cause"))
    other = Invalid("22003")
    other.__cause__ = asyncpg.NumericValueOutOfRangeError("too large")
    assert not writer._lacks_partition(other)


@pytest.mark.parametrize(
    ("refusal", "made"), [(violation("post_metrics_history", None), True), (Invalid("22003"), False)]
)
async def test_a_batch_that_lacks_a_partition_is_stored_once_more_when_it_is_made(
    refusal: Invalid, made: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [seen("b", 5), seen("a", 3)]
    done: list[tuple[str, Any]] = []
    refusals = iter([refusal])

    async def store(pool: Any, columns: Any, advances: Any, *_: Any) -> None:
        assert (pool, advances) == ("the pool", "the advances")
        done.append(("store", columns))
        if error := next(refusals, None):
            raise error

    async def make_partitions(pool: Any, moments: Any) -> None:
        assert pool == "the pool"
        done.append(("make", moments))

    monkeypatch.setattr(writer, "_store", store)
    monkeypatch.setattr(writer, "make_partitions_of_observations", make_partitions)
    given: Any = ("the pool", rows, "the advances")
    if made:
        await writer.write_batch(*given)
    else:
        with pytest.raises(Invalid, match="22003"):
            await writer.write_batch(*given)
    stored = ("store", writer._columns(rows))
    moments = [NOW + timedelta(minutes=3), NOW + timedelta(minutes=5)]
    assert done == ([stored, ("make", moments), stored] if made else [stored])


async def test_a_batch_without_rows_asks_the_database_only_to_advance_positions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored: list[Any] = []

    async def store(pool: Any, columns: Any, advances: Any, *_: Any) -> None:
        stored.append(advances)

    monkeypatch.setattr(writer, "_store", store)
    await writer.write_batch(POOL, [])
    assert stored == []
    some = Advances(UUID(int=7), [])
    await writer.write_batch(POOL, [], some)
    await writer.write_batch(POOL, [seen("a", 0)])
    assert stored == [some, None]


class Transaction:
    """Stands for a connection: notes, in order, the statements and what the writer's helpers are asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.is_open = False
        self.kept = {"history_from": NOW - timedelta(days=90), "now": NOW + timedelta(hours=1)}

        @asynccontextmanager
        async def opened(pool: Any) -> AsyncIterator["Transaction"]:
            assert pool == "the pool"
            self.is_open = True
            yield self
            self.is_open = False

        monkeypatch.setattr(writer, "transaction", opened)
        monkeypatch.setattr(writer, "connection", opened)
        monkeypatch.setattr(writer, "refuse_other_days", lambda *given: self.done.append(("refuse_other_days", *given)))
        for name in ("keep_erasures_out", "advance", "erase_posts_of_erased_authors", "erase_alerts_of_posts"):
            monkeypatch.setattr(writer, name, self._noting(name))

    def _noting(self, name: str) -> Any:
        async def note(storing: Any, *given: Any) -> None:
            assert (storing, self.is_open) == (self, True)
            self.done.append((name, *given))

        return note

    async def execute(self, sql: str, *given: Any) -> None:
        self.done.append((sql, *given))

    async def fetch(self, sql: str, *given: Any) -> list[Any]:
        self.done.append((sql, *given))
        return [self.kept]

    async def fetchval(self, sql: str, *given: Any) -> bool:
        self.done.append((sql, *given))
        return True

    async def write(self, storing: Any, rows: Any) -> None:
        """What rules of alerts do."""
        assert (storing, self.is_open) == (self, True)
        self.done.append(("alerts", rows))


async def test_a_transaction_does_all_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks first, in the order that other writers have; then positions, rows, and what follows from them."""
    transaction = Transaction(monkeypatch)
    some, alerts = Advances(UUID(int=7), []), transaction
    rows = [
        seen("b", 2, removed_by="reddit"),
        seen("c", 4, removed_by="request"),
        seen("a", 1, rank=Rank(post_sort="hot", listing="r/python", rank=3)),
        seen("a", 3),
    ]
    await writer.write_batch("the pool", rows, some, alerts)  # type: ignore[arg-type]
    columns = writer._columns(rows)
    moments = [NOW + timedelta(minutes=minute) for minute in (1, 3, 2, 4)]
    assert transaction.done == [
        ("keep_erasures_out",),
        ("advance", some),
        (writer.STORE_POSTS.sql, *columns.posts),
        ("erase_posts_of_erased_authors", ["a", "b", "c"], ["c"]),
        (writer._FORGET, ["b", "c"], [moments[2], moments[3]]),
        ("erase_alerts_of_posts", ["b", "c"]),
        (writer.STORE_HISTORY.sql, *columns.history),
        ("refuse_other_days", moments, transaction.kept["history_from"], transaction.kept["now"]),
        (writer.STORE_RANKS.sql, ["a"], [moments[0]], ["hot"], ["r/python"], [3]),
        ("alerts", rows),
    ]


async def test_a_transaction_asks_for_nothing_without_need(monkeypatch: pytest.MonkeyPatch) -> None:
    transaction = Transaction(monkeypatch)
    some = Advances(UUID(int=7), [])
    await writer.write_batch("the pool", [], some, transaction)  # type: ignore[arg-type]
    assert transaction.done == [("advance", some)]
    transaction.done.clear()
    rank = Rank(post_sort="hot", listing="r/python", rank=3)
    await writer.write_batch("the pool", [seen("a", 1, mode="backfill", rank=rank)])  # type: ignore[arg-type]
    assert [each[0] for each in transaction.done] == [
        "keep_erasures_out",
        writer.STORE_POSTS.sql,
        "erase_posts_of_erased_authors",
        writer.STORE_HISTORY.sql,
    ]


async def test_a_batch_whose_partition_was_made_is_stored_with_all_that_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored: list[Any] = []

    async def store(*given: Any) -> None:
        stored.append((given[0], *given[2:]))
        if len(stored) == 1:
            raise violation("post_metrics_history", None)

    async def make_partitions(*_: Any) -> None:
        pass

    monkeypatch.setattr(writer, "_store", store)
    monkeypatch.setattr(writer, "make_partitions_of_observations", make_partitions)
    rows = [seen("a", 0)]
    await writer.write_or_reject("the pool", rows, alerts="the rules")  # type: ignore[arg-type]
    assert stored == [("the pool", None, rows, "the rules")] * 2


async def test_an_observation_is_looked_for_by_its_post_and_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    transaction = Transaction(monkeypatch)
    assert await writer.is_stored("the pool", seen("a", 4)) is True  # type: ignore[arg-type]
    assert transaction.done == [(writer._IS_STORED, "a", NOW + timedelta(minutes=4))]


def test_the_statement_for_ranks_names_each_column_where_it_belongs() -> None:
    sql, arrays = ranks_statement([KEY, Column("rank", "int", "rank.rank")])
    assert sql == (
        "INSERT INTO post_ranks (id, rank) SELECT * FROM unnest($1::text[], $2::int[]) ON CONFLICT DO NOTHING"
    )
    assert arrays({Guard.NEWEST: [seen("a", 0, rank=Rank(post_sort="hot", listing="x", rank=5))]}) == [["a"], [5]]


def test_of_two_observations_of_one_moment_the_first_tells_details_and_removal() -> None:
    rows = [seen("a", 1, flair="first", removed_by="reddit"), seen("a", 1, flair="second", removed_by="moderator")]
    stored = posts(rows)["a"]
    assert (stored["flair"], stored["removed_by"]) == (None, "reddit")
    told = posts([seen("a", 1, flair="first"), seen("a", 1, flair="second")])["a"]
    assert told["flair"] == "first"
    # An observation that tells less of the post than another gives no details, however new it is.
    fed = posts([seen("a", 1, flair="known", is_self=True), seen("a", 9, flair=None, is_self=None)])["a"]
    assert fed["flair"] == "known"


def test_a_removal_that_is_seen_again_is_of_its_newest_observation() -> None:
    removals = [seen("a", minute, removed_by="author") for minute in (5, 4, 6)]
    rows = [seen("a", 3), seen("b", 1), *removals]
    stored = posts(rows)
    assert stored["a"]["erased_until"] == NOW + timedelta(minutes=6)
    assert stored["b"]["erased_until"] is None
    assert writer._columns(rows).removals == {"a": NOW + timedelta(minutes=4)}
