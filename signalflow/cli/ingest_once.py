"""`signalflow ingest once`: the top of some listings now, read by the worker that polls, within its budget."""

import asyncio
import json
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signalflow.cli.failures import FOUND, looking
from signalflow.cli.installation import acting_user, installation_settings
from signalflow.cli.options import JsonFlag
from signalflow.clock import steady, utcnow
from signalflow.domain.sorts import POST_SORTS
from signalflow.errors import Invalid, Retryable

if TYPE_CHECKING:
    from signalflow.domain.once import OnceResult
    from signalflow.storage.pool import Pool

LOOK_EVERY = 0.5


def _checked_name(text: str) -> str:
    from signalflow.reddit.subreddits import checked_name

    try:
        return checked_name(text)
    except Invalid as error:
        raise typer.BadParameter(str(error)) from error


def _checked_sort(text: str) -> str:
    name = "top:day" if text == "top" else text
    if name not in POST_SORTS:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(POST_SORTS)}")
    return name


def ingest_once(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", parser=_checked_name, help="Subreddits, watched or not."),
    ] = None,
    trending: Annotated[bool, typer.Option("--trending", help="Those that `signalflow discover` shows first.")] = False,
    subreddits: Annotated[int, typer.Option(min=1, max=50, help="With --trending: at most so many.")] = 5,
    posts: Annotated[int, typer.Option(min=1, max=100, help="Posts of each subreddit.")] = 10,
    sort: Annotated[
        str, typer.Option(parser=_checked_sort, metavar="LISTING", help=f"One of {', '.join(POST_SORTS)}.")
    ] = "hot",
    wait: Annotated[int, typer.Option(min=1, max=3600, metavar="SECONDS", help="Give up after this time.")] = 300,
    as_json: JsonFlag = False,
) -> None:
    """Read the top of some listings once, as a batch job does. The worker that polls reads them, within its budget.

    Posts are published that were not known yet; of known ones the rank is observed, and what has changed.

    Exit status: 0 all were read; 1 a subreddit could not be read, Kafka did not confirm all posts, or nothing rises; 3
    the database did not answer, or no worker did it in time: then nothing of it is left to do.
    """
    if bool(names) == trending:
        raise typer.BadParameter("give names of subreddits, or --trending")
    with looking():
        results = asyncio.run(_run(names or [], subreddits, sort, posts, wait))
    total = {key: sum(getattr(result, key) for result in results.values()) for key in ("published", "known", "failed")}
    if as_json:
        print(json.dumps({"subreddits": {name: asdict(result) for name, result in results.items()}, **total}))
    else:
        for name, result in results.items():
            told = f"{result.published} published, {result.known} known, {result.failed} failed"
            print(f"{name}: {result.error or told}")
        print(f"{len(results)} subreddits: " + ", ".join(f"{number} {key}" for key, number in total.items()))
    if total["failed"] or any(result.error for result in results.values()) or not results:
        raise typer.Exit(FOUND)


async def _run(names: list[str], most: int, sort: str, posts: int, wait: int) -> "dict[str, OnceResult]":
    from signalflow.storage.ingest_runs import ask_for_run, give_up_run
    from signalflow.storage.pool import create_pool
    from signalflow.storage.trending_subreddits import trending_subreddits

    pool = await create_pool(installation_settings(), application_name="signalflow-ingest-once")
    try:
        if not names:
            found = await trending_subreddits(pool, utcnow() - timedelta(days=1), most)
            names = [each.name for each in found]
        wanted = list({name.lower(): name for name in names}.values())
        if not wanted:
            raise Invalid("nothing rises that is not watched: the poller looks every SIGNALFLOW_DISCOVER_MINUTES")
        run = await ask_for_run(pool, sort, wanted, posts, acting_user())
        try:
            return await _results(pool, run, len(wanted), wait)
        except BaseException:
            with suppress(Retryable):
                await give_up_run(pool, run)
            raise
    finally:
        await pool.close()


async def _results(pool: "Pool", run: int, subreddits: int, wait: int) -> "dict[str, OnceResult]":
    """The results of the run once it is done. Raises Retryable when that takes too long."""
    from signalflow.storage.ingest_runs import read_run

    until = steady() + wait
    with run_progress() as bar:
        task = bar.add_task("waiting for the worker that polls", total=subreddits)
        while True:
            is_taken, results, is_done = await read_run(pool, run)
            if is_taken:
                bar.update(task, completed=len(results), description="reading")
            if is_done:
                return results
            if steady() >= until:
                reason = "was not done" if is_taken else "was taken by no worker: does one poll?"
                raise Retryable(f"the run {reason} within {wait} s")
            await asyncio.sleep(LOOK_EVERY)


def run_progress() -> Any:
    """How far a run is, on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    # On standard error, so that --json leaves standard output to the summary.
    return Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), console=Console(stderr=True)
    )
