"""What the supervisor runs, in stages: parts are programs that keep running, steps are work that is done once."""

import signal
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import httpx

from signalflow.local.process import Launch

_HEALTH_SECONDS = 2.0
# These addresses are plain HTTP on loopback. A client without a context of its own would read all of the machine's
# certificates at each question, which took most of the supervisor's time.
WITHOUT_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class PartState(StrEnum):
    """The state of a part or a step, as `signalflow up` and `signalflow status` show it."""

    WAITING = "waiting"
    PREPARING = "preparing"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    UNREADY = "unready"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Part:
    """One program that the supervisor starts, watches, restarts and stops."""

    name: str
    address: str
    """Where to reach it. It is shown to the user, so it has no password."""
    log: Path
    launch: Callable[[], Launch]
    ready: Callable[[], Awaitable[bool]]
    """Whether it does its work. Called every second or so; must not raise, and must answer within seconds."""
    prepare: Callable[[], None] | None = None
    """Blocking work before each start, done in a thread of its own. May raise SignalflowError."""
    preparing: str = ""
    """What to tell the user when `prepare` takes long."""
    clean: Callable[[], None] | None = None
    """Called once after the last stop."""
    stop_rank: int = 0
    """Parts stop in ascending order, so that a program stops before the servers it writes to."""
    start_seconds: float = 60.0
    """A start fails when the part is not ready after this many seconds."""
    stop_seconds: float = 4.0
    """Seconds between the stop signal and SIGKILL."""
    hang_seconds: float = 90.0
    """A part that was ready is restarted when it is not live for this many seconds."""
    live: Callable[[], Awaitable[bool]] | None = None
    """Whether it reacts at all. None: it only fails by ending."""
    kill_signal: signal.Signals = signal.SIGKILL
    """The signal that ends it at once, when the user presses Ctrl-C again."""


@dataclass(frozen=True)
class Step:
    """Work that is done before the next stage begins, such as migrations. It is tried again after a Retryable error."""

    name: str
    run: Callable[[], Awaitable[None]]


Stage = Sequence[Part | Step]


async def http_ok(url: str) -> bool:
    """Whether the URL answers 200 within two seconds."""
    try:
        async with httpx.AsyncClient(timeout=_HEALTH_SECONDS, trust_env=False, verify=WITHOUT_CERTIFICATES) as client:
            return (await client.get(url)).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
