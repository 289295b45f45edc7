"""Starts the parts of a stack in stages, restarts parts that fail, and stops all of them in order."""

import asyncio
import itertools
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from signalflow.domain.backoff import Backoff
from signalflow.errors import Fatal, Retryable, SignalflowError
from signalflow.local.disk import full_disk
from signalflow.local.parts import Part, PartState, Stage, Step
from signalflow.local.process import Launch, kill_session, spawn, tail

_POLL_SECONDS = 0.2
# A question takes some milliseconds. Asked every 5 s, the parts of a usual stack take some thousandths of a core.
_HEALTH_INTERVAL = 5.0
_RESTARTS = Backoff(first=1.0, most=30.0)
# A part that ran this long counts as healthy: after its next failure the backoff is short again.
_STABLE_SECONDS = 60.0
# `up` gives up when a part fails this many times before it was ready once.
_ATTEMPTS_AT_START = 4
_STEP_ATTEMPTS = 5

T = TypeVar("T")


class Reporter(Protocol):
    """What the supervisor tells of its work."""

    def changed(self, part: Part, state: PartState, detail: str = "") -> None:
        """A part has entered a state."""

    def failed(self, part: Part, why: str, log_tail: str, next_try: float) -> None:
        """A part has failed; it is started again in `next_try` seconds."""

    def step(self, step: Step, done: bool) -> None:
        """A step has begun, or is done."""


class ManagedPart:
    """A part with its process."""

    def __init__(self, part: Part, reporter: Reporter, on_change: Callable[[], None]) -> None:
        self.part = part
        self.state = PartState.WAITING
        self.process: subprocess.Popen[bytes] | None = None
        self.was_ready = asyncio.Event()
        self._reporter = reporter
        self._on_change = on_change
        self._failures = 0
        self._launch: Launch | None = None

    @property
    def pid(self) -> int | None:
        """The id of its process; None while none runs."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    async def keep_running(self) -> None:
        """Start it, and start it again whenever it fails, until cancelled. Raises Fatal when its first start fails."""
        while True:
            started = time.monotonic()
            try:
                why = await self._run_once()
            except SignalflowError as error:
                if isinstance(error, Fatal) and not self.was_ready.is_set():
                    raise
                why = str(error)
            except OSError as error:
                why = f"could not be started: {error}"
            self._kill_session()
            self._failures = 1 if time.monotonic() - started > _STABLE_SECONDS else self._failures + 1
            log_tail = tail(self.part.log)
            if full := full_disk(self.part.log.parent):
                # What the program wrote when a write failed is long, and says nothing else.
                why, log_tail = f"{why}; {full}", ""
            if not self.was_ready.is_set() and self._failures >= _ATTEMPTS_AT_START:
                what_it_said = f"\n{log_tail}\n(the whole log: {self.part.log})" if log_tail else ""
                raise Fatal(f"{self.part.name} does not start: {why}{what_it_said}")
            wait = _RESTARTS.after(self._failures)
            self._set(PartState.RESTARTING)
            self._reporter.failed(self.part, why, log_tail, wait)
            await asyncio.sleep(wait)

    async def stop(self) -> None:
        """Ask it to end, and kill it after `stop_seconds`. Call this after `keep_running` was cancelled."""
        process = self.process
        if process is None or process.poll() is not None:
            return
        assert self._launch is not None
        self._set(PartState.STOPPING)
        process.send_signal(self._launch.stop_signal)
        deadline = time.monotonic() + self.part.stop_seconds
        while process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS / 4)
        self._kill_session()
        self._set(PartState.STOPPED)

    def kill_now(self) -> None:
        """Kill it at once."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.part.kill_signal)

    def _kill_session(self) -> None:
        """Send SIGKILL to the process, if it still runs, and to the processes that it left in its session."""
        if self.process is not None:
            kill_session(self.process.pid)
            self.process.wait()

    async def _run_once(self) -> str:
        """Start the part once and wait until it ends; returns why it ended."""
        if self.part.prepare is not None:
            self._set(PartState.PREPARING, self.part.preparing)
            await in_thread(self.part.prepare)
        self._set(PartState.STARTING)
        self._launch = self.part.launch()
        process = self.process = spawn(self._launch, self.part.log)
        self._on_change()
        ended = asyncio.create_task(in_thread(process.wait))
        try:
            return await self._until_ready(ended) or await self._watch(ended)
        finally:
            ended.cancel()

    async def _until_ready(self, ended: asyncio.Task[int]) -> str | None:
        """Wait until the part is ready; returns None, or why its start failed."""
        deadline = time.monotonic() + self.part.start_seconds
        while not ended.done():
            if await self.part.ready():
                self._set(PartState.READY)
                self.was_ready.set()
                return None
            if time.monotonic() > deadline:
                return f"was not ready within {self.part.start_seconds:.0f} s"
            await asyncio.wait({ended}, timeout=_POLL_SECONDS)
        return _ending(ended.result())

    async def _watch(self, ended: asyncio.Task[int]) -> str:
        """Wait until the process of a ready part ends or hangs; returns which."""
        last_live = time.monotonic()
        while not (await asyncio.wait({ended}, timeout=_HEALTH_INTERVAL))[0]:
            ready = await self.part.ready()
            self._set(PartState.READY if ready else PartState.UNREADY)
            if ready or self.part.live is None or await self.part.live():
                last_live = time.monotonic()
            elif time.monotonic() - last_live > self.part.hang_seconds:
                return f"did not react for {self.part.hang_seconds:.0f} s"
        return _ending(ended.result())

    def _set(self, state: PartState, detail: str = "") -> None:
        if state != self.state:
            self.state = state
            self._reporter.changed(self.part, state, detail)
            self._on_change()


class Supervisor:
    """All parts of a stack. It calls `on_change` whenever the state or the process of a part has changed."""

    def __init__(self, stages: Sequence[Stage], reporter: Reporter, on_change: Callable[[], None]) -> None:
        self._stages = stages
        self._reporter = reporter
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.parts = {
            item.name: ManagedPart(item, reporter, on_change)
            for stage in stages
            for item in stage
            if isinstance(item, Part)
        }

    async def start(self) -> None:
        """Start all parts and wait until all are ready. Raises the error of a step, or Fatal for a part that fails."""
        for stage in self._stages:
            waits = [
                asyncio.create_task(self._until_ready(item) if isinstance(item, Part) else self._do(item))
                for item in stage
            ]
            try:
                await asyncio.gather(*waits)
            finally:
                for wait in waits:
                    wait.cancel()

    async def watch(self) -> None:
        """Keep all parts running until cancelled."""
        await asyncio.gather(*self._tasks.values())

    async def stop(self) -> None:
        """Stop all parts in the order of `stop_rank`, parts of equal rank together."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        managed_parts = sorted(self.parts.values(), key=lambda managed: managed.part.stop_rank)
        for _, same_rank in itertools.groupby(managed_parts, key=lambda managed: managed.part.stop_rank):
            await asyncio.gather(*(managed.stop() for managed in same_rank))
        for managed in managed_parts:
            if managed.part.clean is not None:
                await in_thread(managed.part.clean)

    def kill_now(self) -> None:
        """Kill all parts at once; `stop` then returns without waiting."""
        for managed in self.parts.values():
            managed.kill_now()

    async def _until_ready(self, part: Part) -> None:
        managed = self.parts[part.name]
        task = self._tasks[part.name] = asyncio.create_task(managed.keep_running())
        ready = asyncio.create_task(managed.was_ready.wait())
        try:
            await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if task.done():
            task.result()

    async def _do(self, step: Step) -> None:
        self._reporter.step(step, done=False)
        for attempt in range(1, _STEP_ATTEMPTS + 1):
            try:
                await step.run()
                break
            except Retryable:
                if attempt == _STEP_ATTEMPTS:
                    raise
                await asyncio.sleep(_RESTARTS.after(attempt))
        self._reporter.step(step, done=True)


async def in_thread(work: Callable[[], T]) -> T:
    """Run blocking work in a daemon thread, which, unlike an executor's thread, never keeps a process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        try:
            outcome: tuple[T | None, BaseException | None] = (work(), None)
        except BaseException as error:  # noqa: BLE001 (raised where the result is awaited)
            outcome = (None, error)
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, daemon=True).start()
    return await future


def _ending(status: int) -> str:
    return f"ended with status {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"
