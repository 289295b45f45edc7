"""How far each file is, on the terminal: a bar, records a second, and the time that is left."""

import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from signalflow.events import storable

Bars = Progress


def bars() -> Bars:
    """The bars of a run, on standard error: `--json` leaves standard output to the summary."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


class FileProgress:
    """The bar of one file, which is read in so many passes. A pipe has no size; its bar only shows that it goes on."""

    def __init__(self, shown: Bars, path: Path, passes: int) -> None:
        self._shown, self._before = shown, 0
        self._task = shown.add_task(storable(path.name), total=passes * path.stat().st_size or None, rate="")
        self._started: float | None = None

    def read(self, done: int) -> None:
        """So many bytes were read, over all passes."""
        self._shown.update(self._task, completed=done)

    def count(self, published: int) -> None:
        """So many records of the file were published, those of earlier runs included."""
        now = time.monotonic()
        if self._started is None:
            # The first pass over a file publishes nothing, so the time counts from the first batch.
            self._started, self._before = now, published
            return
        seconds = max(now - self._started, 0.001)
        self._shown.update(self._task, rate=f"{(published - self._before) / seconds:,.0f}/s")

    def retry(self, left: int) -> None:
        """So many records wait for Kafka."""
        self._shown.console.print(f"Kafka does not confirm; {left} records are waiting")
