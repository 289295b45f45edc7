"""Formats of exports. Each turns rows into bytes, part by part, so that no file is ever in memory as a whole.

A row is a dictionary with the columns of `tables.py`; its times are in UTC.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias

import orjson

from signalflow.errors import Invalid
from signalflow.exports.tables import ExportColumn, ExportRow, iso

FormatName: TypeAlias = Literal["csv", "ndjson", "parquet"]
MEDIA_TYPES: dict[FormatName, str] = {
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
CONTINUABLE: tuple[FormatName, ...] = ("csv", "ndjson")
"""Formats of which a file may be written in two parts, one behind the other."""

# A program for spreadsheets takes a cell that begins like this for a formula, and runs it (CWE-1236).
_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Format(Protocol):
    """Writes one export: `begin` once, `rows` any number of times, `end` once."""

    def begin(self) -> bytes:
        """What stands before the first row; not asked for when a file is continued."""

    def rows(self, rows: Sequence[ExportRow]) -> bytes:
        """These rows; may hold some of them back until later."""

    def end(self) -> bytes:
        """What was held back, and what stands behind the last row."""


class Csv:
    """CSV by RFC 4180 in UTF-8, with a header. Null is an empty cell, a list is JSON, a time is ISO 8601 in UTC.

    A text that a spreadsheet would run as a formula gets an apostrophe in front.
    """

    def __init__(self, columns: Sequence[ExportColumn]) -> None:
        self._columns = columns

    def begin(self) -> bytes:
        """The header."""
        return self._lines([[column.name for column in self._columns]])

    def rows(self, rows: Sequence[ExportRow]) -> bytes:
        """A line for each row."""
        return self._lines([[_cell(column, row[column.name]) for column in self._columns] for row in rows])

    def end(self) -> bytes:
        """Nothing."""
        return b""

    @staticmethod
    def _lines(cells: Sequence[Sequence[str]]) -> bytes:
        lines = io.StringIO()
        csv.writer(lines).writerows(cells)
        return lines.getvalue().encode()


def _cell(column: ExportColumn, value: Any) -> str:
    if value is None:
        return ""
    if column.kind == "time":
        return iso(value)
    if column.kind == "texts":
        return orjson.dumps(value).decode()
    if column.kind == "flag":
        return "true" if value else "false"
    text = str(value)
    return f"'{text}" if column.kind == "text" and text.startswith(_BEGINS_A_FORMULA) else text


class Ndjson:
    """A JSON object on each line, with every column. Times are ISO 8601 in UTC."""

    def __init__(self, columns: Sequence[ExportColumn]) -> None:
        self._names = tuple(column.name for column in columns)

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def rows(self, rows: Sequence[ExportRow]) -> bytes:
        """A line for each row."""
        option = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
        return b"".join(orjson.dumps({name: row[name] for name in self._names}, option=option) for row in rows)

    def end(self) -> bytes:
        """Nothing."""
        return b""


def format_of(name: FormatName, columns: Sequence[ExportColumn]) -> Format:
    """A new writer of a format. Raises Invalid for Parquet where its library is not installed."""
    if name == "csv":
        return Csv(columns)
    if name == "ndjson":
        return Ndjson(columns)
    try:
        from signalflow.exports.parquet import Parquet
    except ModuleNotFoundError as error:
        raise Invalid("Parquet needs pyarrow: install signalflow with the extra [parquet]", "format") from error
    return Parquet(columns)
