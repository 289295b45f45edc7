"""What the writer decides before it asks the database: order, merging, history, and the search for refused rows."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from signalflow.errors import Invalid, Retryable
from signalflow.events import Enriched
from signalflow.storage import writer
from signalflow.storage.columns import FEATURES, HISTORY, POSTS
from signalflow.storage.writer import write_or_reject
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
        monkeypatch.setattr(writer, "write_batch", self.write)

    async def write(self, pool: Any, rows: Sequence[Enriched], advances: Any) -> None:
        assert pool == "the pool"
        ids = [each.id for each in rows]
        self.tried.append(ids)
        if set(ids) & self.refused:
            raise Invalid(f"refused: {sorted(set(ids) & self.refused)}")
        self.stored += ids


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
    async def away(pool: Any, rows: Sequence[Enriched], advances: Any) -> None:
        raise Retryable("away")

    monkeypatch.setattr(writer, "write_batch", away)
    with pytest.raises(Retryable):
        await write_or_reject(POOL, [row("a"), row("b")])


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


def test_the_history_has_every_observation_in_log_order_and_none_of_a_backfill() -> None:
    rows = [seen("b", 2, current_score=2), seen("a", 9, current_score=9), seen("b", 1, current_score=1),
            seen("a", 3, current_score=3, mode="backfill")]  # fmt: skip
    assert history(rows) == [("a", 9), ("b", 2), ("b", 1)]
    assert posts(rows).keys() == {"a", "b"}, "a backfilled post is stored"


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
