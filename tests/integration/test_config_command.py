"""`signalflow config` on a real database: what an operator types, and what the poller then reads."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from signalflow.cli import config
from signalflow.errors import Invalid, SignalflowError
from signalflow.settings import Settings, get_settings
from signalflow.storage.pool import create_pool
from signalflow.storage.subreddits import SubredditRow, active_subreddits


def run(*arguments: str) -> Result:
    app = Typer()
    app.callback()(lambda: None)
    config.register(app)
    return CliRunner().invoke(app, ["config", *arguments])


def run_json(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A database, in the environment in which the commands run."""
    monkeypatch.setenv("SIGNALFLOW_DATABASE_URL", database_url)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def polled() -> dict[str, SubredditRow]:
    """What the poller would read now, by name."""

    async def read() -> list[SubredditRow]:
        pool = await create_pool(Settings(), application_name="test")
        try:
            return await active_subreddits(pool)
        finally:
            await pool.close()

    return {row.name: row for row in asyncio.run(read())}


@pytest.mark.usefixtures("database")
def test_loading_the_defaults_again_undoes_no_decision_of_the_operator() -> None:
    assert run_json("load") == {"added": 115, "kept": 0}
    assert len(polled()) == 115
    assert run_json("remove", "python", "funny") == {"removed": ["python", "funny"]}
    assert [row["name"] for row in run_json("priority", "r/programming", "slow")] == ["programming"]
    assert run_json("load") == {"added": 0, "kept": 115}
    active = polled()
    assert len(active) == 113
    assert (active["programming"].priority, active["programming"].interval_seconds) == ("slow", 600)


@pytest.mark.usefixtures("database")
def test_a_paused_subreddit_is_not_polled_until_it_is_resumed() -> None:
    run_json("add", "python", "--tier", "fast", "--interval", "30")
    paused = run_json("pause", "Python")
    assert [(row["name"], row["paused"]) for row in paused] == [("python", True)]
    assert paused[0]["changed_by"].startswith("cli")
    assert polled() == {}
    assert [(row["name"], row["paused"]) for row in run_json("list")] == [("python", True)]
    assert "paused" in run("list").stdout
    run_json("resume", "python")
    assert polled()["python"].interval_seconds == 30


@pytest.mark.usefixtures("database")
def test_comments_of_a_subreddit_are_followed_until_that_is_switched_off() -> None:
    run_json("add", "python", "rust", "--tier", "fast")
    assert [row["comments"] for row in run_json("comments", "Python")] == [True]
    assert {row["name"]: row["comments"] for row in run_json("list")} == {"python": True, "rust": False}
    assert polled()["python"].to_poll.comments
    run_json("pause", "python")
    run_json("priority", "python", "slow")
    assert {row["name"]: row["comments"] for row in run_json("list")} == {"python": True, "rust": False}
    assert run("comments", "python", "--off").stdout == "python: paused, slow, every 600 s\n"
    assert {row["name"]: row["comments"] for row in run_json("list")} == {"python": False, "rust": False}


@pytest.mark.usefixtures("database")
def test_the_listings_of_a_subreddit_are_those_that_were_chosen_last_and_new() -> None:
    run_json("add", "python", "rust", "--tier", "fast")
    assert [row["post_sort"] for row in run_json("sorts", "Python", "top", "hot")] == [["new", "hot", "top:day"]]
    run_json("pause", "python")
    run_json("resume", "python")
    assert {row["name"]: row["post_sort"] for row in run_json("list")} == {
        "python": ["new", "hot", "top:day"], "rust": ["new"],
    }  # fmt: skip
    assert polled()["python"].to_poll.post_sorts == ("new", "hot", "top:day")
    assert run("sorts", "python", "rising").stdout == "python: fast, every 60 s, by new, rising\n"
    assert run("sorts", "python", "new").stdout == "python: fast, every 60 s\n"
    assert "best" in run("sorts", "python", "best").stderr


@pytest.mark.usefixtures("database")
def test_a_removed_subreddit_comes_back_when_it_is_added() -> None:
    run_json("add", "python")
    run_json("remove", "python")
    assert run_json("list") == []
    assert run_json("add", "/r/python", "https://www.reddit.com/r/rust/")[0]["interval_seconds"] == 180
    assert list(polled()) == ["python", "rust"]


@pytest.mark.usefixtures("database")
def test_a_file_of_ones_own_is_loaded_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("name,interval_seconds,priority\npython,60,fast\ngo,soon,fast\n")
    result = run("load", str(path))
    assert isinstance(result.exception, Invalid)
    assert "line 3, interval_seconds" in str(result.exception)
    assert polled() == {}
    path.write_text("name,interval_seconds,priority\npython,60,fast\n")
    assert run_json("load", str(path)) == {"added": 1, "kept": 0}


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("command", [["pause"], ["resume"], ["remove"], ["priority"], ["tier"]])
def test_a_subreddit_that_is_not_configured_is_named(command: list[str]) -> None:
    result = run(*command, "nosuch", *(["fast"] if command in (["priority"], ["tier"]) else []))
    assert result.exit_code == 1
    assert isinstance(result.exception, SignalflowError)
    assert "'nosuch' is not configured" in str(result.exception)
