"""Values of HTTP headers that decide when to ask again. Pure; what cannot be read is unknown."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def number(text: str | None) -> float | None:
    """A finite number of at least 0, or None."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def http_date(text: str | None) -> datetime | None:
    """A date, or None; one without a zone is in UTC."""
    if not text:
        return None
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds of Retry-After, which holds a number or a date; a date that is over is 0. None if it cannot be read."""
    seconds = number(text)
    if seconds is None and (date := http_date(text)) is not None:
        seconds = max((date - now).total_seconds(), 0.0)
    return seconds
