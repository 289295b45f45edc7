"""The one place that reads the wall clock. Pure code gets the time passed in."""

from datetime import UTC, datetime, timedelta


class _Offset:
    """By how much this process's clock is wrong on purpose: the fault suite shows that no number depends on it."""

    by = timedelta()


def utcnow() -> datetime:
    """The current time, timezone-aware, in UTC."""
    return datetime.now(UTC) + _Offset.by


def set_wrong(seconds: float) -> None:
    """Set the clock of this process ahead by this many seconds, or behind if negative."""
    _Offset.by = timedelta(seconds=seconds)
