"""The one place that reads a clock for decisions. Pure code gets the time passed in."""

import time
from datetime import UTC, datetime, timedelta

# Where there is one, a clock that also counts while the machine sleeps: a lease ends during that time too.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class _Offset:
    """By how much this process's clock is wrong on purpose: the fault suite shows that no number depends on it."""

    by = timedelta()


def utcnow() -> datetime:
    """The current time, timezone-aware, in UTC."""
    return datetime.now(UTC) + _Offset.by


def set_wrong(seconds: float) -> None:
    """Set the clock of this process ahead by this many seconds, or behind if negative."""
    _Offset.by = timedelta(seconds=seconds)


def steady() -> float:
    """Seconds of a clock that nobody sets, the same in all threads of a process."""
    return time.clock_gettime(_STEADY)
