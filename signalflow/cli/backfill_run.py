"""One run of `signalflow backfill`: publishes one file after the other, shows how far it is, and reports rejections."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from signalflow.cli.file_progress import FileProgress, bars
from signalflow.domain.pace import Pace
from signalflow.errors import Invalid
from signalflow.events import storable
from signalflow.kafka.admin import create_topics
from signalflow.kafka.producer import ConfirmedProducer
from signalflow.kafka.publisher import Publisher
from signalflow.kafka.topics import TopicNames
from signalflow.logs import configure_logging, quiet_libraries
from signalflow.reddit.backfill import ByTopic, FileOutcome, Hooks, publish_file
from signalflow.reddit.files import Reason, Tally
from signalflow.settings import Settings


@dataclass(frozen=True)
class Wanted:
    """What to publish and how. `rate`: records a second, 0 for no limit. `rejected`: the file of rejections."""

    files: Sequence[Path]
    observed_at: datetime | None
    rate: float
    rejected: Path | None


@dataclass
class Run:
    """What became of the files. `errors`: why some could not be read to their end."""

    outcomes: list[FileOutcome] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


async def run(settings: Settings, wanted: Wanted) -> Run:
    """Publish the files. Raises Invalid when the only one cannot be read, and what `create_topics` raises."""
    configure_logging(settings)
    # Kafka's client logs each attempt to connect; our error says it in one sentence.
    quiet_libraries(logging.CRITICAL)
    # Fails at once when Kafka is away or has other partitions; during a later outage we wait instead.
    await create_topics(settings)
    producer, names = ConfirmedProducer(settings, f"{settings.app_id}-backfill"), TopicNames.of(settings)
    sender = ByTopic(Publisher(producer, names.posts_raw), Publisher(producer, names.comments_raw))
    pace, done = Pace(wanted.rate), Run()
    try:
        with bars() as shown, _opened(wanted.rejected) as report:
            for path in wanted.files:
                bar = FileProgress(shown, path, passes=2 if wanted.observed_at is None else 1)
                hooks = Hooks(bar.read, bar.retry, _on_batch(path, bar, report))
                try:
                    done.outcomes.append(await publish_file(path, sender, wanted.observed_at, pace=pace, hooks=hooks))
                except Invalid as error:
                    if len(wanted.files) == 1:
                        raise
                    done.errors.append(storable(str(error)))
    finally:
        await producer.close()
    return done


def _on_batch(path: Path, bar: FileProgress, report: TextIO | None) -> Any:
    def confirmed(_: datetime, tally: Tally, rejections: Sequence[Reason]) -> None:
        bar.count(tally.published)
        if report is not None:
            report.writelines(_line(path, rejection) for rejection in rejections)

    return confirmed


def _line(path: Path, rejection: Reason) -> str:
    """A rejection as a line of JSON. It never holds the text of what was rejected."""
    fields = {
        "file": storable(str(path)),
        "line": rejection.line,
        "field": rejection.field,
        "reason": storable(rejection.reason),
    }
    return json.dumps(fields) + "\n"


@contextmanager
def _opened(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    # Each line is written at once: whoever waits for a long run can read them.
    with path.open("w", encoding="utf-8", buffering=1) as report:
        yield report
