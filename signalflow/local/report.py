"""What `signalflow up` shows: a table of the parts (without a terminal, lines), then one line every few seconds."""

import contextlib
import time
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from signalflow.local.parts import Part, PartState, Step
from signalflow.local.progress import Progress

# The user that `up` creates.
ADMIN = "admin"
_COLOURS = {
    PartState.READY: "green",
    PartState.DONE: "green",
    PartState.UNREADY: "yellow",
    PartState.RESTARTING: "red",
    PartState.STOPPED: "dim",
    PartState.WAITING: "dim",
}


class ConsoleReporter:
    """Writes to one console. It ignores errors, so that a stack stops in order after its terminal is closed."""

    def __init__(self, console: Console, items: Sequence[Part | Step]) -> None:
        self._console = console
        self._started = time.monotonic()
        self._rows: dict[str, tuple[PartState, str, str]] = {
            item.name: (PartState.WAITING, item.address if isinstance(item, Part) else "", "") for item in items
        }
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(self._table(), console=console, auto_refresh=False)
            self._live.start()

    def changed(self, part: Part, state: PartState, detail: str = "") -> None:
        """A part has entered a state."""
        self._row(part.name, state, part.address, detail)

    def step(self, step: Step, done: bool) -> None:
        """A step has begun, or is done."""
        self._row(step.name, PartState.DONE if done else PartState.STARTING, "", "")

    def failed(self, part: Part, why: str, log_tail: str, next_try: float) -> None:
        """A part has failed; it is started again in `next_try` seconds."""
        said = f"; the end of {escape(str(part.log))}:" if log_tail else ""
        self.say(f"[red]{part.name} {escape(why)}[/red], starts again in {next_try:.0f} s{said}")
        for line in log_tail.splitlines():
            self.say(f"  {escape(line)}")

    def trouble(self, what: str) -> None:
        """Something went wrong that stops no part."""
        self.say(f"[yellow]{escape(what)}[/yellow]")

    def tick(self) -> None:
        """Update the seconds in the table. Call it now and then while the stack starts."""
        if self._live is not None:
            with contextlib.suppress(OSError):
                self._live.update(self._table(), refresh=True)

    def up(self, link: str | None, worker_command: str) -> None:
        """The stack is up. Ends the table, and shows the link that signs in and the command that adds a worker."""
        self._end_table()
        seconds = time.monotonic() - self._started
        self.say(f"[bold green]signalflow is up[/bold green] after {seconds:.0f} s (Ctrl-C stops it)")
        if link is not None:
            self.say(
                f"open {escape(link)} (signs you in once, within 15 minutes;"
                f" `signalflow user link {ADMIN}` makes another)"
            )
        self.say(f"add a worker: {escape(worker_command)}")

    def progress(self, progress: Progress, clock: str) -> None:
        """Show one line about the progress."""
        stored = "?" if progress.stored is None else f"{progress.stored:,}"
        lag = "?" if progress.lag is None else f"{progress.lag:,}"
        requests = "?" if progress.requests is None else str(progress.requests)
        self.say(
            f"[dim]{clock}[/dim]  found {progress.found:,}  in the database {stored}"
            f"  lag {lag}  requests/min {requests}"
        )
        if progress.trouble:
            self.say(f"  [yellow]Reddit: {escape(progress.trouble)}[/yellow]; see the log of the worker that polls")

    def stopping(self) -> None:
        """The stack begins to stop."""
        self._end_table()
        self.say("stopping (Ctrl-C again stops at once) ...")

    def stopped(self) -> None:
        """Everything has stopped."""
        self._end_table()
        self.say("stopped; the data are kept")

    def say(self, text: str) -> None:
        """Print one line."""
        with contextlib.suppress(OSError):
            self._console.print(text, highlight=False, soft_wrap=True)

    def _row(self, name: str, state: PartState, address: str, detail: str) -> None:
        self._rows[name] = (state, address, detail)
        if self._live is not None:
            self.tick()
        else:
            self.say(" ".join(part for part in (f"{name}:", state, address, detail) if part))

    def _end_table(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            with contextlib.suppress(OSError):
                live.update(self._table(), refresh=True)
                live.stop()

    def _table(self) -> Table:
        table = Table(
            box=None, pad_edge=False, caption=f"{time.monotonic() - self._started:.0f} s", caption_justify="left"
        )
        for heading in ("part", "state", "address", ""):
            table.add_column(heading, no_wrap=True)
        for name, (state, address, detail) in self._rows.items():
            colour = _COLOURS.get(state, "cyan")
            table.add_row(name, f"[{colour}]{state}[/{colour}]", address, f"[dim]{escape(detail)}[/dim]")
        return table
