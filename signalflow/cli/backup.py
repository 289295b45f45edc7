"""`signalflow backup` and `signalflow restore`: the whole database as one file."""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from signalflow.cli.installation import installation_database
from signalflow.cli.options import JsonFlag, OfStack

if TYPE_CHECKING:
    from signalflow.backup.archive import Manifest, Progress
    from signalflow.backup.topics import Beyond
    from signalflow.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(backup)
    app.command()(restore)


def backup(
    file: Annotated[Path, typer.Argument(help="A new file. Keep it safe: it holds hashes of passwords and tokens.")],
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Write the whole database to a file, while workers go on. A stack that does not run is backed up too.

    The file also tells up to which offsets the topics are in it. Topics, local state and settings are not in it.
    Exit status: 0 done; 1 it failed, and there is no file; 2 wrong usage; 3 the database did not answer.
    """
    from signalflow.backup.run import back_up
    from signalflow.clock import utcnow

    with installation_database(new=False) as place, _bytes_done("backup", None) as progress:
        manifest = asyncio.run(back_up(place.database_url, file, progress, utcnow()))
    if as_json:
        print(manifest.model_dump_json())
        return
    print(f"{file}: {_told(manifest)}, {file.stat().st_size:,} bytes")
    print("\n".join(_positions(manifest)))


def restore(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file of `signalflow backup`.")],
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Restore a backup into an empty database, and check that every row came back.

    Without SIGNALFLOW_DATABASE_URL it makes the database of a state directory, which `signalflow up` then uses.
    Exit status: 0 done; 1 refused or failed, as the message says; 2 wrong usage; 3 the database did not answer.
    """
    from signalflow.backup.archive import Archive
    from signalflow.backup.run import restore as run

    total = 2 * Archive(file).manifest.bytes
    with installation_database(new=True) as place, _bytes_done("restore", total) as progress:
        manifest = asyncio.run(run(place.database_url, file, progress))
    topics = _beyond(place.settings, manifest)
    if as_json:
        found = None if topics is None else [asdict(topic) for topic in topics]
        print(json.dumps(manifest.model_dump(mode="json") | {"beyond": found}))
        return
    print(f"restored {_told(manifest)}; every table has its rows")
    print("\n".join(_about_topics(manifest, topics)))


def _beyond(settings: "Settings | None", manifest: "Manifest") -> "list[Beyond] | None":
    """What the topics hold beyond the backup; None when no Kafka can be asked."""
    from signalflow.backup.topics import beyond
    from signalflow.errors import SignalflowError
    from signalflow.logs import quiet_libraries

    if settings is None:
        return None
    # Kafka's client logs each attempt to connect.
    quiet_libraries(logging.CRITICAL)
    try:
        return asyncio.run(beyond(settings, manifest))
    except SignalflowError:
        return None


def _about_topics(manifest: "Manifest", topics: "list[Beyond] | None") -> list[str]:
    lines = ["it belongs to these topics:"]
    if topics is None:
        lines += _positions(manifest)
        lines.append("What came after it is not known, because no Kafka answers.")
    for topic in topics or ():
        told = f"    {topic.topic}: {topic.stored} records"
        if not topic.same:
            told += "; this Kafka has not that topic, and what came after the backup is lost unless you bring it back"
        else:
            told += f"; {topic.after} came after it, and workers store them"
        lines.append(told + (f"; {topic.gone} more are gone from the topic: they are lost" if topic.gone else ""))
    return [
        *lines,
        "Now start the workers (`signalflow up` on one machine). With the Kafka of the backup they store what came "
        "after it by themselves. With another Kafka they make topics and begin anew.",
        "Local state (RocksDB) needs nothing in either case. Accounts, keys and rules of polling that were changed "
        "since the backup are as they were then.",
    ]


def _told(manifest: "Manifest") -> str:
    return (
        f"the database of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC, {sum(manifest.rows.values()):,} rows in "
        f"{len(manifest.rows)} tables, schema {manifest.revision} ({manifest.mode})"
    )


def _positions(manifest: "Manifest") -> list[str]:
    """One line for each topic: the offset below which each partition is in the backup."""
    lines = []
    for topic in manifest.topics:
        offsets = ", ".join(f"{partition}:{offset}" for partition, offset in sorted(topic.positions.items()))
        lines.append(f"    {topic.name or topic.id}: up to the offsets {offsets}")
    return lines


@contextmanager
def _bytes_done(what: str, total: int | None) -> Iterator["Progress"]:
    """A bar on standard error. Its argument: how many more bytes are done."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=total)
        yield lambda more: shown.advance(task, more)
