"""Coverage over HTTP and on the command line: from the polls, the gap ledger and the posts of a real database."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from signalflow.cli import coverage
from signalflow.domain.gaps import Outcome
from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.storage.gaps import GapKind, close_gap, open_gap
from signalflow.storage.overview import first_open_gaps
from signalflow.storage.pool import Pool
from signalflow.storage.subreddit_changes import Change, change_subreddits
from signalflow.storage.subreddits import load_defaults, mark_polled, mark_state
from tests.integration.posts_api import api_of, store
from tests.integration.storage_rows import NOON, pool_of

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
WINDOW = {"created_from": (NOON - 2 * HOUR).isoformat(), "created_to": (NOON + HOUR).isoformat()}


async def polled(pool: Pool, *names: str, since: datetime = NOON - 3 * HOUR, until: datetime = NOON + 2 * HOUR) -> None:
    await load_defaults(pool, [WatchedSubreddit(name, 60, "fast") for name in names])
    for at in (since, until):
        await mark_polled(pool, dict.fromkeys(names, at))


async def gap(
    pool: Pool, name: str, since: datetime, until: datetime | None, outcome: Outcome | None, kind: GapKind = "posts"
) -> int:
    number = await open_gap(
        pool, subreddits=[name.lower()], anchor_ids=[], since=since, after=None, opened_at=since, until=until, kind=kind
    )
    if outcome is not None:
        await close_gap(pool, number, outcome, until)
    return number


async def answer_of(url: str, **parameters: Any) -> dict[str, Any]:
    async with api_of(url) as client:
        answer = await client.get("/api/coverage/", params=WINDOW | parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_each_hour_says_what_is_covered_missing_and_unknown_and_how_many_posts_were_found(
    database_url: str,
) -> None:
    async with await pool_of(database_url) as pool:
        await polled(pool, "Python", since=NOON - 1.5 * HOUR)
        number = await gap(pool, "python", NOON - 30 * MINUTE, NOON - 15 * MINUTE - timedelta(seconds=1), "given_up")
        # They lose no post: one was read to its end, one is read by its parts, one lacks comments.
        await gap(pool, "python", NOON, NOON + HOUR, "proven")
        await gap(pool, "python", NOON, NOON + HOUR, "split")
        await gap(pool, "python", NOON, NOON + HOUR, None, "comments")
    # One post a minute, but none in the gap.
    minutes = [minute for minute in range(-120, 60) if not -30 <= minute < -15]
    await store(
        database_url,
        *(
            {"id": f"p{n}", "created_utc": NOON + minute * MINUTE, "subreddit": "python"}
            for n, minute in enumerate(minutes)
        ),
    )
    found = await answer_of(database_url)
    assert [datetime.fromisoformat(at) for at in found["starts"]] == [NOON - 2 * HOUR, NOON - HOUR, NOON]
    (item,) = found["items"]
    assert (item["subreddit"], item["state"], item["paused"]) == ("Python", "unchecked", False)
    shares = [(cell["covered"], cell["missing"], cell["unknown"]) for cell in item["cells"]]
    assert shares == [(0.5, 0.0, 0.5), (0.75, 0.25, 0.0), (1.0, 0.0, 0.0)]
    assert [cell["posts"] for cell in item["cells"]] == [30, 45, 60]
    assert [cell["posts_share"] for cell in item["cells"]] == [1.0, 0.75, 1.0]
    assert item["posts_share"] == pytest.approx(135 / 150)
    ((told,)) = item["gaps"]
    assert (told["id"], told["state"]) == (number, "given_up")
    assert (datetime.fromisoformat(told["since"]), datetime.fromisoformat(told["until"])) == (
        NOON - 30 * MINUTE,
        NOON - 15 * MINUTE,
    )


async def test_days_are_told_as_a_whole(database_url: str) -> None:
    async with await pool_of(database_url) as pool:
        await polled(pool, "python", since=NOON - 6 * HOUR, until=NOON + 24 * HOUR)
        await gap(pool, "python", NOON, NOON + 6 * HOUR, "unreachable")
    found = await answer_of(database_url, step="day", created_to=(NOON + 12 * HOUR).isoformat())
    (cell,) = found["items"][0]["cells"]
    assert (cell["covered"], cell["missing"], cell["unknown"]) == pytest.approx((0.5, 0.25, 0.25), abs=1e-3)


async def test_what_nobody_knows_is_not_called_covered(database_url: str) -> None:
    async with await pool_of(database_url) as pool:
        await load_defaults(pool, [WatchedSubreddit("never", 60, "fast")])
        await polled(pool, "private")
        await mark_state(pool, "private", "private", NOON - HOUR)
        await polled(pool, "paused", until=NOON)
        await change_subreddits(pool, ["paused"], Change(paused=True), by="ann", now=NOON)
        await gap(pool, "open", NOON - HOUR, None, None)
        await polled(pool, "open")
    items = {item["subreddit"]: item for item in (await answer_of(database_url))["items"]}
    unknown = {name: [round(cell["unknown"], 2) for cell in item["cells"]] for name, item in items.items()}
    assert unknown == {
        "never": [1, 1, 1],
        "private": [0, 1, 1],
        "paused": [0, pytest.approx(0.03), 1],
        "open": [0, 0, 0],
    }
    assert items["paused"]["paused"] is True
    assert items["never"]["posts_share"] is None
    assert [cell["missing"] for cell in items["open"]["cells"]] == [0, 1, 1]
    assert items["open"]["gaps"][0]["state"] == "open"


@pytest.mark.parametrize(
    ("until", "outcome", "covered"),
    [
        (None, None, [0, 0, 1]),
        (NOON - 30 * MINUTE, None, [0, 0.5, 1]),
        (NOON - 30 * MINUTE, "given_up", [0, 0.5, 1]),
        (NOON - 3 * HOUR, "proven", [1, 1, 1]),
    ],
    ids=["nothing was read yet", "half an hour was read", "the listing ended", "all was read"],
)
async def test_a_first_look_back_covers_what_was_read_and_loses_nothing(
    database_url: str, until: datetime | None, outcome: Outcome | None, covered: list[float]
) -> None:
    async with await pool_of(database_url) as pool:
        await polled(pool, "Python", since=NOON)
        await gap(pool, "python", NOON - 2 * HOUR, until, outcome, "first_look")
        assert await first_open_gaps(pool, 9) == (0, []), "it is no gap of polling"
    (item,) = (await answer_of(database_url))["items"]
    assert [cell["covered"] for cell in item["cells"]] == pytest.approx(covered, abs=1e-3)
    assert [cell["missing"] for cell in item["cells"]] == [0, 0, 0]
    assert item["gaps"] == []


async def test_subreddits_are_filtered_in_any_case_and_an_hour_is_too_fine_for_a_month(database_url: str) -> None:
    async with await pool_of(database_url) as pool:
        await polled(pool, "Python", "rust", "funny")
    found = await answer_of(database_url, subreddit=["PYTHON", "rust"])
    assert [item["subreddit"] for item in found["items"]] == ["Python", "rust"]
    long = {"created_from": (NOON - timedelta(days=20)).isoformat(), "created_to": NOON.isoformat()}
    async with api_of(database_url) as client:
        refused = await client.get("/api/coverage/", params=long)
        allowed = await client.get("/api/coverage/", params=long | {"step": "day"})
        future = await client.get(
            "/api/coverage/", params={"created_from": "2100-01-01T00:00:00Z", "created_to": "2100-01-02T00:00:00Z"}
        )
    assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, "step")
    assert (allowed.status_code, len(allowed.json()["starts"])) == (200, 21)
    assert (future.status_code, future.json()["items"]) == (200, [])


def run(*arguments: str) -> Result:
    app = Typer()
    coverage.register(app)
    return CliRunner().invoke(app, arguments)


def test_the_command_shows_each_subreddit_and_its_exit_status_says_whether_there_are_gaps(database: str) -> None:
    async def prepare(*, with_gap: bool) -> None:
        async with await pool_of(database) as pool:
            await polled(pool, "python", "rust")
            if with_gap:
                await gap(pool, "rust", NOON - 30 * MINUTE, NOON - 1 * MINUTE, "given_up")

    times = ("--since", (NOON - HOUR).isoformat(), "--until", NOON.isoformat())
    asyncio.run(prepare(with_gap=False))
    done = run(*times)
    assert done.exit_code == 0, done.output
    assert [line.split() for line in done.output.splitlines()[2:]] == [
        ["python", "100.00%", "0.00%", "0.00%", "0", "100.00%", "0"],
        ["rust", "100.00%", "0.00%", "0.00%", "0", "100.00%", "0"],
    ]
    asyncio.run(prepare(with_gap=True))
    assert run("python", *times).exit_code == 0
    done = run("--json", *times)
    assert done.exit_code == 1
    found = json.loads(done.output)
    assert [(item["subreddit"], item["missing"] > 0) for item in found["items"]] == [("python", False), ("rust", True)]
    assert len(found["starts"]) == 1
    assert run("--since", NOON.isoformat(), "--until", NOON.isoformat()).exit_code == 2
