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

from tests.bench import flush, latency, machine, pipeline
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


_OF_PIPELINE = {Part.THROUGHPUT, Part.RESTORE, Part.BARE}
_OF_STACK = _OF_PIPELINE | {Part.FLUSH, Part.LATENCY}


def main(
    only: Annotated[list[Part] | None, typer.Option(help="Measure only this part; may be given several times.")] = None,
    events: Annotated[int, typer.Option(min=2_000, help="Events of throughput, restore and bare.")] = 200_000,
    posts: Annotated[int, typer.Option(min=1, max=40_000, help="Posts that these events are of.")] = 20_000,
    seconds: Annotated[int, typer.Option(min=5, help="Duration of the latency measurement.")] = 30,
    output: Annotated[Path | None, typer.Option(help="Write the JSON to this file too.")] = None,
    profile: Annotated[
        Path | None, typer.Option(help="Write a py-spy profile (raw stacks) of the worker in throughput to this file.")
    ] = None,
) -> None:
    """Measure the pipeline on an embedded stack of its own, in a temporary directory."""
    parts = set(only or Part)
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
        if Part.TEXT in parts:
            status.update("text")
            result["text"] = bench_text()
    text = json.dumps(result, indent=2)
    if output:
        output.write_text(text + "\n")
    print(text)
    console.print(_table(result))


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
            shown = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else f"{value}"
            table.add_row(part, name, shown)
    return table


if __name__ == "__main__":
    typer.run(main)
