"""Reads the rows of a table in text, such as CSV, whose first line names its columns.

A row may stretch over lines, where a text in quotes does. An empty cell is a missing value. A bad row harms no other,
but a quote that is never closed hides the rows behind it until a cell is too long. Memory is bounded by the longest
line and the longest cell.
"""

import csv
import re
from collections.abc import Iterator
from typing import BinaryIO

from signalflow.errors import Invalid
from signalflow.reddit.file_values import MAX_LINE_BYTES, Value

_DELIMITERS = re.compile(r"[,;|\t]")
_COLUMNS = frozenset(
    {"id", "name", "title", "subreddit", "author", "score", "created_utc", "num_comments", "body", "link_id"}
)
# Longer than any text of Reddit, which has up to 40,000 characters, or twice as many where it is escaped for HTML.
_LONGEST_CELL = 131_072


def delimiter_of(start: str) -> str | None:
    """What stands between the cells of a table that begins with this text; None when it is no table."""
    line = start.lstrip("\ufeff \r\n").partition("\n")[0]
    if line.startswith(("{", "[")):
        return None
    found = {
        delimiter: len(_COLUMNS.intersection(cell.strip(" \"'\r") for cell in line.split(delimiter)))
        for delimiter in set(_DELIMITERS.findall(line))
    }
    best = max(found, key=lambda delimiter: found[delimiter], default=None)
    return best if best is not None and found[best] > 1 else None


def rows_in(text: BinaryIO, delimiter: str) -> Iterator[Value]:
    """The rows of a table in UTF-8, each with the number of the line in which it begins."""
    lines = _Lines(text)
    csv.field_size_limit(_LONGEST_CELL)
    # Without `strict` a quote within a cell is a character, as many programs write it.
    reader = csv.reader(lines, delimiter=delimiter)
    columns: list[str] = []
    while True:
        first = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.take_too_long()
            yield first, Invalid(f"not a row of the table: {error}")
            continue
        if not cells:
            continue
        if not columns:
            columns = [cell.strip() for cell in cells]
        elif lines.take_too_long():
            yield first, Invalid(f"a line longer than {MAX_LINE_BYTES} bytes")
        elif len(cells) != len(columns):
            yield first, Invalid(f"{len(cells)} cells, where the table has {len(columns)} columns")
        else:
            yield first, {name: cell for name, cell in zip(columns, cells, strict=True) if cell and name}


class _Lines:
    """The lines of a text, each cut after MAX_LINE_BYTES. Bytes that are not UTF-8 become lone surrogates."""

    def __init__(self, text: BinaryIO) -> None:
        self._text = text
        self._is_too_long = False
        self.number = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_LINE_BYTES)
        if not line:
            raise StopIteration
        self.number += 1
        rest = line
        while len(rest) == MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = self._text.readline(MAX_LINE_BYTES)
            self._is_too_long = True
        return line.decode("utf-8", "surrogateescape")

    def take_too_long(self) -> bool:
        """Whether a line was cut since this was asked last."""
        self._is_too_long, was = False, self._is_too_long
        return was
