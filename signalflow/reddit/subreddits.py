"""Which subreddits to watch, from a CSV file: the project's 115 defaults or one of the operator's own."""

import csv
import re
from importlib.resources import files
from pathlib import Path

from signalflow.domain.subreddits import PRIORITIES, Priority, WatchedSubreddit
from signalflow.errors import Invalid

COLUMNS = ("name", "interval_seconds", "priority")
PAUSED_COLUMN = "paused"
MIN_INTERVAL, MAX_INTERVAL = 5, 86_400
_NAME = re.compile(r"[A-Za-z0-9_]{2,21}|u_[A-Za-z0-9_-]{1,30}")
# A name as people copy it: out of a sentence or out of the address line.
_AS_WRITTEN = re.compile(r"^(?:(?:https?://)?(?:[a-z]+\.)?reddit\.com)?/?(?:r/)?(?P<name>[^/]*)/?$", re.ASCII)
# Listings of Reddit's own that look like subreddits.
_NO_SUBREDDITS = frozenset({"all", "popular", "mod", "friends", "random", "randnsfw", "myrandom"})


def checked_name(text: str) -> str:
    """A subreddit's name, without the r/ or the address that people write with it. Raises Invalid when it cannot be one."""
    match = _AS_WRITTEN.match(text.strip())
    name = match["name"] if match else ""
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{text[:80]!r} is no name of a subreddit: 2 to 21 letters, digits and _, or u_ and a user", "name"
        )
    if name.lower() in _NO_SUBREDDITS:
        raise Invalid(f"r/{name} is a listing of Reddit's own, made of others: name the subreddits themselves", "name")
    return name


def checked_interval(text: str) -> int:
    """Seconds between two looks. Raises Invalid unless it is a whole number from MIN_INTERVAL to MAX_INTERVAL."""
    if not (text.isascii() and text.isdigit() and len(text) < 9 and MIN_INTERVAL <= int(text) <= MAX_INTERVAL):
        raise Invalid(f"{text!r} is no whole number from {MIN_INTERVAL} to {MAX_INTERVAL} seconds", "interval_seconds")
    return int(text)


def checked_priority(text: str) -> Priority:
    """The priority of this name. Raises Invalid when there is none."""
    for priority in PRIORITIES:
        if text == priority:
            return priority
    raise Invalid(f"{text!r} is none of {', '.join(PRIORITIES)}", "priority")


def checked_paused(text: str) -> bool:
    """Whether true or false is written there; nothing is false. Raises Invalid for anything else."""
    if text.lower() not in ("", "true", "false"):
        raise Invalid(f"{text!r} is neither true nor false", PAUSED_COLUMN)
    return text.lower() == "true"


def read_subreddits(path: Path | None = None) -> list[WatchedSubreddit]:
    """The subreddits of a CSV file with the columns name, interval_seconds, priority and, if one likes, paused; without a path the defaults.

    Raises Invalid that names file, line and field of the first mistake; a name may stand there once, however it is spelled.
    """
    source = path or files("signalflow.data").joinpath("subreddits.csv")
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(f"{source}: not UTF-8: {error}", "path") from error
    except OSError as error:
        raise Invalid(f"{source}: {error.strerror or error}", "path") from error
    return parse_subreddits(text, str(source))


def parse_subreddits(text: str, source: str) -> list[WatchedSubreddit]:
    """The subreddits of CSV text, see `read_subreddits`; `source` is what mistakes are reported of."""
    reader = csv.DictReader(text.splitlines(), strict=True)
    lines: dict[str, int] = {}
    rows: list[WatchedSubreddit] = []
    try:
        if sorted(set(reader.fieldnames or ()) - {PAUSED_COLUMN}) != sorted(COLUMNS):
            raise Invalid(f"the header must be {','.join(COLUMNS)}, with {PAUSED_COLUMN} or without", "header")
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
        raise Invalid(f"needs {len(row) - (None in row)} values", "line")
    name, interval, priority, paused = ((row.get(column) or "").strip() for column in (*COLUMNS, PAUSED_COLUMN))
    return WatchedSubreddit(
        checked_name(name), checked_interval(interval), checked_priority(priority), checked_paused(paused)
    )
