"""Removes the state of posts that are too old to be followed, by tombstones in the changelog."""

import asyncio
from collections.abc import Callable

import structlog

from agents.enrich import EnrichHandler
from signalflow.streams.app import Application
from signalflow.streams.batch_loop import GiveBack, Ownership
from signalflow.streams.state_table import StateTable
from signalflow.streams.timers import guarded

log = structlog.get_logger()

EVERY_SECONDS = 300.0
# Observations may come in late by an hour; their states must still be there.
SLACK_US = 3_600_000_000
MOST_KEYS = 2_000


def register(app: Application, table: StateTable, handler_of: Callable[[], EnrichHandler]) -> None:
    """Add the timer to the app.

    "Too old" is measured by the newest observation of the partition, not by a clock: a worker that works off a backlog of days
    must still find the states that the backlog needs.
    """

    @app.timer(interval=EVERY_SECONDS, name="expire")
    @guarded("expire")
    async def expire() -> None:
        if app.rebalancing or app.in_recovery:
            return
        owned = Ownership(app, app.consumer_generation_id)
        handler = handler_of()
        for tp in sorted(app.assignor.assigned_actives()):
            newest = handler.newest_us.get(tp.partition)
            if tp.topic != table.changelog_topic.get_topic_name() or newest is None:
                continue
            keys = table.expired_keys(tp.partition, newest - SLACK_US, MOST_KEYS)
            if not keys:
                continue
            try:
                await table.write(handler.producer, {tp.partition: dict.fromkeys(keys)}, owned.check)
            except GiveBack:
                return
            log.info("states_expired", partition=tp.partition, keys=len(keys))
            await asyncio.sleep(0)
