"""What `signalflow fetch post` tells of the results of its run."""

import json

import pytest
from typer import Typer
from typer.testing import CliRunner

from signalflow.cli import fetch
from signalflow.domain.post_run import PostResult


def output(monkeypatch: pytest.MonkeyPatch, results: dict[str, PostResult], *options: str) -> tuple[int, str]:
    """Exit status and output of the command when its run has these results."""

    async def run(posts: list[str], comments: int, wait: int) -> dict[str, PostResult]:
        return results

    monkeypatch.setattr(fetch, "_run", run)
    app = Typer()
    fetch.register(app)
    app.callback()(lambda: None)
    done = CliRunner().invoke(app, ["fetch", "post", *results, *options])
    return done.exit_code, done.stdout


READ, OF_A_FEED = PostResult(3, 1, 0, 7), PostResult(2, 0, 0, None)


def test_numbers_of_all_posts_are_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    status, told = output(monkeypatch, {"a": READ, "b": PostResult(1, 0, 0, 2)})
    assert (status, told.splitlines()) == (
        0,
        [
            "a: 3 published, 1 known, 0 failed, 7 not followed",
            "b: 1 published, 0 known, 0 failed, 2 not followed",
            "2 posts: 4 published, 1 known, 0 failed, 9 not followed",
        ],
    )


def test_what_is_unknown_of_one_post_is_unknown_of_it_and_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    results = {"a": READ, "b": OF_A_FEED}
    told = output(monkeypatch, results)[1].splitlines()
    assert told[1:] == [
        "b: 2 published, 0 known, 0 failed, unknown not followed",
        "2 posts: 5 published, 1 known, 0 failed, unknown not followed",
    ]
    found = json.loads(output(monkeypatch, results, "--json")[1])
    assert (found["published"], found["not_followed"]) == (5, None)
    assert [found["posts"][id_]["not_followed"] for id_ in ("a", "b")] == [7, None]


def test_of_a_post_that_was_refused_nobody_knows_what_was_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    status, told = output(monkeypatch, {"a": PostResult(error="refused")})
    assert status == 1
    assert told.startswith("a: 0 published, 0 known, 0 failed, unknown not followed (refused)")
