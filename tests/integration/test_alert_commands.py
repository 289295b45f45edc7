"""`signalflow alert` on a real database: rules, targets and what was sent."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from click.testing import Result
from typer import Typer
from typer.testing import CliRunner

from signalflow.cli import alert
from signalflow.errors import Invalid
from signalflow.storage.pool import Pool
from signalflow.storage.writer import write_batch
from tests.integration.alert_history_rows import add_delivery, add_match
from tests.integration.storage_rows import observation, pool_of

HOOK = "https://example.org/hush"


def run(*arguments: str, typed: str | None = None) -> Result:
    app = Typer()
    app.callback()(lambda: None)
    alert.register(app)
    return CliRunner().invoke(app, ["alert", *arguments], input=typed)


def run_json(*arguments: str, typed: str | None = None) -> Any:
    result = run(*arguments, "--json", typed=typed)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def stored(database: str, work: Callable[[Pool], Awaitable[Any]]) -> Any:
    async def run_it() -> Any:
        async with await pool_of(database) as pool:
            return await work(pool)

    return asyncio.run(run_it())


def test_a_rule_lives_from_its_preview_to_its_removal(database: str) -> None:
    rows = [observation("a", title="Rocket \x1b[2Jlaunch"), observation("b", title="A telescope")]
    stored(database, lambda pool: write_batch(pool, rows))
    assert run("preview", "rocket").stdout.startswith("1 post and 0 comments in the last week\n")
    assert "\x1b" not in run("preview", "rocket").output
    assert [one["id"] for one in run_json("preview", "rocket")["newest"]] == ["a"]
    target = run_json("add-target", "Hook", "-", typed=f"{HOOK}\n")
    assert target["secret"].startswith("whsec_")
    rule = run_json("add", "Rockets", "rocket", "--target", "Hook")
    assert (rule["query"], rule["target_ids"]) == ("rocket", [target["target"]["id"]])
    assert rule["created_by"].startswith("cli")
    assert [one["name"] for one in run_json("rules")] == ["Rockets"]
    assert "Rockets" in run("rules").stdout
    assert run("pause", rule["id"][:8]).stdout == "Rockets is paused\n"
    assert "paused since" in run("show", "Rockets").stdout
    assert run("resume", "Rockets").stdout == "Rockets goes on\n"
    shown = run_json("show", "Rockets")
    assert (shown["targets"], shown["paused_at"], shown["matches"]) == (["Hook"], None, [])
    assert run("remove", "Rockets").stdout == "removed Rockets\n"
    assert run("rules").stdout == "no rules\n"


@pytest.mark.usefixtures("database")
def test_targets_tell_what_is_secret_once_and_keep_it_to_themselves_then() -> None:
    secret = run_json("add-target", "Hook", HOOK)["secret"]
    link = run_json("add-target", "News", "--shape", "feed")["link"]
    assert link.startswith("http://127.0.0.1:8000/api/alerts/feeds/")
    listed = run("targets").stdout + run("targets", "--json").stdout
    assert "https://example.org" in listed
    assert not any(hidden in listed for hidden in ("hush", secret, link))
    rotated = run_json("rotate", "Hook")
    assert rotated["secret"] not in (None, secret)
    assert rotated["target"]["secret_before_until"] is not None
    assert run_json("rotate", "News")["link"] != link
    assert run("enable", "Hook").stdout == "Hook is enabled\n"
    assert run("remove-target", "Hook").stdout == "removed Hook\n"
    assert [one["name"] for one in run_json("targets")] == ["News"]


@pytest.mark.usefixtures("database")
def test_what_cannot_be_is_refused_with_its_status() -> None:
    wrong = run("add", "Rockets", "mars (moon")
    assert (wrong.exit_code, wrong.stderr.splitlines()[1:]) == (2, ["mars (moon", " " * 10 + "^"])
    assert run("preview", "score>many").exit_code == 2
    url = run("add-target", "Hook", "ftp://hush.example")
    assert (url.exit_code, "hush" in url.output) == (2, False)
    for arguments in (
        ["add", "x" * 101, "mars"],
        ["add-target", " ", HOOK],
        ["show", "nobody"],
        ["pause", "nobody"],
        ["rotate", "nobody"],
        ["add", "x", "y", "--target", "z"],
    ):
        result = run(*arguments)
        assert (result.exit_code, isinstance(result.exception, Invalid)) == (1, True), arguments
    run_json("add", "Twice", "mars")
    run_json("add", "Twice", "moon")
    assert "give the id" in str(run("pause", "Twice").exception)


def test_history_shows_what_was_sent_and_redeliver_sends_it_again(database: str) -> None:
    rule, target = run_json("add", "Rockets", "rocket"), run_json("add-target", "Hook", HOOK)["target"]

    async def work(pool: Pool) -> UUID:
        match = await add_match(pool, rule["id"], "a")
        tries = (("give_up", 400, "the target answered 400 Bad Request", "\x1b[2Jno"),)
        return await add_delivery(pool, match, target["id"], "given_up", answers=tries)

    delivery = stored(database, work)
    shown = run("history", "--rule", "Rockets", "--target", "Hook", "--state", "given_up").stdout
    assert "400 the target answered 400 Bad Request" in shown
    assert "Rocket <b>a</b>" in shown
    assert run_json("history")[0]["attempts"][0]["answer"] == "\x1b[2Jno"
    assert run("redeliver", str(delivery)).stdout == f"{delivery} waits again\n"
    assert [one["state"] for one in run_json("history")] == ["waiting"]
    assert "it waits already" in str(run("redeliver", str(delivery)).exception)
    assert run("show", "Rockets").stdout.count("post a: Rocket <b>a</b>") == 1
