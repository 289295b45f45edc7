"""A timer that removes states that no record needs any more, by tombstones in the changelog."""

import asyncio
from collections.abc import Sequence

import structlog

from agents.resources import ResourcesOf
from signalflow.enrichment import LATEST_US
from signalflow.streams.app import Application
from signalflow.streams.batch_loop import GiveBack, Ownership
from signalflow.streams.state_table import StateTable
from signalflow.streams.timers import guarded
from signalflow.streams.watermarks import Watermarks

log = structlog.get_logger()

EVERY_SECONDS = 300.0
# No record needs a state after LATEST_US. One hour more, because brokers' clocks differ: a record may be appended with
# an earlier time than the one before.
SLACK_US = LATEST_US + 3_600_000_000
MOST_KEYS = 2_000


def register(app: Application, tables: Sequence[tuple[StateTable, Watermarks]], resources: ResourcesOf) -> None:
    """Add the timer to the app. The tables come with how far their partitions were processed.

    The age of a state is measured by the event time that its partition has reached, not by a clock: a worker that works
    off a backlog of days must still find the states that the backlog needs.
    """

    @app.timer(interval=EVERY_SECONDS, name="expire")
    @guarded("expire")
    async def expire() -> None:
        if app.rebalancing or app.in_recovery:
            return
        owned = Ownership(app, app.consumer_generation_id)
        of_changelog = {table.changelog_topic.get_topic_name(): (table, watermarks) for table, watermarks in tables}
        for tp in sorted(app.assignor.assigned_actives()):
            if tp.topic not in of_changelog:
                continue
            table, watermarks = of_changelog[tp.topic]
            reached = watermarks.of(tp.partition)
            if reached is None:
                continue
            keys = table.expired_keys(tp.partition, reached - SLACK_US, MOST_KEYS)
            if not keys:
                continue
            try:
                await table.write(resources().producer, {tp.partition: dict.fromkeys(keys)}, owned.check)
            except GiveBack:
                return
            log.info("states_expired", table=table.name, partition=tp.partition, keys=len(keys))
            await asyncio.sleep(0)
