"""Which subreddits to watch, from a CSV file: the project's 115 defaults or one of the operator's own."""

import csv
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from signalflow.errors import Invalid

Priority = Literal["fast", "medium", "slow"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
COLUMNS = ("name", "interval_seconds", "priority")
MIN_INTERVAL, MAX_INTERVAL = 5, 86_400
# The longest wait of each tier in the defaults.
TIER_INTERVALS: dict[Priority, int] = {"fast": 60, "medium": 180, "slow": 600}
_NAME = re.compile(r"[A-Za-z0-9_]{1,32}|u_[A-Za-z0-9_-]{1,30}")


@dataclass(frozen=True, slots=True)
class WatchedSubreddit:
    """A subreddit and the longest time, in seconds, that may pass between two looks at it."""

    name: str
    interval_seconds: int
    priority: Priority


def checked_name(text: str) -> str:
    """A subreddit's name without the r/ that people write before it. Raises Invalid when it cannot be one."""
    name = re.sub(r"^/?r/", "", text.strip())
    if not _NAME.fullmatch(name):
        raise Invalid(f"{text!r} is no name of a subreddit: up to 32 letters, digits and _, or u_ and a user", "name")
    return name


def checked_interval(text: str) -> int:
    """Seconds between two looks. Raises Invalid unless it is a whole number from MIN_INTERVAL to MAX_INTERVAL."""
    if not (text.isascii() and text.isdigit() and len(text) < 9 and MIN_INTERVAL <= int(text) <= MAX_INTERVAL):
        raise Invalid(f"{text!r} is no whole number from {MIN_INTERVAL} to {MAX_INTERVAL} seconds", "interval_seconds")
    return int(text)


def checked_priority(text: str) -> Priority:
    """A tier. Raises Invalid for anything else."""
    for priority in PRIORITIES:
        if text == priority:
            return priority
    raise Invalid(f"{text!r} is none of {', '.join(PRIORITIES)}", "priority")


def read_subreddits(path: Path | None = None) -> list[WatchedSubreddit]:
    """The subreddits of a CSV file with the columns name, interval_seconds and priority; without a path the defaults.

    Raises Invalid that names file, line and field of the first mistake; a name may stand there once, however it is spelled.
    """
    source = path or files("signalflow.data").joinpath("subreddits.csv")
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(f"{source}: not UTF-8: {error}", "path") from error
    except OSError as error:
        raise Invalid(f"{source}: {error.strerror or error}", "path") from error
    return _parsed(text, str(source))


def _parsed(text: str, source: str) -> list[WatchedSubreddit]:
    reader = csv.DictReader(text.splitlines(), strict=True)
    lines: dict[str, int] = {}
    rows: list[WatchedSubreddit] = []
    try:
        if sorted(reader.fieldnames or ()) != sorted(COLUMNS):
            raise Invalid(f"the header must be {','.join(COLUMNS)}", "header")
        for row in reader:
            rows.append(_row(row))
            key = rows[-1].name.lower()
            if key in lines:
                raise Invalid(f"{rows[-1].name!r} stands in line {lines[key]} already", "name")
            lines[key] = reader.line_num
        if not rows:
            raise Invalid("there is no subreddit in it", "name")
    except Invalid as error:
        raise Invalid(f"{source}, line {max(reader.line_num, 1)}, {error.field}: {error}", error.field) from error
    except csv.Error as error:
        # Its own count: DictReader has one that lags behind when a line fails.
        raise Invalid(f"{source}, line {reader.reader.line_num}: {error}", "line") from error
    return rows


def _row(row: dict[str | None, str | None]) -> WatchedSubreddit:
    # DictReader puts what is too much under None, and None for what is missing.
    if None in row or None in row.values():
        raise Invalid(f"needs {len(COLUMNS)} values", "line")
    name, interval, priority = ((row[column] or "").strip() for column in COLUMNS)
    return WatchedSubreddit(checked_name(name), checked_interval(interval), checked_priority(priority))
