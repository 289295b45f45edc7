"""`signalflow ingest`: put posts into the pipeline by hand."""

import asyncio
import json
import logging
import sys
import time
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signalflow.cli.ingest_once import ingest_once
from signalflow.cli.options import JsonFlag, parse_time

if TYPE_CHECKING:
    from rich.progress import Progress

    from signalflow.reddit.backfill import FileOutcome

# Opening it by this name reads a redirected file from its start, also a second time.
STANDARD_INPUT = Path("/dev/stdin")


def parse_path(text: str) -> Path:
    """The path of a file or pipe; `-` is standard input. Raises typer.BadParameter when there is none."""
    path = STANDARD_INPUT if text == "-" else Path(text)
    if not path.exists():
        raise typer.BadParameter(f"{text} does not exist")
    if path.is_dir():
        raise typer.BadParameter(f"{text} is a directory")
    return path


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="Put posts into the pipeline by hand.")
    group.callback()(lambda: None)
    group.command(name="file")(ingest_file)
    group.command(name="once")(ingest_once)
    app.add_typer(group, name="ingest")


def ingest_file(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            parser=parse_path,
            help="Files of posts; - for standard input, which needs --observed-at.",
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
    """Publish the posts of files as backfill: JSON with the field names of Reddit's API.

    A file has one post a line, or an array of posts, or it is a data frame or a saved answer of the API. It may be
    packed with gzip, Zstandard, bzip2 or xz, and be UTF-8, UTF-16 or UTF-32: its first bytes tell.

    A post needs id, subreddit, title, created_utc, num_comments, over_18 and is_self; a score that is missing is
    unknown. Numbers and flags may be texts or 12.0 for 12, times may be ISO 8601. Invalid posts are counted and
    skipped. A file that cannot be read keeps no other from being published. Publishing a file again changes nothing.
    Exit status 1 when no post of any file was valid, or a file could not be read to its end.
    """
    started = time.monotonic()
    outcomes, errors = asyncio.run(_publish(paths, observed_at))
    summary = _summary(outcomes, time.monotonic() - started) | {"errors": errors}
    if as_json:
        print(json.dumps(summary))
    else:
        _print(summary)
        for error in errors:
            print(f"error: {error}", file=sys.stderr)
    if (
        errors
        or (summary["lines"] and not summary["published"])
        or not all(file["read_to_end"] for file in summary["files"])
    ):
        raise typer.Exit(1)


async def _publish(paths: list[Path], observed_at: datetime | None) -> tuple[list["FileOutcome"], list[str]]:
    """The results, and why some of the files could not be read. Raises Invalid when that is so for the only one."""
    from signalflow.cli.installation import installation_settings
    from signalflow.errors import Invalid
    from signalflow.events import storable
    from signalflow.kafka.admin import create_topics
    from signalflow.kafka.producer import ConfirmedProducer
    from signalflow.kafka.publisher import Publisher
    from signalflow.kafka.topics import TopicNames
    from signalflow.logs import configure_logging, quiet_libraries
    from signalflow.reddit.backfill import publish_file

    settings = installation_settings()
    configure_logging(settings)
    # Kafka's client logs each attempt to connect; our error says it in one sentence.
    quiet_libraries(logging.CRITICAL)
    # Fails at once when Kafka is away or has other partitions; during a later outage we wait instead.
    await create_topics(settings)
    publisher = Publisher(ConfirmedProducer(settings, f"{settings.app_id}-ingest"), TopicNames.of(settings).posts_raw)
    passes = 2 if observed_at is None else 1
    outcomes, errors = [], []
    try:
        with _progress() as bar:
            for path in paths:
                # A pipe has no size; its bar only shows that something happens.
                task = bar.add_task(storable(path.name), total=passes * path.stat().st_size or None)
                publishing = publish_file(
                    path,
                    publisher,
                    observed_at,
                    progress=lambda done, task=task: bar.update(task, completed=done),  # type: ignore[misc]
                    on_retry=lambda left: bar.console.print(f"Kafka does not confirm; {left} posts are waiting"),
                )
                try:
                    outcomes.append(await publishing)
                except Invalid as error:
                    if len(paths) == 1:
                        raise
                    errors.append(storable(str(error)))
    finally:
        await publisher.close()
    return outcomes, errors


def _progress() -> "AbstractContextManager[Progress]":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    # On standard error, so that --json leaves standard output to the summary.
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _summary(outcomes: list["FileOutcome"], seconds: float) -> dict[str, Any]:
    from signalflow.events import storable

    files = [
        {
            "path": storable(str(outcome.path)),
            "observed_at": outcome.observed_at.isoformat() if outcome.observed_at else None,
            "lines": outcome.tally.lines,
            "published": outcome.published,
            "rejected": outcome.tally.rejected,
            "read_to_end": outcome.tally.read_to_end,
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
