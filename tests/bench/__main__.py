"""`python -m tests.bench`: the figures of the pipeline on this machine, as JSON on stdout, with a table and progress on stderr."""

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

from tests.bench import feed, flush, latency, live, machine, outage, pipeline, soak
from tests.bench.bench_text import bench_text
from tests.bench.stack import Stack, running_stack


class Part(StrEnum):
    """What can be measured."""

    THROUGHPUT = "throughput"
    RESTORE = "restore"
    BARE = "bare"
    FLUSH = "flush"
    LATENCY = "latency"
    TEXT = "text"
    FEED = "feed"
    LIVE = "live"
    BACKLOG = "backlog"
    OUTAGE = "outage"
    SOAK = "soak"


_OF_PIPELINE = {Part.THROUGHPUT, Part.RESTORE, Part.BARE}
_LONG = {Part.BACKLOG, Part.OUTAGE, Part.SOAK}
_OF_STACK = _OF_PIPELINE | {Part.FLUSH, Part.LATENCY, Part.FEED, Part.LIVE} | _LONG
_MINUTES = {Part.OUTAGE: 5.0, Part.SOAK: 20.0}


def main(
    only: Annotated[
        list[Part] | None,
        typer.Option(
            help="Measure only this part; may be given several times. Without it, all but backlog, outage and soak."
        ),
    ] = None,
    events: Annotated[int, typer.Option(min=2_000, help="Events of throughput, restore and bare.")] = 200_000,
    posts: Annotated[int, typer.Option(min=1, max=40_000, help="Posts that these events are of.")] = 20_000,
    seconds: Annotated[int, typer.Option(min=5, help="Duration of the latency, feed and live measurements.")] = 30,
    feed_posts: Annotated[
        int, typer.Option(min=10_000, help="Posts in the database of the feed measurement.")
    ] = 1_000_000,
    minutes: Annotated[
        float | None, typer.Option(min=0.2, help="Duration of outage (else 5) and soak (else 20).")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the JSON to this file too.")] = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            help="Write a py-spy profile (raw stacks) of the worker in throughput, or of the API in feed, to this file."
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
                if Part.LIVE in parts:
                    status.update(f"live: {seconds} s for each number of clients")
                    result["live"] = asyncio.run(live.live(stack, seconds))
                if Part.FEED in parts:
                    result["feed"] = asyncio.run(
                        feed.feed(stack, feed_posts, seconds, lambda text: status.update(f"feed: {text}"), profile)
                    )
                result |= asyncio.run(_long(stack, parts, events, posts, minutes, status))
        if Part.TEXT in parts:
            status.update("text")
            result["text"] = bench_text()
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
    """The parts that stop the database or take minutes; only when asked for."""

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
    """The three parts that share one topic. The restore needs a worker that has worked, so it brings throughput with it."""

    def progress(name: str) -> pipeline.Progress:
        return lambda rows: status.update(f"{name}: {rows:,} of {events:,} events in the database")

    status.update(f"filling the raw topic with {events:,} events")
    settings, load = await pipeline.fill(stack, events, posts)
    result: dict[str, Any] = {"load": load}
    batch = settings.sink_max_records_behind
    if parts & {Part.THROUGHPUT, Part.RESTORE}:
        worker = result["throughput"] = await pipeline.throughput(stack, settings, events, progress("worker"), profile)
        # The loop gets batches of the size that the worker's sink made.
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
