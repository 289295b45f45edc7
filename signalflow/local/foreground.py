"""A stack in the foreground, from start to end: it handles signals, writes the state file and shows progress."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from signalflow.clock import utcnow
from signalflow.errors import Fatal
from signalflow.local.parts import Part, Step
from signalflow.local.progress import ProgressMeter
from signalflow.local.report import ConsoleReporter
from signalflow.local.running import worker_command
from signalflow.local.stack import Stack
from signalflow.local.state import ProcessId, StackState, StateDir
from signalflow.local.supervisor import Supervisor

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PROGRESS_SECONDS = 5.0
_TICK_SECONDS = 0.5


MakeReporter = Callable[[Sequence[Part | Step]], ConsoleReporter]
MakeCounter = Callable[[], Awaitable[Callable[[], Awaitable[int]]]]
"""Called when the database is ready; returns a function that counts its posts."""
MakeLink = Callable[[], Awaitable[str]]
"""Makes a link that signs a browser in once."""


class ForegroundStack:
    """Runs a stack. Needs a state directory that this process has locked."""

    def __init__(
        self, stack: Stack, steps: Sequence[Sequence[Step]], directory: StateDir, make_reporter: MakeReporter
    ) -> None:
        self._stack = stack
        self._directory = directory
        self._phase: Literal["starting", "up", "stopping"] = "starting"
        self._myself = ProcessId.of("supervisor", os.getpid())
        stages = stack.stages(steps)
        self._reporter = make_reporter([item for stage in stages for item in stage])
        self._supervisor = Supervisor(stages, self._reporter, self._write_state)
        self._asked_to_stop = asyncio.Event()
        self._is_state_written = True

    async def until_stopped(self, make_counter: MakeCounter, make_link: MakeLink | None) -> None:
        """Start everything, show progress until a signal comes, stop everything.

        Raises the error of a failed start, unless a signal came before it failed.
        """
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        work = asyncio.create_task(self._work(make_counter, make_link))
        asked = asyncio.create_task(self._asked_to_stop.wait())
        failed = False
        try:
            await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
            failed = work.done()
        finally:
            self._asked_to_stop.set()
            self._phase = "stopping"
            self._reporter.stopping()
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                # An error of the start is raised below, after everything has stopped.
                await asyncio.wait({work})
            await self._supervisor.stop()
            self._directory.forget()
        self._reporter.stopped()
        error = None if work.cancelled() else work.exception()
        # What is interrupted by the stop may fail in many ways, as a connection to the database does.
        if failed and error is not None:
            raise error

    async def _work(self, make_counter: MakeCounter, make_link: MakeLink | None) -> None:
        self._write_state()
        ticking = asyncio.create_task(self._tick())
        try:
            await self._supervisor.start()
        finally:
            ticking.cancel()
        self._phase = "up"
        self._write_state()
        link = await make_link() if make_link else None
        self._reporter.up(link, worker_command(self._stack.options.state_dir))
        meter = ProgressMeter(self._stack.worker_urls, await make_counter())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._supervisor.watch())
            group.create_task(self._show(meter))

    async def _show(self, meter: ProgressMeter) -> None:
        while True:
            self._reporter.progress(await meter.measure(), utcnow().strftime("%H:%M:%S"))
            await asyncio.sleep(_PROGRESS_SECONDS)

    async def _tick(self) -> None:
        while True:
            self._reporter.tick()
            await asyncio.sleep(_TICK_SECONDS)

    def _on_signal(self) -> None:
        if self._asked_to_stop.is_set():
            self._supervisor.kill_now()
        self._asked_to_stop.set()

    def _write_state(self) -> None:
        parts = self._supervisor.parts
        children = [ProcessId.of(name, part.pid) for name, part in parts.items() if part.pid is not None]
        state = StackState(
            supervisor=self._myself,
            phase=self._phase,
            children=children,
            status=self._stack.status(parts),
            settings=self._stack.decided_settings(),
        )
        try:
            self._directory.write(state)
            self._is_state_written = True
        except Fatal as error:
            if self._phase == "starting":
                raise
            # The stack runs as before. Until the state can be written again, `signalflow status` shows an older one.
            if self._is_state_written:
                self._reporter.trouble(f"{error}; `signalflow status` shows what was before")
            self._is_state_written = False
