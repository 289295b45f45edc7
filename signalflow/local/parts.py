"""What the supervisor runs: parts (programs that stay) and steps (work that is done once), in stages."""

import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import httpx

from signalflow.local.process import Launch

_HEALTH_SECONDS = 2.0


class PartState(StrEnum):
    """What a part or a step is doing, as `signalflow up` and `signalflow status` report it."""

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
    """Where it is reached; shown to the user, so without a password."""
    log: Path
    launch: Callable[[], Launch]
    ready: Callable[[], Awaitable[bool]]
    """Whether it does its work. Asked every second or so; must not raise and answers within seconds."""
    prepare: Callable[[], None] | None = None
    """Blocking work before each start, in a thread of its own. Raises SignalflowError."""
    preparing: str = ""
    """What `prepare` does when it takes long, for the user."""
    clean: Callable[[], None] | None = None
    """Called once after the last stop."""
    stop_rank: int = 0
    """Parts stop in ascending order: who writes before who stores."""
    start_seconds: float = 60.0
    """A start that is not ready by then has failed."""
    stop_seconds: float = 4.0
    """Grace between the stop signal and SIGKILL."""
    hang_seconds: float = 90.0
    """A part that was ready and is not live for so long is restarted."""
    live: Callable[[], Awaitable[bool]] | None = None
    """Whether it reacts at all; None: only its death is a failure."""
    kill_signal: signal.Signals = signal.SIGKILL
    """What ends it at once when the user is impatient."""


@dataclass(frozen=True)
class Step:
    """Work to be done before the next stage, such as migrations. A Retryable error is tried again."""

    name: str
    run: Callable[[], Awaitable[None]]


Stage = Sequence[Part | Step]


async def http_ok(url: str) -> bool:
    """Whether the URL answers 200 within two seconds."""
    try:
        async with httpx.AsyncClient(timeout=_HEALTH_SECONDS, trust_env=False) as client:
            return (await client.get(url)).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
