"""Dead letters that were resolved long ago are deleted, and no others."""

from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest

from agents import jobs
from signalflow.domain.run_history import RunBook
from signalflow.settings import Settings
from signalflow.storage import letter_retention
from signalflow.storage.dead_letters import store_letters
from signalflow.storage.letter_retention import forget_resolved
from signalflow.storage.partitions import database_time
from signalflow.storage.pool import Pool
from tests.integration.test_api_dlq import letter
from tests.integration.test_storage_jobs import Timers


async def stored(pool: Pool, states: list[tuple[str, int | None]]) -> list[int]:
    """Dead letters with these states, each resolved so many days ago; returns their ids."""
    await store_letters(pool, [letter("raw", number) for number in range(len(states))])
    ids = [id for (id,) in await pool.fetch("SELECT id FROM dlq_events ORDER BY id")]
    for id, (state, days) in zip(ids, states, strict=True):
        await pool.execute(
            "UPDATE dlq_events SET state = $2, resolved_at = now() - $3 * interval '1 day' WHERE id = $1",
            id, state, days,
        )  # fmt: skip
    return ids


async def chained(pool: Pool, *ids: int) -> None:
    """Let each of these letters be the next one of the letter before it."""
    for previous, id in pairwise(ids):
        await pool.execute("UPDATE dlq_events SET previous_id = $2 WHERE id = $1", id, previous)


async def left(pool: Pool) -> list[int]:
    return [id for (id,) in await pool.fetch("SELECT id FROM dlq_events ORDER BY id")]


async def test_only_letters_that_were_resolved_before_are_deleted(pool: Pool) -> None:
    _, young, dead, sent = await stored(pool, [("resolved", 91), ("resolved", 89), ("dead", None), ("replayed", None)])
    before = await database_time(pool) - timedelta(days=90)
    assert await forget_resolved(pool, before) == 1
    assert await left(pool) == [young, dead, sent]


async def test_all_letters_of_a_record_go_with_the_last_one_and_stay_with_it(pool: Pool) -> None:
    """The first record failed twice and went through long ago; the second, given up long ago, failed once more."""
    first, again, done, given_up, open_again = await stored(
        pool, [("replayed", None), ("replayed", None), ("resolved", 100), ("resolved", 100), ("dead", None)]
    )
    await chained(pool, first, again, done)
    await chained(pool, given_up, open_again)
    assert await forget_resolved(pool, await database_time(pool) - timedelta(days=90)) == 3
    assert await left(pool) == [given_up, open_again]


async def test_more_letters_than_one_statement_takes_are_deleted(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letter_retention, "LETTERS_AT_ONCE", 3)
    await stored(pool, [("resolved", 100)] * 7 + [("dead", None)])
    assert await forget_resolved(pool, await database_time(pool) - timedelta(days=90)) == 7
    assert len(await left(pool)) == 1


async def test_the_leader_deletes_them_as_the_setting_says(pool: Pool) -> None:
    timers = Timers()
    jobs.register(timers, Settings(dlq_resolved_days=30), lambda: SimpleNamespace(pool=pool), RunBook())  # type: ignore[arg-type]
    _, young = await stored(pool, [("resolved", 31), ("resolved", 29)])
    await timers.by_name["resolved_letters"]()
    assert await left(pool) == [young]
