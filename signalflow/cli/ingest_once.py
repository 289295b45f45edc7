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
from signalflow.cli.options import JsonFlag, OfStack
from signalflow.clock import steady, utcnow
from signalflow.domain.sorts import POST_SORTS
from signalflow.errors import Invalid, Retryable

if TYPE_CHECKING:
    from signalflow.domain.once import OnceResult
    from signalflow.storage.pool import Pool

    # By subreddit, of posts and of comments.
    Results = tuple[dict[str, OnceResult], dict[str, OnceResult]]

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
    trending: Annotated[
        bool, typer.Option("--trending", help="Those that rise most, as in `signalflow discover`.")
    ] = False,
    subreddits: Annotated[int, typer.Option(min=1, max=50, help="With --trending: at most so many.")] = 5,
    posts: Annotated[int, typer.Option(min=1, max=100, help="Posts of each subreddit.")] = 10,
    comments: Annotated[int, typer.Option(min=0, max=100, help="Newest comments of each subreddit; 0: none.")] = 0,
    sort: Annotated[
        str, typer.Option(parser=_checked_sort, metavar="LISTING", help=f"One of {', '.join(POST_SORTS)}.")
    ] = "hot",
    wait: Annotated[int, typer.Option(min=1, max=3600, metavar="SECONDS", help="Give up after this time.")] = 300,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Read the top of some listings once, as a batch job does. The worker that polls reads them, within its budget.

    Posts are published that were not known yet; of known ones the rank is observed, and what has changed. Comments are
    published that the worker does not know.

    Exit status: 0 all were read; 1 a subreddit could not be read, Kafka did not confirm everything, or nothing rises; 3
    the database did not answer, or no worker did it in time: then nothing of it is left to do.
    """
    if bool(names) == trending:
        raise typer.BadParameter("give names of subreddits, or --trending")
    with looking():
        posts_of, comments_of = asyncio.run(_run(names or [], subreddits, sort, posts, comments, wait))
    of_posts, of_comments = _total(posts_of), _total(comments_of)
    if as_json:
        found: dict[str, Any] = {name: asdict(result) for name, result in posts_of.items()}
        for name, result in comments_of.items():
            found[name]["comments"] = asdict(result)
        print(json.dumps({"subreddits": found, **of_posts} | ({"comments": of_comments} if comments else {})))
    else:
        for name, result in posts_of.items():
            print(f"{name}: {_told(result)}" + (f"; comments: {_told(comments_of[name])}" if comments else ""))
        print(f"{len(posts_of)} subreddits: {_in_words(of_posts)}")
        if comments:
            print(f"comments: {_in_words(of_comments)}")
    errors = [result.error for result in (*posts_of.values(), *comments_of.values()) if result.error]
    if of_posts["failed"] or of_comments["failed"] or errors or not posts_of:
        raise typer.Exit(FOUND)


def _total(results: "dict[str, OnceResult]") -> dict[str, int]:
    return {key: sum(getattr(result, key) for result in results.values()) for key in ("published", "known", "failed")}


def _in_words(total: dict[str, int]) -> str:
    return ", ".join(f"{number} {key}" for key, number in total.items())


def _told(result: "OnceResult") -> str:
    return result.error or _in_words(_total({"": result}))


async def _run(names: list[str], most: int, sort: str, posts: int, comments: int, wait: int) -> "Results":
    from signalflow.storage.ingest_runs import ask_for_run, give_up_run
    from signalflow.storage.pool import create_pool
    from signalflow.storage.trending_subreddits import trending_subreddits

    pool = await create_pool(installation_settings(), application_name="signalflow-ingest-once")
    try:
        if not names:
            found = await trending_subreddits(pool, utcnow() - timedelta(days=1), most)
            names = [each.name for each in found if each.posts]
        wanted = list({name.lower(): name for name in names}.values())
        if not wanted:
            raise Invalid("nothing rises that is not watched: the poller looks every SIGNALFLOW_DISCOVER_MINUTES")
        run = await ask_for_run(pool, sort, wanted, posts, acting_user(), comments)
        try:
            return await _results(pool, run, len(wanted) * (2 if comments else 1), wait)
        except BaseException:
            with suppress(Retryable):
                await give_up_run(pool, run)
            raise
    finally:
        await pool.close()


async def _results(pool: "Pool", run: int, most: int, wait: int) -> "Results":
    """The results of the run once it is done, of posts and of comments. Raises Retryable when that takes too long."""
    from signalflow.storage.ingest_runs import read_run

    until = steady() + wait
    with run_progress() as bar:
        task = bar.add_task("waiting for the worker that polls", total=most)
        while True:
            state = await read_run(pool, run)
            if state.is_taken:
                number = len(state.results) + len(state.comment_results)
                bar.update(task, completed=number, description="reading")
            if state.is_done:
                return state.results, state.comment_results
            if steady() >= until:
                reason = "was not done" if state.is_taken else "was taken by no worker: does one poll?"
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
