"""Slow, silent, cut or half-open links between worker and database, workers and a broker, poller and Reddit."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.chaos.cluster import WORKERS
from tests.chaos.faults.base import Fault, Flow, Lane, Run
from tests.chaos.proxy import Proxy

SLOW_SECONDS = 0.2
# The short form has one mode per link, and each link has another.
MODES = ("cut", "half open", "slow", "silent")
HOLD_SECONDS = {"cut": 2.0, "half open": 4.0, "slow": 5.0, "silent": 5.0}


@dataclass(frozen=True)
class _Between:
    name: str
    proxy: Callable[[Run], Proxy]
    lane: Lane
    flow: Flow
    short_mode: str


def _any_database_link(run: Run) -> Proxy:
    return run.cluster.database_links[run.rnd.choice(WORKERS)]


BETWEEN = (
    _Between("worker - database", _any_database_link, "servers", "load", "half open"),
    _Between("workers - broker", lambda run: run.rnd.choice(run.cluster.broker_links), "servers", "load", "cut"),
    _Between("poller - Reddit", lambda run: run.cluster.reddit_link, "reddit", "reddit", "slow"),
)


async def disturb(between: _Between, mode: str, run: Run) -> None:
    """The link is disturbed for some seconds. Lost connections stay lost, and both ends must notice it themselves."""
    async with run.gate.together():
        proxy = between.proxy(run)
        async with run.injecting(f"{between.name}: {mode}", flow=between.flow) as injection:
            injection.detail = f"{proxy.connections} connections"
            match mode:
                case "slow":
                    proxy.slow(SLOW_SECONDS)
                case "silent":
                    proxy.stall()
                case "cut":
                    proxy.cut()
                case _:
                    proxy.half_open()
            try:
                await asyncio.sleep(HOLD_SECONDS[mode])
            finally:
                proxy.heal()
        await run.recovered(injection)


FAULTS = tuple(
    Fault(
        f"{between.name}: {mode}",
        between.lane,
        1,
        partial(disturb, between, mode),
        in_short_form=mode == between.short_mode,
    )
    for between in BETWEEN
    for mode in MODES
)
