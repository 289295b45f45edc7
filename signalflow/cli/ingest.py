"""`signalflow ingest`: put posts into the pipeline by hand."""

import asyncio
import json
import time
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signalflow.cli.options import JsonFlag, parse_time

if TYPE_CHECKING:
    from rich.progress import Progress

    from signalflow.reddit.backfill import FileOutcome


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="Put posts into the pipeline by hand.")
    group.callback()(lambda: None)
    group.command(name="file")(ingest_file)
    app.add_typer(group, name="ingest")


def ingest_file(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", exists=True, dir_okay=False, readable=True, help="NDJSON files, plain or gzip."
        ),
    ],
    observed_at: Annotated[
        datetime | None,
        typer.Option(
            parser=parse_time,
            metavar="TIME",
            help="When the posts were seen; ISO 8601, UTC without an offset. Default: newest created_utc of each file.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Publish the posts of NDJSON files as backfill. Each line is one submission, with the field names of Reddit's API.

    Each line needs id, subreddit, title, created_utc, score, num_comments, over_18 and is_self. Invalid lines are
    counted and skipped. Publishing a file again changes nothing. Exit status 1 when no line of any file was valid.
    """
    started = time.monotonic()
    outcomes = asyncio.run(_publish(paths, observed_at))
    summary = _summary(outcomes, time.monotonic() - started)
    if as_json:
        print(json.dumps(summary))
    else:
        _print(summary)
    if summary["lines"] and not summary["published"]:
        raise typer.Exit(1)


async def _publish(paths: list[Path], observed_at: datetime | None) -> list["FileOutcome"]:
    from signalflow.cli.installation import installation_settings
    from signalflow.kafka.admin import create_topics
    from signalflow.kafka.producer import ConfirmedProducer
    from signalflow.kafka.publisher import Publisher
    from signalflow.kafka.topics import TopicNames
    from signalflow.logs import configure_logging, quiet_libraries
    from signalflow.reddit.backfill import publish_file

    settings = installation_settings()
    configure_logging(settings)
    quiet_libraries()
    # Fails at once when Kafka is away or has other partitions; during a later outage we wait instead.
    await create_topics(settings)
    publisher = Publisher(ConfirmedProducer(settings, f"{settings.app_id}-ingest"), TopicNames.of(settings).posts_raw)
    passes = 2 if observed_at is None else 1
    outcomes = []
    try:
        with _progress() as bar:
            for path in paths:
                task = bar.add_task(path.name, total=passes * path.stat().st_size)
                outcomes.append(
                    await publish_file(
                        path,
                        publisher,
                        observed_at,
                        progress=lambda done, task=task: bar.update(task, completed=done),  # type: ignore[misc]
                        on_retry=lambda left: bar.console.print(f"Kafka does not confirm; {left} posts are waiting"),
                    )
                )
    finally:
        await publisher.close()
    return outcomes


def _progress() -> "AbstractContextManager[Progress]":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    # On standard error, so that --json leaves standard output to the summary.
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _summary(outcomes: list["FileOutcome"], seconds: float) -> dict[str, Any]:
    files = [
        {
            "path": str(outcome.path),
            "observed_at": outcome.observed_at.isoformat() if outcome.observed_at else None,
            "lines": outcome.tally.lines,
            "published": outcome.published,
            "rejected": outcome.tally.rejected,
            "reasons": [
                {"line": reason.line, "field": reason.field, "reason": reason.reason}
                for reason in outcome.tally.reasons
            ],
        }
        for outcome in outcomes
    ]
    return {
        "files": files,
        "lines": sum(outcome.tally.lines for outcome in outcomes),
        "published": sum(outcome.published for outcome in outcomes),
        "rejected": sum(outcome.tally.rejected for outcome in outcomes),
        "seconds": round(seconds, 3),
    }


def _print(summary: dict[str, Any]) -> None:
    for file in summary["files"]:
        print(f"{file['path']}: {file['published']} published, {file['rejected']} rejected of {file['lines']} lines")
        for reason in file["reasons"]:
            print(f"  line {reason['line']}: {reason['field'] or 'line'}: {reason['reason']}")
        if file["rejected"] > len(file["reasons"]):
            print(f"  and {file['rejected'] - len(file['reasons'])} more")
