"""`signalflow replay`: read records of a raw topic into the pipeline again."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from signalflow.cli.failures import FOUND
from signalflow.cli.options import JsonFlag, OfStack, parse_time

if TYPE_CHECKING:
    from signalflow.kafka.records import KafkaRecord
    from signalflow.kafka.resending import Moment, Resent
    from signalflow.kafka.topics import TopicNames
    from signalflow.settings import Settings

# Why records are left out, in words.
_LEFT_OUT = {
    "copy": "were sent by an earlier replay, and their originals are there",
    "invalid": "are not valid: they are dead letters already (`signalflow dlq`)",
    "too_old": "are older than history is kept, which would refuse them",
    "refused": "are refused by the topic, because they are too large",
}


def parse_moment(text: str) -> "Moment":
    """An offset, or a time as `parse_time` reads it. Raises typer.BadParameter for other text."""
    return int(text) if text.isascii() and text.isdigit() else parse_time(text)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


@dataclass(frozen=True)
class _Wanted:
    topic: str
    since: "Moment"
    until: "Moment | None"
    partition: int | None
    rate: float | None
    dry_run: bool


def replay(
    since: Annotated[
        object,
        typer.Option(
            "--from",
            parser=parse_moment,
            metavar="TIME|OFFSET",
            help="From here on: when Kafka got the record (ISO 8601, UTC without an offset), or an offset.",
        ),
    ],
    topic: Annotated[str, typer.Option(help="posts, comments, or the name of a raw topic.")] = "posts",
    until: Annotated[
        object,
        typer.Option(
            "--to", parser=parse_moment, metavar="TIME|OFFSET", help="Up to before this. Default: the present end."
        ),
    ] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="One partition alone; needed with offsets.")] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="RECORDS",
            help="Most records a second; 0: as fast as Kafka confirms. Default: SIGNALFLOW_BACKFILL_RATE.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the records and send none.")] = False,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Read records of a raw topic into the pipeline again, beside running workers.

    They are sent to their topic once more, and processed as redelivered observations: a row that is there stays as it
    is, and one that is missing is written. A row that is written again lacks the velocities if the post was observed
    since. Left out are records that an earlier replay sent, those that are not valid, and those of days that history no
    longer keeps.

    Exit status: 0 done; 1 the topic refused a record, or has no such partition or offset; 2 wrong usage; 3 Kafka did
    not answer; 130 interrupted: do it again, which changes nothing.
    """
    from signalflow.cli.installation import installation_settings
    from signalflow.kafka.topics import TopicNames

    for name, moment in (("--from", since), ("--to", until)):
        if isinstance(moment, int) and partition is None:
            raise typer.BadParameter("an offset needs --partition", param_hint=name)
    settings = installation_settings()
    name = _topic(topic, TopicNames.of(settings))
    assert isinstance(since, datetime | int)
    assert until is None or isinstance(until, datetime | int)
    done = asyncio.run(_replay(settings, _Wanted(name, since, until, partition, rate, dry_run)))
    if as_json:
        counts = {"read": done.read, "sent": done.sent, "left_out": dict(done.left_out)}
        print(json.dumps({"topic": name, "dry_run": dry_run} | counts))
    else:
        would = done.read - done.left_out.total()
        print(f"{would} records would be sent of {done.read}" if dry_run else f"{done.sent} of {done.read} sent again")
        for reason, records in done.left_out.items():
            print(f"  {records} {_LEFT_OUT[reason]}")
    if done.left_out["refused"]:
        raise typer.Exit(FOUND)


def _topic(text: str, names: "TopicNames") -> str:
    known = {"posts": names.posts_raw, "comments": names.comments_raw}
    if text not in (*known, *known.values()):
        raise typer.BadParameter(f"{text!r} is neither posts nor comments, nor {' nor '.join(known.values())}",
                                 param_hint="--topic")  # fmt: skip
    return known.get(text, text)


async def _replay(settings: "Settings", wanted: _Wanted) -> "Resent":
    from rich.console import Console
    from rich.progress import Progress

    from signalflow.domain.pace import Pace
    from signalflow.kafka.producer import ConfirmedProducer
    from signalflow.kafka.reader import open_reader
    from signalflow.kafka.resending import Resent, resend, stretch_of
    from signalflow.logs import configure_logging, quiet_libraries

    configure_logging(settings)
    # Kafka's client logs each attempt to connect; our error says it in one sentence.
    quiet_libraries(logging.CRITICAL)
    producer = ConfirmedProducer(settings, f"{settings.app_id}-raw-replay")
    pace = Pace(settings.backfill_rate if wanted.rate is None else wanted.rate)
    try:
        async with open_reader(settings, wanted.topic) as reader:
            stretch = await stretch_of(reader, wanted.since, wanted.until, wanted.partition)
            with Progress(console=Console(stderr=True)) as shown:
                task = shown.add_task(wanted.topic, total=stretch.offsets)

                def progress(done: Resent) -> None:
                    shown.update(task, completed=done.read)

                sender = None if wanted.dry_run else producer
                return await resend(
                    reader, stretch, _judge(settings, wanted.topic), sender, pace=pace, progress=progress
                )
    finally:
        await producer.close()


def _judge(settings: "Settings", topic: str) -> Callable[["KafkaRecord"], str | None]:
    """Tells why a record is left out: it would become a dead letter, once more or for its age."""
    from signalflow.clock import utcnow
    from signalflow.enrichment import enriched_comment, validated
    from signalflow.errors import Invalid
    from signalflow.kafka.topics import TopicNames

    most_ahead = timedelta(minutes=settings.observed_ahead_minutes)
    kept_from = utcnow() - timedelta(days=settings.history_retention_days)

    def reason(record: "KafkaRecord") -> str | None:
        try:
            if topic == TopicNames.of(settings).comments_raw:
                enriched_comment(record, most_ahead, settings.fold_apostrophes)
                return None
            envelope = validated(record, most_ahead)
        except Invalid:
            return "invalid"
        # Backfilled posts leave no history.
        is_too_old = envelope.mode != "backfill" and envelope.metadata.observed_at < kept_from
        return "too_old" if is_too_old else None

    return reason
