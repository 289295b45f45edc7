"""One run of `signalflow backfill`: publishes one file after the other, shows how far it is, and reports rejections."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, TextIO

from signalflow.cli.file_progress import Bars, FileProgress, bars
from signalflow.domain.pace import Pace
from signalflow.errors import Invalid
from signalflow.events import storable
from signalflow.kafka.admin import create_topics
from signalflow.kafka.producer import ConfirmedProducer
from signalflow.kafka.publisher import Publisher
from signalflow.kafka.topic_ids import topic_ids
from signalflow.kafka.topics import TopicNames
from signalflow.logs import configure_logging, quiet_libraries
from signalflow.reddit.backfill import ByTopic, FileOutcome, Hooks, Sender, publish_file
from signalflow.reddit.bookmarks import Bookmark, Bookmarks
from signalflow.reddit.files import Reason, Tally
from signalflow.settings import Settings

# Below the state directory.
BOOKMARKS = "backfill"


@dataclass(frozen=True)
class Wanted:
    """What to publish and how. `rate`: records a second, 0 for no limit. `rejected`: the file of rejections.

    `from_start`: as if no earlier run had published anything.
    """

    files: Sequence[Path]
    observed_at: datetime | None
    rate: float
    rejected: Path | None
    from_start: bool = False


@dataclass
class Done:
    """What became of the files. `before`: how many lines of each an earlier run had published.

    `errors`: why some could not be read to their end.
    """

    outcomes: list[FileOutcome] = field(default_factory=list)
    before: dict[Path, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


async def run(settings: Settings, wanted: Wanted) -> Done:
    """Publish the files. Raises Invalid when the only one cannot be read, and what `create_topics` raises."""
    configure_logging(settings)
    # Kafka's client logs each attempt to connect; our error says it in one sentence.
    quiet_libraries(logging.CRITICAL)
    # Fails at once when Kafka is away or has other partitions; during a later outage we wait instead.
    await create_topics(settings)
    names = TopicNames.of(settings)
    topics = await topic_ids(settings, [names.posts_raw, names.comments_raw])
    bookmarks = Bookmarks(
        settings.state_dir / BOOKMARKS, {name: str(id_) for name, id_ in topics.items()}, wanted.observed_at
    )
    producer = ConfirmedProducer(settings, f"{settings.app_id}-backfill")
    sender = ByTopic(Publisher(producer, names.posts_raw), Publisher(producer, names.comments_raw))
    try:
        return await _Run(wanted, bookmarks, sender).publish()
    finally:
        await producer.close()


class _Run:
    """The files of one run, each from its bookmark on."""

    def __init__(self, wanted: Wanted, bookmarks: Bookmarks, sender: Sender) -> None:
        self._wanted, self._bookmarks, self._sender = wanted, bookmarks, sender
        self._pace, self._done = Pace(wanted.rate), Done()
        if wanted.from_start:
            bookmarks.drop(wanted.files)
        self._found = {path: bookmarks.find(path) for path in wanted.files}

    async def publish(self) -> Done:
        goes_on = any(self._found.values())
        with bars() as shown, _opened(self._wanted.rejected, "a" if goes_on else "w") as report:
            for path in self._wanted.files:
                try:
                    self._done.outcomes.append(await self._outcome_of(path, shown, report))
                except Invalid as error:
                    if len(self._wanted.files) == 1:
                        raise
                    self._done.errors.append(storable(str(error)))
        if not self._done.errors and all(outcome.tally.read_to_end for outcome in self._done.outcomes):
            # The same command begins anew then, which changes nothing.
            self._bookmarks.drop(self._wanted.files)
        return self._done

    async def _outcome_of(self, path: Path, shown: Bars, report: TextIO | None) -> FileOutcome:
        found = self._found[path]
        self._done.before[path] = found.tally.lines if found else 0
        if found and found.is_done:
            return FileOutcome(path, found.observed_at, found.tally)
        observed_at = found.observed_at if found else self._wanted.observed_at
        bar = FileProgress(shown, path, passes=2 if observed_at is None else 1)

        def confirmed(seen_at: datetime, tally: Tally, rejections: Sequence[Reason]) -> None:
            bar.count(tally.published)
            # Before the bookmark: a rejection may be reported twice, but none is left out.
            if report is not None:
                report.writelines(_line(path, rejection) for rejection in rejections)
            self._bookmarks.keep(path, Bookmark(seen_at, tally))

        outcome = await publish_file(
            path,
            self._sender,
            observed_at,
            begun=found.tally if found else None,
            pace=self._pace,
            hooks=Hooks(bar.read, bar.retry, confirmed),
        )
        if outcome.observed_at is not None and outcome.tally.read_to_end:
            self._bookmarks.keep(path, Bookmark(outcome.observed_at, outcome.tally, is_done=True))
        return outcome


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
def _opened(path: Path | None, mode: Literal["a", "w"]) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    # Each line is written at once: a run that is killed has reported all that its bookmarks count.
    with path.open(mode, encoding="utf-8", buffering=1) as report:
        yield report
