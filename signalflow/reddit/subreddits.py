"""Reads the subreddits to watch from a CSV file: the 115 defaults of the project, or a file of the operator."""

import csv
import re
from importlib.resources import files
from pathlib import Path

from signalflow.domain.sorts import POST_SORTS, in_order, unknown_sorts
from signalflow.domain.subreddits import PRIORITIES, Priority, WatchedSubreddit
from signalflow.errors import Invalid

COLUMNS = ("name", "interval_seconds", "priority")
PAUSED_COLUMN = "paused"
COMMENTS_COLUMN = "comments"
POST_SORT_COLUMN = "post_sort"
OPTIONAL_COLUMNS = (PAUSED_COLUMN, COMMENTS_COLUMN, POST_SORT_COLUMN)
MIN_INTERVAL, MAX_INTERVAL = 5, 86_400
_NAME = re.compile(r"[A-Za-z0-9_]{2,21}|u_[A-Za-z0-9_-]{1,30}")
# A name as people copy it from a text or from the browser's address line.
_AS_WRITTEN = re.compile(r"^(?:(?:https?://)?(?:[a-z]+\.)?reddit\.com)?/?(?:r/)?(?P<name>[^/]*)/?$", re.ASCII)
# Listings that Reddit makes of many subreddits; their names look like subreddits.
_NO_SUBREDDITS = frozenset({"all", "popular", "mod", "friends", "random", "randnsfw", "myrandom"})


def checked_name(text: str) -> str:
    """The name of a subreddit, without r/ and without the address. Raises Invalid when it cannot be a name."""
    match = _AS_WRITTEN.match(text.strip())
    name = match["name"] if match else ""
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{text[:80]!r} is not the name of a subreddit: 2 to 21 letters, digits and _, or u_ and a user", "name"
        )
    if name.lower() in _NO_SUBREDDITS:
        raise Invalid(f"r/{name} is a listing of many subreddits: name the subreddits themselves", "name")
    return name


def checked_interval(text: str) -> int:
    """Seconds between two polls. Raises Invalid unless this is a whole number from MIN_INTERVAL to MAX_INTERVAL."""
    if not (text.isascii() and text.isdigit() and len(text) < 9 and MIN_INTERVAL <= int(text) <= MAX_INTERVAL):
        raise Invalid(
            f"{text!r} is not a whole number from {MIN_INTERVAL} to {MAX_INTERVAL} seconds", "interval_seconds"
        )
    return int(text)


def checked_priority(text: str) -> Priority:
    """The priority with this name. Raises Invalid when there is none."""
    for priority in PRIORITIES:
        if text == priority:
            return priority
    raise Invalid(f"{text!r} is not one of {', '.join(PRIORITIES)}", "priority")


def checked_flag(text: str, column: str) -> bool:
    """True for `true`, False for `false` and for an empty text. Raises Invalid for anything else."""
    if text.lower() not in ("", "true", "false"):
        raise Invalid(f"{text!r} is neither true nor false", column)
    return text.lower() == "true"


def checked_sorts(text: str) -> tuple[str, ...]:
    """The listings with these names, between spaces, and `new`. Raises Invalid for a name that is none."""
    names = text.lower().split()
    if unknown := unknown_sorts(names):
        raise Invalid(f"{unknown[0]!r} is not one of {', '.join(POST_SORTS)}", POST_SORT_COLUMN)
    return in_order(names)


def read_subreddits(path: Path | None = None) -> list[WatchedSubreddit]:
    """The subreddits of a CSV file, or the defaults.

    The columns are name, interval_seconds, priority and, optionally, paused, comments and post_sort. A name may occur
    once, in any case. Raises Invalid, which names file, line and field of the first mistake.
    """
    source = path or files("signalflow.data").joinpath("subreddits.csv")
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(f"{source} is not UTF-8 (byte {error.start}): save it as UTF-8", "path") from error
    except OSError as error:
        raise Invalid(f"{source}: {error.strerror or error}", "path") from error
    return parse_subreddits(text, str(source))


def parse_subreddits(text: str, source: str) -> list[WatchedSubreddit]:
    """The subreddits of a CSV text, as in `read_subreddits`. `source` is its name in error messages."""
    reader = csv.DictReader(text.splitlines(), strict=True)
    lines: dict[str, int] = {}
    rows: list[WatchedSubreddit] = []
    try:
        if sorted(set(reader.fieldnames or ()) - {*OPTIONAL_COLUMNS}) != sorted(COLUMNS):
            optional = ", ".join(OPTIONAL_COLUMNS)
            raise Invalid(f"the header must be {','.join(COLUMNS)}, with or without any of {optional}", "header")
        for row in reader:
            rows.append(_row(row))
            key = rows[-1].name.lower()
            if key in lines:
                raise Invalid(f"{rows[-1].name!r} is already in line {lines[key]}", "name")
            lines[key] = reader.line_num
        if not rows:
            raise Invalid("the file has no subreddit", "name")
    except Invalid as error:
        raise Invalid(f"{source}, line {max(reader.line_num, 1)}, {error.field}: {error}", error.field) from error
    except csv.Error as error:
        # The inner reader knows the line number: DictReader has not counted the line that failed.
        raise Invalid(f"{source}, line {reader.reader.line_num}: {error}", "line") from error
    return rows


def _row(row: dict[str | None, str | None]) -> WatchedSubreddit:
    # DictReader puts surplus values under the key None, and gives None for missing values.
    if None in row or None in row.values():
        raise Invalid(f"the line must have {len(row) - (None in row)} values", "line")
    name, interval, priority = ((row[column] or "").strip() for column in COLUMNS)
    paused, comments = (
        checked_flag((row.get(column) or "").strip(), column) for column in (PAUSED_COLUMN, COMMENTS_COLUMN)
    )
    return WatchedSubreddit(
        checked_name(name),
        checked_interval(interval),
        checked_priority(priority),
        paused,
        comments,
        checked_sorts(row.get(POST_SORT_COLUMN) or ""),
    )
