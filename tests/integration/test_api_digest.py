"""The digest of a day over HTTP and on the command line, on a real database."""

import asyncio
import json
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from signalflow.cli import digest as digest_command
from signalflow.clock import utcnow
from signalflow.storage.erasure import erase_post
from signalflow.storage.pool import Pool
from signalflow.storage.writer import write_batch
from tests.integration.signal_rows import minutes, signal, store_signals, viral
from tests.integration.storage_rows import NOON, features, observation

MIDNIGHT = NOON.replace(hour=0)
YESTERDAY = NOON.date()


async def store_a_day(pool: Pool) -> None:
    """Two posts of yesterday, one of the day before, and signals of both days."""
    await write_batch(
        pool,
        [
            observation("first", created_utc=MIDNIGHT, title="Asyncio", current_score=7, current_comments=70,
                        nlp=features(0.5, "asyncio")),
            observation("last", created_utc=MIDNIGHT + timedelta(days=1) - minutes(1), title="Rust", current_score=900,
                        subreddit="rust", nlp=features(0, "rust")),
            observation("before", created_utc=MIDNIGHT - minutes(1), title="Old", nlp=features(0, "asyncio")),
        ],
    )  # fmt: skip
    await store_signals(
        pool,
        viral("last", observed=900.0),
        signal("unusual_here-last", subject_kind="post", subject="last", strength=9.0),
        *(signal(f"busy{number}", subject=f"s{number}", strength=number) for number in range(6)),
        viral("before", started_at=MIDNIGHT - minutes(1)),
    )


async def digest_of(client: httpx.AsyncClient, **parameters: Any) -> dict[str, Any]:
    answer = await client.get("/api/digest/", params=parameters)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_the_digest_of_yesterday_tells_of_that_day_alone(pool: Pool, client: httpx.AsyncClient) -> None:
    await store_a_day(pool)
    told = await digest_of(client)
    assert (told["day"], told["posts"], told["posts_before"]) == (str(YESTERDAY), 2, 1)
    assert told["signals"] == {"viral": 1, "unusual_here": 7, "burst": 0}
    assert [post["id"] for post in told["most_upvoted"]] == ["last", "first"]
    assert [post["id"] for post in told["most_commented"]] == ["first", "last"]
    assert told["subreddits"] == [
        {"subreddit": "python", "posts": 1, "posts_before": 1},
        {"subreddit": "rust", "posts": 1, "posts_before": 0},
    ]
    assert {one["keyword"]: (one["posts"], one["posts_before"]) for one in told["keywords"]} == {
        "asyncio": (1, 1),
        "rust": (1, 0),
    }
    assert await digest_of(client, day=str(YESTERDAY)) == told


async def test_a_subject_stands_out_once_and_of_each_kind_the_strongest(pool: Pool, client: httpx.AsyncClient) -> None:
    await store_a_day(pool)
    told = (await digest_of(client))["strongest"]
    # The post is told as one that takes off, and not as unusual too.
    assert [one["id"] for one in told] == ["busy5", "busy4", "busy3", "busy2", "busy1", "viral-last"]
    assert told[-1]["keywords"] == ["rust"]
    assert "a post about rust with 900 points" in told[-1]["sentence"]


@pytest.mark.parametrize("day", ["tomorrow", "9999-01-01", "1970-01-01", str(utcnow().date() + timedelta(days=2))])
async def test_a_day_that_has_not_begun_or_is_none_is_refused(client: httpx.AsyncClient, day: str) -> None:
    answer = await client.get("/api/digest/", params={"day": day})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "day"


async def test_the_page_to_pass_on_is_a_file(pool: Pool, client: httpx.AsyncClient) -> None:
    await store_a_day(pool)
    answer = await client.get("/api/digest/page/", params={"day": str(YESTERDAY)})
    assert answer.headers["content-disposition"] == f'attachment; filename="digest-{YESTERDAY}.html"'
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<a href="https://www.reddit.com/r/python/comments/first/">Asyncio</a>' in answer.text


async def test_what_was_erased_is_not_in_the_digest(pool: Pool, client: httpx.AsyncClient) -> None:
    await store_a_day(pool)
    await erase_post(pool, "last", who="test")
    told = await digest_of(client, day=str(YESTERDAY))
    assert "rust" not in json.dumps([told["strongest"], told["keywords"]]).lower()
    assert told["most_upvoted"][0]["title"] == ""


def run(database_url: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setenv("SIGNALFLOW_DATABASE_URL", database_url)
    app = Typer()
    digest_command.register(app)
    return CliRunner().invoke(app, list(arguments))


async def test_the_command_prints_writes_a_page_and_names_what_mail_needs(
    pool: Pool, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await store_a_day(pool)

    async def ran(*arguments: str) -> Result:
        return await asyncio.to_thread(run, database_url, monkeypatch, *arguments)

    printed = await ran()
    assert printed.exit_code == 0, printed.output
    assert "2 posts by 1 author (UTC), 100 % more than the day before." in printed.output
    page = tmp_path / "digest.html"
    told = await ran(str(YESTERDAY), "--json", "--html", str(page))
    assert json.loads(told.stdout)["posts"] == 2
    assert "<h2>Highest scores</h2>" in page.read_text()
    assert (await ran("--mail", "you@example.org")).exit_code == 2
    assert (await ran("someday")).exit_code == 2
    assert (await ran(str(utcnow().astimezone(UTC).date() + timedelta(days=1)))).exit_code == 2
