"""`signalflow discover` on a real database."""

import asyncio
import json
from datetime import timedelta

from typer import Typer
from typer.testing import CliRunner, Result

from signalflow.cli import discover
from signalflow.clock import utcnow
from signalflow.domain.discovery import PopularSubreddit, RisingPost
from signalflow.storage.subreddits import active_subreddits
from signalflow.storage.trending_subreddits import note_popular, note_rising
from tests.integration.storage_rows import pool_of


def run(*arguments: str) -> Result:
    app = Typer()
    discover.register(app)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result


def rise(url: str, hours_ago: float, **ranks: int) -> None:
    async def work() -> None:
        seen_at = utcnow() - timedelta(hours=hours_ago)
        posts = [RisingPost(f"p{name}", name, "hot", rank, seen_at) for name, rank in ranks.items()]
        async with await pool_of(url) as pool:
            await note_rising(pool, posts)

    asyncio.run(work())


def name_popular(url: str, *names: str) -> None:
    async def work() -> None:
        async with await pool_of(url) as pool:
            listed = [PopularSubreddit(name, rank) for rank, name in enumerate(names, 1)]
            await note_popular(pool, listed, utcnow())

    asyncio.run(work())


def watched(url: str) -> list[tuple[str, str]]:
    async def read() -> list[tuple[str, str]]:
        async with await pool_of(url) as pool:
            return [(row.name, row.changed_by or "") for row in await active_subreddits(pool)]

    return asyncio.run(read())


def test_the_strongest_are_shown_first_and_the_first_ones_are_watched_on_request(database: str) -> None:
    assert "nothing was seen yet" in run().stdout
    rise(database, 0.5, rust=1, go=2, zig=9)
    rise(database, 30, cobol=1)
    assert [item["name"] for item in json.loads(run("--json").stdout)["items"]] == ["rust", "go", "zig"]
    assert len(json.loads(run("--json", "--hours", "48").stdout)["items"]) == 4
    shown = run("--most", "1", "--add", "2").stdout
    assert "now watched: rust, go" in shown
    assert "zig" not in shown
    assert [name for name, by in watched(database) if by.startswith("cli")] == ["go", "rust"]
    answer = json.loads(run("--json", "--add", "1").stdout)
    assert ([item["name"] for item in answer["items"]], answer["added"]) == (["zig"], ["zig"])


def test_popular_subreddits_are_shown_with_their_place_and_what_is_unknown_of_them_is_unknown(database: str) -> None:
    name_popular(database, "pics", "zig")
    rise(database, 0.5, rust=1, zig=7)
    lines = [line.split() for line in run().stdout.splitlines()]
    shown = {line[0]: line[1:] for line in lines if line and line[0] in ("zig", "rust", "pics")}
    assert list(shown) == ["rust", "zig", "pics"]
    assert shown["zig"][:4] == ["1", "7", "0.33", "2"]
    assert shown["rust"][:4] == ["1", "1", "1.00", "-"]
    assert shown["pics"] == ["0", "-", "0.00", "1", "-"]
    (last,) = json.loads(run("--json").stdout)["items"][2:]
    assert (last["name"], last["best_rank"], last["last_seen_at"], last["popular_rank"]) == ("pics", None, None, 1)
