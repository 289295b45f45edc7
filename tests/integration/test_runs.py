"""The run history: written by workers, kept for days, shown by API and command, on a real database."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, TypeVar
from uuid import UUID

import httpx
import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from agents import jobs, runs
from agents.runs import recorded, write_book
from signalflow.cli import runs as runs_command
from signalflow.clock import steady
from signalflow.domain.run_history import RunBook
from signalflow.domain.words import RunKind
from signalflow.errors import Retryable
from signalflow.settings import Settings
from signalflow.storage.pool import Pool
from signalflow.storage.runs import forget_runs, write_runs
from tests.integration.storage_rows import contents, pool_of
from tests.integration.test_storage_jobs import Timers

T = TypeVar("T")
SECOND = timedelta(seconds=1)


def ago(seconds: float) -> float:
    return steady() - seconds


async def told(pool: Pool, book: RunBook, worker: str = "worker-1") -> None:
    await write_book(book, pool, worker)


def ended(book: RunBook, kind: RunKind, began: float, took: float = 1.0, **counts: int) -> UUID:
    run = book.begin(kind, ago(began), "python" if kind == "first_look" else "")
    for name, number in counts.items():
        setattr(run, name, number)
    book.end(run, "partly" if run.errors else "ok", ago(began - took))
    return run.id


async def listed(client: httpx.AsyncClient, **parameters: Any) -> dict[str, Any]:
    answer = await client.get("/api/runs/", params=parameters)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def test_a_run_is_a_row_from_its_beginning_and_has_its_end_once_it_is_told(
    pool: Pool, client: httpx.AsyncClient
) -> None:
    book = RunBook()
    run = book.begin("polling", ago(90), "")
    run.requests, run.posts, run.new, run.gaps, run.errors = 3, 5, 2, 1, 1
    run.uses.update({"listing": 2, "refresh": 1})
    await told(pool, book)
    (item,) = (await listed(client))["items"]
    started = datetime.fromisoformat(item.pop("started_at"))
    assert abs(datetime.now(UTC) - started - 90 * SECOND) < 10 * SECOND
    assert datetime.now(UTC) - datetime.fromisoformat(item.pop("told_at")) < 10 * SECOND
    assert item == {
        "id": str(run.id), "kind": "polling", "subject": "", "worker": "worker-1", "ended_at": None,
        "outcome": "running", "requests": 3, "posts": 5, "comments": 0, "new": 2, "gaps": 1, "errors": 1,
        "uses": {"listing": 2, "refresh": 1}, "error": None,
    }  # fmt: skip
    run.comments = 4
    book.end(run, "partly", ago(30))
    await told(pool, book)
    await told(pool, book)
    (item,) = (await listed(client))["items"]
    assert datetime.fromisoformat(item["started_at"]) == started
    assert abs(datetime.fromisoformat(item["ended_at"]) - started - 60 * SECOND) < 5 * SECOND
    assert (item["outcome"], item["comments"]) == ("partly", 4)


async def test_an_end_is_never_taken_back_or_before_its_beginning(pool: Pool) -> None:
    book = RunBook()
    run = book.begin("rollup", steady())
    late = book.reports(steady())
    await told(pool, book)
    # As if the first write had been slow on its way: its row begins later than the run did.
    await pool.execute("UPDATE runs SET started_at = started_at + interval '3 s'")
    book.end(run, "ok", steady())
    await told(pool, book)
    await write_runs(pool, "worker-1", late)
    (row,) = await contents(pool, "runs")
    assert (row["outcome"], row["ended_at"]) == ("ok", row["started_at"])


async def test_a_run_whose_worker_is_gone_is_silent_and_no_longer_running(
    pool: Pool, client: httpx.AsyncClient
) -> None:
    book = RunBook()
    book.begin("polling", ago(70))
    finished = ended(book, "rollup", 65)
    await told(pool, book)
    await pool.execute("UPDATE runs SET told_at = told_at - interval '61 s'")
    of_next_leader = RunBook()
    of_next_leader.begin("polling", ago(2))
    await told(pool, of_next_leader, "worker-2")
    shown = [(item["worker"], item["kind"], item["outcome"]) for item in (await listed(client))["items"]]
    assert shown == [
        ("worker-2", "polling", "running"),
        ("worker-1", "rollup", "ok"),
        ("worker-1", "polling", "silent"),
    ]
    assert [item["outcome"] for item in (await listed(client, outcome=["silent", "running"]))["items"]] == [
        "running",
        "silent",
    ]
    assert [item["id"] for item in (await listed(client, outcome="ok"))["items"]] == [str(finished)]


async def test_pages_walk_through_the_history_and_filters_hold_for_all_of_them(
    pool: Pool, client: httpx.AsyncClient
) -> None:
    book = RunBook()
    polling = [str(ended(book, "polling", 10.0 * number + 5, errors=number % 2)) for number in range(7)]
    other = str(ended(book, "first_look", 22))
    await told(pool, book)
    walked: list[str] = []
    page = await listed(client, kind="polling", page_size=3)
    while True:
        walked += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        # What begins meanwhile moves no page.
        ended(book, "polling", 1)
        await told(pool, book)
        page = await listed(client, kind="polling", page_size=3, cursor=page["next"])
    assert walked == polling
    everything = await listed(client, kind=["first_look", "polling"], page_size=200)
    assert other in [item["id"] for item in everything["items"]]
    at = {item["id"]: item["started_at"] for item in everything["items"]}
    between = await listed(client, since=at[polling[3]], until=at[polling[1]])
    assert [item["id"] for item in between["items"]] == [other, polling[2], polling[3]]
    errors = await listed(client, kind="polling", outcome="partly")
    assert [item["id"] for item in errors["items"]] == polling[1::2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "nothing"},
        {"outcome": "fine"},
        {"page_size": 0},
        {"since": "yesterday"},
        {"cursor": "abc"},
        {"of": "x"},
    ],
)
async def test_what_is_no_parameter_or_value_is_refused(client: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    answer = await client.get("/api/runs/", params=wrong)
    assert answer.status_code == 422
    assert next(iter(wrong)) in answer.text


async def test_a_cursor_of_other_filters_is_refused(pool: Pool, client: httpx.AsyncClient) -> None:
    book = RunBook()
    for number in range(3):
        ended(book, "polling", 5 + number)
    await told(pool, book)
    cursor = (await listed(client, page_size=1))["next"]
    assert len((await listed(client, page_size=2, cursor=cursor))["items"]) == 2
    answer = await client.get("/api/runs/", params={"kind": "polling", "cursor": cursor})
    assert answer.status_code == 422


@pytest.mark.by_mode
async def test_each_job_of_the_leader_is_a_run_and_retention_removes_old_runs(pool: Pool) -> None:
    old, book = RunBook(), RunBook()
    ended(old, "polling", 15 * 86_400.0)
    kept = ended(old, "polling", 13 * 86_400.0)
    await told(pool, old)
    timers = Timers()
    jobs.register(timers, Settings(), lambda: SimpleNamespace(pool=pool), book)  # type: ignore[arg-type]
    for tick in timers.by_name.values():
        await tick()
    await told(pool, book)
    rows = {row["kind"]: row for row in await contents(pool, "runs")}
    of_jobs = {"partitions", "rollup", "erasure", "trending", "retention", "resolved_letters", "compression"}
    assert set(rows) == {"polling"} | of_jobs
    assert rows["polling"]["id"] == kept
    assert {row["outcome"] for row in rows.values()} == {"ok"}
    await forget_runs(pool, 1)
    assert "polling" not in {row["kind"] for row in await contents(pool, "runs")}


async def test_a_job_that_fails_says_why_without_what_a_row_holds(pool: Pool) -> None:
    book = RunBook()

    async def run(kind: RunKind, error: BaseException) -> None:
        @recorded(book, kind)
        async def job() -> None:
            raise error

        with pytest.raises(type(error)):
            await job()

    await run("rollup", Retryable("the database is away"))
    await run("retention", ValueError("a title"))
    await run("erasure", asyncio.CancelledError())
    await told(pool, book)
    rows = {row["kind"]: (row["outcome"], row["error"]) for row in await contents(pool, "runs")}
    assert rows == {
        "rollup": ("failed", "Retryable: the database is away"),
        "retention": ("failed", "ValueError"),
        "erasure": ("stopped", None),
    }


async def test_what_happens_while_the_database_is_away_is_told_afterwards(database_url: str) -> None:
    book = RunBook()
    ended(book, "rollup", 100, took=10)
    async with await pool_of("postgresql://signalflow@127.0.0.1:1/none", timeout=1) as away:
        with pytest.raises(Retryable):
            await told(away, book)
        await runs.write_last(book, away, "worker-1")
    async with await pool_of(database_url) as pool:
        await told(pool, book)
        (row,) = await contents(pool, "runs")
    assert row["ended_at"] - row["started_at"] == pytest.approx(10 * SECOND, abs=SECOND)


def signalflow(*arguments: str) -> Result:
    app = Typer()
    runs_command.register(app)
    return CliRunner().invoke(app, arguments)


def within(url: str, work: Callable[[Pool], Awaitable[T]]) -> T:
    async def run() -> T:
        async with await pool_of(url) as pool:
            return await work(pool)

    return asyncio.run(run())


def test_the_command_shows_the_newest_runs_and_takes_the_filters_of_the_api(database: str) -> None:
    assert (signalflow().exit_code, signalflow().output) == (0, "no run: a worker writes them while it runs\n")
    book = RunBook()
    ended(book, "polling", 61, took=60, requests=42, posts=99, new=7, errors=1)
    ended(book, "first_look", 30, took=10)
    within(database, lambda pool: told(pool, book))
    first, second = signalflow().output.splitlines()[1:]
    assert ("first_look" in first, "10.0 s" in first, first.rstrip().endswith("python")) == (True, True, True)
    assert second.split()[2:] == ["polling", "partly", "60.0", "s", "42", "99", "0", "7", "0", "1"]
    (only,) = json.loads(signalflow("--json", "--outcome", "partly", "--kind", "polling").output)["items"]
    assert (only["kind"], only["requests"]) == ("polling", 42)
    assert (
        json.loads(signalflow("--json", "--since", only["started_at"], "--most", "1").output)["items"][0]["kind"]
        == "first_look"
    )
    refused = signalflow("--kind", "nothing")
    assert (refused.exit_code, "is not one of polling" in refused.output) == (2, True)
