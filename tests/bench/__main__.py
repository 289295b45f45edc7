"""`python -m tests.bench` measures the pipeline on this machine: JSON on stdout, a table and progress on stderr."""

import asyncio
import json
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.status import Status
from rich.table import Table

from tests.bench import comments, flush, latency, live, machine, outage, pipeline, post_list, rules, soak, week
from tests.bench.bench_text import bench_text
from tests.bench.stack import Stack, running_stack


class Part(StrEnum):
    """What can be measured."""

    THROUGHPUT = "throughput"
    RESTORE = "restore"
    BARE = "bare"
    FLUSH = "flush"
    LATENCY = "latency"
    COMMENTS = "comments"
    TEXT = "text"
    RULES = "rules"
    POSTS = "posts"
    LIVE = "live"
    BACKLOG = "backlog"
    OUTAGE = "outage"
    SOAK = "soak"
    WEEK = "week"


_OF_PIPELINE = {Part.THROUGHPUT, Part.RESTORE, Part.BARE}
_LONG_OF_STACK = {Part.BACKLOG, Part.OUTAGE, Part.SOAK}
_LONG = _LONG_OF_STACK | {Part.WEEK}
_OF_STACK = _OF_PIPELINE | {Part.FLUSH, Part.LATENCY, Part.COMMENTS, Part.POSTS, Part.LIVE} | _LONG_OF_STACK
_MINUTES = {Part.OUTAGE: 5.0, Part.SOAK: 20.0}


def main(
    only: Annotated[
        list[Part] | None,
        typer.Option(
            help="Measure only this part; may be given several times. Default: all but backlog, outage, soak and week."
        ),
    ] = None,
    events: Annotated[int, typer.Option(min=2_000, help="Events of throughput, restore and bare.")] = 200_000,
    posts: Annotated[int, typer.Option(min=1, max=40_000, help="Posts to which these events belong.")] = 20_000,
    seconds: Annotated[int, typer.Option(min=5, help="Duration of latency, comments, posts and live.")] = 30,
    listed_posts: Annotated[
        int, typer.Option(min=10_000, help="Posts in the database when the post list is measured.")
    ] = 1_000_000,
    minutes: Annotated[
        float | None, typer.Option(min=0.2, help="Minutes of outage (default 5) and soak (default 20).")
    ] = None,
    days: Annotated[float, typer.Option(min=0.02, help="Virtual days of week.")] = 7.0,
    output: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            help="Write a py-spy profile (raw stacks) of throughput's worker, or of the API in posts, to this file."
        ),
    ] = None,
) -> None:
    """Measure the pipeline on an embedded stack of its own, in a temporary directory."""
    parts = set(only or set(Part) - _LONG)
    console = Console(stderr=True)
    result: dict[str, Any] = {"machine": machine.description()}
    with console.status("starting") as status:
        if parts & _OF_STACK:
            with (
                tempfile.TemporaryDirectory(prefix="signalflow-bench-") as directory,
                running_stack(Path(directory)) as stack,
            ):
                if parts & _OF_PIPELINE:
                    result |= asyncio.run(_pipeline(stack, parts, events, posts, profile, status))
                if Part.FLUSH in parts:
                    status.update("flush")
                    result["flush"] = asyncio.run(flush.flushes(stack))
                if Part.LATENCY in parts:
                    status.update(f"latency: {seconds} s")
                    result["latency"] = asyncio.run(latency.latency(stack, seconds))
                if Part.COMMENTS in parts:
                    status.update(f"comments: {seconds} s")
                    result["comments"] = asyncio.run(comments.comments(stack, seconds))
                if Part.LIVE in parts:
                    status.update(f"live: {seconds} s for each number of clients")
                    result["live"] = asyncio.run(live.live(stack, seconds))
                if Part.POSTS in parts:
                    result["posts"] = asyncio.run(
                        post_list.post_list(
                            stack, listed_posts, seconds, lambda text: status.update(f"posts: {text}"), profile
                        )
                    )
                result |= asyncio.run(_long(stack, parts, events, posts, minutes, status))
        if Part.WEEK in parts:
            result["week"] = week.week(days, 1.0, lambda text: status.update(f"week: {text}"))
        if Part.TEXT in parts:
            status.update("text")
            result["text"] = bench_text()
        if Part.RULES in parts:
            status.update("rules")
            result["rules"] = rules.bench_rules()
    text = json.dumps(result, indent=2)
    if output:
        output.write_text(text + "\n")
    print(text)
    console.print(_table(result))
    if result.get("soak", {}).get("grew"):
        raise typer.Exit(1)


async def _long(
    stack: Stack, parts: set[Part], events: int, posts: int, minutes: float | None, status: Status
) -> dict[str, Any]:
    """The parts that stop the database or take minutes. They only run when asked for."""

    def progress(part: Part) -> outage.Progress:
        return lambda text: status.update(f"{part}: {text}")

    result: dict[str, Any] = {}
    if Part.BACKLOG in parts:
        result["backlog"] = await outage.backlog(stack, events, posts, progress(Part.BACKLOG))
    if Part.OUTAGE in parts:
        duration = minutes or _MINUTES[Part.OUTAGE]
        result["outage"] = await outage.outage(stack, duration, progress(Part.OUTAGE))
    if Part.SOAK in parts:
        result["soak"] = await soak.soak(stack, minutes or _MINUTES[Part.SOAK], progress(Part.SOAK))
    return result


async def _pipeline(
    stack: Stack, parts: set[Part], events: int, posts: int, profile: Path | None, status: Status
) -> dict[str, Any]:
    """The three parts that share one topic. A restore needs the local state of throughput, so it runs that too."""

    def progress(name: str) -> pipeline.Progress:
        return lambda rows: status.update(f"{name}: {rows:,} of {events:,} events in the database")

    status.update(f"filling the raw topic with {events:,} events")
    settings, load = await pipeline.fill(stack, events, posts)
    result: dict[str, Any] = {"load": load}
    batch = settings.sink_max_records_behind
    if parts & {Part.THROUGHPUT, Part.RESTORE}:
        worker = result["throughput"] = await pipeline.throughput(stack, settings, events, progress("worker"), profile)
        # The bare loop gets batches as large as the worker's transactions.
        batch = worker["rows_per_transaction"]
    if Part.RESTORE in parts:
        status.update("restoring the table")
        result["restore"] = await pipeline.restore(stack, settings)
    if Part.BARE in parts:
        result["bare"] = await pipeline.bare(stack, settings, events, batch, progress("bare loop"))
        if "throughput" in result:
            result["worker_to_bare"] = round(result["throughput"]["events_per_s"] / result["bare"]["events_per_s"], 2)
    return result


def _table(result: dict[str, Any]) -> Table:
    table = Table("part", "figure", "value")
    for part, figures in result.items():
        for name, value in figures.items() if isinstance(figures, dict) else [("ratio", figures)]:
            if name == "samples":
                continue
            shown = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else f"{value}"
            table.add_row(part, name, shown)
    return table


if __name__ == "__main__":
    typer.run(main)
