"""An export into a file: what is written so far is noted after each page, so that the next run can go on there."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, ExitStack, aclosing, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from signalflow.cli.installation import installation_settings
from signalflow.clock import utcnow
from signalflow.errors import Fatal, Invalid, Retryable
from signalflow.exports.formats import CONTINUABLE, Format, FormatName, format_of
from signalflow.exports.pseudonyms import Pseudonyms
from signalflow.exports.tables import TABLES, TableName, place_of, time_of
from signalflow.settings import Settings
from signalflow.storage.comment_list import CommentFilters
from signalflow.storage.export_pages import pages_of_comments, pages_of_history, pages_of_posts, pages_of_signals
from signalflow.storage.pool import create_pool
from signalflow.storage.post_filters import Filters
from signalflow.storage.read_router import ReadRouter
from signalflow.storage.signals import SignalFilter

Shown = Callable[["Summary"], None]

NAMES: dict[TableName, str] = {
    "posts": "posts",
    "comments": "comments",
    "history": "observations",
    "signals": "signals",
}
"""What the rows of a table are called."""


@dataclass(frozen=True, slots=True)
class Export:
    """Which rows, and how they are written. Names are case-insensitive."""

    table: TableName
    format: FormatName
    subreddits: tuple[str, ...]
    author: str | None
    words: str | None
    created_from: datetime | None
    created_to: datetime | None
    pseudonyms: bool

    def pages(self, reads: ReadRouter, after: str | None) -> AsyncGenerator[list[dict[str, Any]]]:
        """The rows, page by page; those behind the row at the place `after`, if given."""
        if self.table == "comments":
            of_comments = CommentFilters(self.subreddits, self.author, self.words, self.created_from, self.created_to)
            return pages_of_comments(reads, of_comments, after=after)
        if self.table == "signals":
            of_signals = SignalFilter(subreddits=self.subreddits, since=self.created_from, until=self.created_to)
            return pages_of_signals(reads, of_signals, after=after)
        of_posts = Filters(
            self.subreddits,
            self.author,
            self.words,
            created_from=self.created_from,
            created_to=self.created_to,
        )
        pages = pages_of_history if self.table == "history" else pages_of_posts
        return pages(reads, of_posts, now=utcnow(), after=after)

    @property
    def document(self) -> dict[str, Any]:
        """What must be the same for an export to go on."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        return found


@dataclass(frozen=True, slots=True)
class Summary:
    """What is written: rows, bytes, and the last row's place and time, by which rows are ordered."""

    rows: int = 0
    bytes: int = 0
    last: str | None = None
    time: datetime | None = None


class _Part:
    """The file while it is written, and the note beside it of how far it is."""

    def __init__(self, asked: Export, to: Path) -> None:
        self._asked, self._to = asked, to
        self.file = to.with_name(f"{to.name}.part")
        self._note = to.with_name(f"{to.name}.part.json")

    def begin(self, *, resume: bool) -> tuple[Summary, str | None]:
        """How far it is, and the key of its pseudonyms. Raises Invalid where something else would be overwritten."""
        if self._to.exists():
            raise Invalid(f"{self._to} exists: choose another name, or remove it")
        if not self.is_noted:
            return Summary(), None
        if not resume:
            raise Invalid(f"{self.file} is of an export that was broken off: --resume goes on with it, or remove it")
        note = json.loads(self._note.read_text(encoding="utf-8"))
        if note["asked"] != self._asked.document:
            raise Invalid(f"{self.file} is of an export of other rows, or in another form: {json.dumps(note['asked'])}")
        if not self.file.exists() or self.file.stat().st_size < note["bytes"]:
            raise Invalid(f"{self.file} has lost its end: remove it and {self._note}")
        return Summary(note["rows"], note["bytes"], note["last"]), note["key"]

    @property
    def is_noted(self) -> bool:
        """Whether an export can go on with it."""
        return self._note.exists()

    def note(self, done: Summary, key: str | None) -> None:
        """Note that the file is good until here."""
        text = json.dumps(
            {"asked": self._asked.document, "rows": done.rows, "bytes": done.bytes, "last": done.last, "key": key}
        )
        new = self._note.with_name(f"{self._note.name}.new")
        # The key of the pseudonyms is in it, until the export is whole.
        new.touch(mode=0o600)
        new.write_text(text, encoding="utf-8")
        os.replace(new, self._note)

    def broken_off(self) -> None:
        """Say how to go on, or remove what nothing can go on with."""
        if self.is_noted:
            print(f"{self.file} holds what is written so far: --resume goes on with it", file=sys.stderr)
        else:
            self.file.unlink(missing_ok=True)

    def end(self) -> None:
        """Give the whole file its name."""
        os.replace(self.file, self._to)
        self._note.unlink(missing_ok=True)


def run(asked: Export, to: Path | None, *, resume: bool) -> Summary:
    """Write the export to a file; without one, to standard output.

    Raises Invalid for a file that is there, and where rows or format cannot be given; Retryable and Fatal when the
    database fails.
    """
    settings = installation_settings()
    with _Shown(NAMES[asked.table]) as shown:
        try:
            return asyncio.run(_run(settings, asked, to, resume, shown))
        except (Retryable, Fatal, OSError, KeyboardInterrupt):
            if to is not None:
                _Part(asked, to).broken_off()
            raise


async def _run(settings: Settings, asked: Export, to: Path | None, resume: bool, shown: Shown) -> Summary:
    part = None if to is None else _Part(asked, to)
    done, key = (Summary(), None) if part is None else part.begin(resume=resume)
    names = None
    if asked.pseudonyms:
        key = settings.pseudonym_key.get_secret_value() or key or Pseudonyms.new_key()
        names = Pseudonyms(key)
    writer = format_of(asked.format, TABLES[asked.table])
    is_noted = part is not None and asked.format in CONTINUABLE
    async with await create_pool(settings, application_name="signalflow-export") as pool:
        with ExitStack() as stack:
            file = stack.enter_context(_opened(part, done))
            reads, begun = ReadRouter(pool, None, 0.0), done
            async for done in _written(asked, reads, writer, names, begun, file):
                if part is not None and is_noted:
                    part.note(done, None if settings.pseudonym_key.get_secret_value() else key)
                shown(done)
    if part is not None:
        part.end()
    return done


async def _written(
    asked: Export, reads: ReadRouter, writer: Format, names: Pseudonyms | None, done: Summary, file: BinaryIO
) -> AsyncGenerator[Summary]:
    """Write all rows behind what is done; how far it is after each page."""

    def write(data: bytes, summary: Summary) -> Summary:
        file.write(data)
        file.flush()
        return replace(summary, bytes=summary.bytes + len(data))

    begin = b"" if done.last else writer.begin()
    async with aclosing(asked.pages(reads, done.last)) as pages:
        async for page in pages:
            rows = page if names is None else [names.row(row) for row in page]
            last = page[-1]
            done = Summary(done.rows + len(rows), done.bytes, place_of(asked.table, last), time_of(asked.table, last))
            done = write(begin + writer.rows(rows), done)
            begin = b""
            yield done
    yield write(begin + writer.end(), done)


def _opened(part: _Part | None, done: Summary) -> AbstractContextManager[BinaryIO]:
    if part is None:
        return nullcontext(sys.stdout.buffer)
    file = part.file.open("r+b" if done.last else "wb")
    # A page may have been written and not noted.
    file.truncate(done.bytes)
    file.seek(done.bytes)
    return file


class _Shown:
    """The number of rows on the terminal, and where in time the export is. How many there will be is not known."""

    def __init__(self, rows: str) -> None:
        self._rows = rows
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip

    def __enter__(self) -> Shown:
        self._progress.start()
        self._task = self._progress.add_task("asking the database", total=None)
        return self._show

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _show(self, done: Summary) -> None:
        back_to = f", back to {done.time:%Y-%m-%d %H:%M} UTC" if done.time else ""
        self._progress.update(self._task, description=f"{done.rows:,} {self._rows}{back_to}")
