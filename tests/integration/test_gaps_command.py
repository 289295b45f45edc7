"""`signalflow gaps` on a real database."""

import asyncio
import json
from datetime import UTC, datetime

from typer import Typer
from typer.testing import CliRunner, Result

from signalflow.cli import gaps
from signalflow.storage.gaps import close_gap, open_gap
from tests.integration.storage_rows import pool_of

SINCE = datetime(2026, 1, 1, 12, tzinfo=UTC)


def run(*arguments: str) -> Result:
    app = Typer()
    gaps.register(app)
    return CliRunner().invoke(app, arguments)


def opened(url: str, *names: str) -> int:
    async def work() -> int:
        async with await pool_of(url) as pool:
            return await open_gap(pool, subreddits=names, anchor_ids=["a"], since=SINCE, after=None, opened_at=SINCE)

    return asyncio.run(work())


def closed(url: str, number: int) -> None:
    async def work() -> None:
        async with await pool_of(url) as pool:
            await close_gap(pool, number, "proven")

    asyncio.run(work())


def test_open_gaps_are_shown_and_counted_and_the_exit_status_says_whether_there_are_any(database: str) -> None:
    done = run()
    assert (done.exit_code, done.output) == (0, "no gap is open\n")
    first, second = opened(database, "python", "funny"), opened(database, "askreddit")
    done = run()
    assert done.exit_code == 1
    assert f"{first}: r/python+funny, posts since 2026-01-01 12:00:00 UTC" in done.output
    assert done.output.endswith("2 gaps are open\n")
    found = json.loads(run("--json", "--most", "1").output)
    assert (found["open"], [gap["id"] for gap in found["items"]]) == (2, [first])
    closed(database, first)
    assert [gap["id"] for gap in json.loads(run("--json").output)["items"]] == [second]
