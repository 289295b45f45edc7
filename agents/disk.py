"""A timer that tells how much room the disk of this worker's local state has, and how many entries its tables."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

from signalflow.metrics import DISK_FREE, TABLE_ENTRIES
from signalflow.streams.app import Application
from signalflow.streams.state_table import StateTable
from signalflow.streams.timers import guarded

EVERY_SECONDS = 15.0


def register(app: Application, directory: Path, tables: Sequence[StateTable]) -> None:
    """Measure once, for a scrape before the first tick, and add the timer to the app."""
    DISK_FREE.set(shutil.disk_usage(directory).free)

    @app.timer(interval=EVERY_SECONDS, name="disk")
    @guarded("disk")
    async def disk() -> None:
        # In a thread, because a disk of the network may not answer.
        usage = await asyncio.to_thread(shutil.disk_usage, directory)
        DISK_FREE.set(usage.free)
        for table in tables:
            TABLE_ENTRIES.labels(table=table.name).set(table.entries())
