"""How far files were published, kept between runs, so that an interrupted backfill goes on where it stopped."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from signalflow.reddit.file_bytes import can_be_read_twice
from signalflow.reddit.files import Tally

# Of a file so many bytes at its start and at its end are compared.
_COMPARED = 1 << 16


class Bookmark(Struct, frozen=True):
    """How far a file was published: the brokers have confirmed all that the tally counts.

    `observed_at` is the time of observation that the file was published with. `is_done`: nothing is left of it.
    """

    observed_at: datetime
    tally: Tally
    is_done: bool = False


class _Identity(Struct, frozen=True):
    """What a bookmark belongs to: a file with this content, published to these topics, with this time if given."""

    path: str
    size: int
    digest: str
    topics: dict[str, str]
    given: datetime | None


class _Kept(Struct, frozen=True):
    identity: _Identity
    bookmark: Bookmark


class Bookmarks:
    """The bookmarks of files in a directory.

    `topics`: the ids of the topics by name; a topic that was made anew has nothing of a file. `given`: the time of
    observation that the user gave.
    """

    def __init__(self, directory: Path, topics: Mapping[str, str], given: datetime | None) -> None:
        self._directory, self._topics, self._given = directory, dict(topics), given
        self._identities: dict[Path, _Identity] = {}

    def find(self, path: Path) -> Bookmark | None:
        """The bookmark of a file; None if there is none, or the file has changed, or it belongs to other topics."""
        if not can_be_read_twice(path):
            return None
        try:
            kept = msgspec.json.decode(self._place_of(path).read_bytes(), type=_Kept)
        except (FileNotFoundError, msgspec.DecodeError):
            # It was cut when the machine lost its power. Publishing again changes nothing.
            return None
        return kept.bookmark if kept.identity == self._identity_of(path) else None

    def keep(self, path: Path, bookmark: Bookmark) -> None:
        """Replace the bookmark of a file in one step. A pipe has none."""
        if not can_be_read_twice(path):
            return
        place = self._place_of(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        new = place.with_suffix(f".{os.getpid()}")
        new.write_bytes(msgspec.json.encode(_Kept(self._identity_of(path), bookmark)))
        new.replace(place)

    def drop(self, paths: Iterable[Path]) -> None:
        """Remove the bookmarks of these files."""
        for path in paths:
            self._place_of(path).unlink(missing_ok=True)

    def _place_of(self, path: Path) -> Path:
        name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
        return self._directory / f"{name}.json"

    def _identity_of(self, path: Path) -> _Identity:
        # Taken once: a file that changes while it is read is found out by the next run.
        if path not in self._identities:
            size = path.stat().st_size
            self._identities[path] = _Identity(
                path=os.fsencode(path.resolve()).decode("utf-8", "backslashreplace"),
                size=size,
                digest=_digest(path, size),
                topics=self._topics,
                given=self._given,
            )
        return self._identities[path]


def _digest(path: Path, size: int) -> str:
    with path.open("rb") as file:
        start = file.read(_COMPARED)
        file.seek(max(0, size - _COMPARED))
        return hashlib.sha256(start + file.read(_COMPARED)).hexdigest()
