"""`signalflow fetch post`: the comments of some posts now, read by the worker that polls, within its budget."""

import asyncio
import json
import re
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signalflow.cli.failures import FOUND, looking
from signalflow.cli.installation import acting_user, installation_settings
from signalflow.cli.options import JsonFlag, OfStack
from signalflow.clock import steady
from signalflow.errors import Retryable

if TYPE_CHECKING:
    from signalflow.domain.post_run import PostResult
    from signalflow.storage.pool import Pool

LOOK_EVERY = 0.5
# A run that takes longer than an hour is given up, and other comments wait for turns meanwhile.
MOST_POSTS = 100
NUMBERS = ("published", "known", "failed", "not_followed")
_POST = re.compile(
    r"(?:t3_|(?:https?://[a-z.]*reddit\.com)?(?:/r/[A-Za-z0-9_]+)?/comments/)?([0-9a-z]{1,13})(?:[/?#].*)?"
)


def _checked_post(text: str) -> str:
    found = _POST.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is neither the id of a post nor its address")
    return found[1]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="Read something of Reddit now.")
    group.callback()(lambda: None)
    group.command(name="post")(post)
    app.add_typer(group, name="fetch")


def post(
    posts: Annotated[
        list[str],
        typer.Argument(metavar="ID...", parser=_checked_post, help="Ids of posts, or their addresses; at most 100."),
    ],
    comments: Annotated[int, typer.Option(min=1, max=2000, help="Comments of each post, at most.")] = 200,
    wait: Annotated[int, typer.Option(min=1, max=3600, metavar="SECONDS", help="Give up after this time.")] = 300,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Read the tree of comments of some posts, followed or not. The worker that polls reads it, within its budget.

    Comments are published that were not known yet, and known ones again, with their scores of now. What Reddit leaves
    out is asked for by id as long as there is room, and counted as not followed beyond. Feeds do not tell how much that
    is.

    Exit status: 0 all were read; 1 a post could not be read, or Kafka did not confirm all comments; 3 the database did
    not answer, or no worker did it in time: then nothing of it is left to do.
    """
    chosen = list(dict.fromkeys(posts))
    if len(chosen) > MOST_POSTS:
        raise typer.BadParameter(f"{len(chosen)} posts; give at most {MOST_POSTS} at a time", param_hint="ID...")
    with looking():
        results = asyncio.run(_run(chosen, comments, wait))
    total = {key: _total([getattr(result, key) for result in results.values()]) for key in NUMBERS}
    if as_json:
        print(json.dumps({"posts": {id_: asdict(result) for id_, result in results.items()}, **total}))
    else:
        for id_, result in results.items():
            print(f"{id_}: {_told(asdict(result))}" + (f" ({result.error})" if result.error else ""))
        print(f"{len(results)} posts: {_told(total)}")
    if total["failed"] or any(result.error for result in results.values()):
        raise typer.Exit(FOUND)


def _total(numbers: list[int | None]) -> int | None:
    """The sum; None when one of them is unknown."""
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def _told(numbers: dict[str, Any]) -> str:
    told = {key: "unknown" if numbers[key] is None else numbers[key] for key in NUMBERS}
    return ", ".join(f"{told[key]} {key.replace('_', ' ')}" for key in NUMBERS)


async def _run(posts: list[str], comments: int, wait: int) -> "dict[str, PostResult]":
    from signalflow.storage.comment_runs import ask_for_comments, give_up_comment_run
    from signalflow.storage.pool import create_pool

    pool = await create_pool(installation_settings(), application_name="signalflow-fetch")
    try:
        run = await ask_for_comments(pool, posts, comments, acting_user())
        try:
            return await _results(pool, run, len(posts), wait)
        except BaseException:
            with suppress(Retryable):
                await give_up_comment_run(pool, run)
            raise
    finally:
        await pool.close()


async def _results(pool: "Pool", run: int, posts: int, wait: int) -> "dict[str, PostResult]":
    """The results of the run once it is done. Raises Retryable when that takes too long."""
    from signalflow.cli.ingest_once import run_progress
    from signalflow.storage.comment_runs import read_comment_run

    until = steady() + wait
    with run_progress() as bar:
        task = bar.add_task("waiting for the worker that polls", total=posts)
        while True:
            is_taken, results, is_done = await read_comment_run(pool, run)
            if is_taken:
                bar.update(task, completed=len(results), description="reading")
            if is_done:
                return results
            if steady() >= until:
                reason = "was not done" if is_taken else "was taken by no worker: does one poll?"
                raise Retryable(f"the run {reason} within {wait} s")
            await asyncio.sleep(LOOK_EVERY)
