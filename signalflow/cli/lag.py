"""`signalflow lag`: how many records the workers still have to process."""

import asyncio
import json
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import typer

from signalflow.cli.failures import looking
from signalflow.cli.installation import installation_settings
from signalflow.cli.options import JsonFlag, OfStack
from signalflow.cli.tables import print_whole, whole_table

if TYPE_CHECKING:
    from signalflow.settings import Settings


@dataclass(frozen=True, slots=True)
class Lag:
    """A partition: the offset that the workers read next (None: never committed), and the end of its log.

    `beyond_end`: by how much the commit is beyond the end. Then the log lost records, and the lag is 0 for no good
    reason.
    """

    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int
    beyond_end: int


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(lag)


def lag(_: OfStack = None, as_json: JsonFlag = False) -> None:
    """Show how many records of each topic are not processed yet, by topic and partition (--json).

    Kafka is asked, so it works while no worker runs. Exit status 3 when Kafka could not be asked.
    """
    from signalflow.logs import quiet_libraries

    # Kafka's client logs each attempt to connect; our error says it in one sentence.
    quiet_libraries(logging.CRITICAL)
    settings = installation_settings()
    with looking():
        found = asyncio.run(_lags(settings))
    if as_json:
        print(json.dumps([asdict(each) for each in found]))
        return
    table = whole_table("topic", "behind", "partitions behind", "never read", "committed beyond the end")
    for topic in sorted({each.topic for each in found}):
        of_topic = [each for each in found if each.topic == topic]
        behind = [each for each in of_topic if each.lag]
        never = [each for each in of_topic if each.committed is None and each.end]
        beyond = sum(each.beyond_end for each in of_topic)
        cells = (sum(each.lag for each in behind), f"{len(behind)} of {len(of_topic)}", len(never), beyond)
        table.add_row(topic, *map(str, cells))
    print_whole(table)


async def _lags(settings: "Settings") -> list[Lag]:
    from signalflow.kafka.admin import topic_partitions
    from signalflow.kafka.offsets import begin_and_end_offsets
    from signalflow.kafka.reader import group_offsets
    from signalflow.kafka.topics import TopicNames

    there = await topic_partitions(settings)
    partitions = [
        (topic, number) for topic in sorted(TopicNames.of(settings).consumed) for number in range(there.get(topic, 0))
    ]
    committed = await group_offsets(settings, settings.app_id)
    begins, ends = await begin_and_end_offsets(settings, partitions)
    lags = []
    for partition in partitions:
        # What retention removed is no work any more.
        behind = ends[partition] - max(committed.get(partition, 0), begins[partition])
        lags.append(Lag(*partition, committed.get(partition), ends[partition], max(behind, 0), max(-behind, 0)))
    return lags
