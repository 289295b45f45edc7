"""Files of hourly snapshots of a listing: who was where, with which score."""

import csv
import gzip
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from signalflow.errors import Invalid

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A post at one moment. `place` is its rank in the listing, 1 at the top; times are seconds since 1970."""

    post: str
    subreddit: str
    created: int
    observed: int
    place: int
    score: int
    comments: int
    ratio: float | None


def _text(text: str) -> str:
    if not text:
        raise ValueError("is empty")
    return text


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"must be a whole number, not {text!r}") from None


def _from(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = _whole(text)
        if number < least:
            raise ValueError(f"must be at least {least}, not {number}")
        return number

    return parse


def _ratio(text: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise ValueError(f"must be between 0 and 1, not {text!r}")
    return number


# An empty ratio is one that Reddit did not tell; all other fields must be there.
_FIELDS: dict[str, Callable[[str], object]] = {
    "post": _text,
    "subreddit": _text,
    "created_utc": _from(0),
    "observed_utc": _from(0),
    "position": _from(1),
    "score": _whole,
    "num_comments": _from(0),
    "upvote_ratio": _ratio,
}


def read_snapshots(path: Path) -> list[Snapshot]:
    """All lines of a CSV file, which may be gzipped, in its order. Raises Invalid, which names line and field."""
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8", newline="")
            if packed
            else path.open(encoding="utf-8", newline="") as lines
        ):
            return list(_rows(cast(IO[str], lines), str(path)))
    except (EOFError, gzip.BadGzipFile, UnicodeDecodeError, csv.Error) as error:
        raise Invalid(f"{path}: {error}") from error


def _rows(lines: IO[str], name: str) -> Iterator[Snapshot]:
    reader = csv.DictReader(lines)
    absent = [field for field in _FIELDS if field not in (reader.fieldnames or ())]
    if absent:
        raise Invalid(f"{name}, line 1: the columns {', '.join(absent)} are missing", absent[0])
    found = False
    for row in reader:
        found = True
        values = [_value(row, field, f"{name}, line {reader.line_num}") for field in _FIELDS]
        snapshot = Snapshot(*values)  # type: ignore[arg-type]
        if snapshot.observed < snapshot.created:
            raise Invalid(f"{name}, line {reader.line_num}: observed_utc is before created_utc", "observed_utc")
        yield snapshot
    if not found:
        raise Invalid(f"{name} has no line after its header")


def _value(row: dict[str, str | None], field: str, where: str) -> object:
    text = row[field]
    if text is None:
        raise Invalid(f"{where}: {field} is missing", field)
    try:
        return _FIELDS[field](text)
    except ValueError as error:
        raise Invalid(f"{where}: {field} {error}", field) from error
