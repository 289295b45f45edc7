"""The file of a backup: a tar archive with the dump of pg_dump and, after it, the manifest.

Whoever has only the file can unpack it and use pg_restore by hand.
"""

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Literal
from uuid import UUID

from pydantic import BaseModel, ValidationError

from signalflow.domain.words import SchemaMode
from signalflow.errors import Fatal

Progress = Callable[[int], None]
"""Is told how many more bytes are done."""

CHUNK = 1 << 20
_DUMP, _MANIFEST = "database.dump", "manifest.json"
_BLOCK = tarfile.BLOCKSIZE


class Topic(BaseModel):
    """A topic that fills the tables: by partition, the offset below which all of its records are in the tables.

    `name`: None when no worker has noted it yet, or when it is a former topic that was made anew since.
    """

    id: UUID
    name: str | None
    positions: dict[int, int]


class Contents(BaseModel):
    """What the snapshot of a backup holds. `rows`: how many, by table."""

    made_at: datetime
    revision: str
    mode: SchemaMode
    postgres: int
    """Major version of the server."""
    timescaledb: str | None
    rows: dict[str, int]
    topics: list[Topic]


class Manifest(Contents):
    """What is in a backup, and how it was made."""

    format: Literal[1] = 1
    pg_dump: int
    """Major version of the program."""
    bytes: int
    sha256: str


@contextmanager
def _troubles_of(path: Path) -> Iterator[None]:
    """Raise Fatal for a full disk and the like, which otherwise look as if the database were away."""
    try:
        yield
    except OSError as error:
        raise Fatal(f"{path}: {error.strerror or error}") from error


class Writer:
    """Writes the file of a backup: the dump in pieces, whose size is known only at its end, then the manifest.

    Its methods raise Fatal when the file cannot be written.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path, self._hash, self.written = file, path, hashlib.sha256(), 0
        with _troubles_of(path):
            file.write(bytes(_BLOCK))

    def write(self, some: bytes) -> None:
        """Append a piece of the dump."""
        with _troubles_of(self._path):
            self._file.write(some)
        self._hash.update(some)
        self.written += len(some)

    def finish(self, contents: Contents, pg_dump: int) -> Manifest:
        """Write the manifest and the header of the dump, and bring all to the disk."""
        manifest = Manifest(**contents.model_dump(), pg_dump=pg_dump, bytes=self.written, sha256=self._hash.hexdigest())
        text = manifest.model_dump_json(indent=1).encode()
        with _troubles_of(self._path):
            self._file.write(bytes(-self.written % _BLOCK))
            self._file.write(_header(_MANIFEST, len(text), manifest.made_at) + text + bytes(-len(text) % _BLOCK))
            self._file.write(bytes(2 * _BLOCK))
            self._file.seek(0)
            self._file.write(_header(_DUMP, self.written, manifest.made_at))
            self._file.flush()
            os.fsync(self._file.fileno())
        return manifest


@contextmanager
def new_archive(path: Path) -> Iterator[Writer]:
    """A new file that only its owner may read. It gets its name at the end, and is removed when the block fails.

    Raises Fatal when there is a file of that name, or it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    with _troubles_of(path):
        if path.exists():
            raise Fatal(f"{path} exists: give the name of a new file")
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise Fatal(f"{part} exists: another backup is being written to it, or one was killed; remove it") from None
    file = os.fdopen(descriptor, "wb")
    try:
        yield Writer(file, path)
        with _troubles_of(path):
            part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        # Either all is on the disk, or something has failed before.
        with suppress(OSError):
            file.close()


class Archive:
    """A backup to read."""

    def __init__(self, path: Path) -> None:
        """Raises Fatal when the file is no backup, or not a whole one."""
        try:
            with tarfile.open(path) as members:
                self._at = members.getmember(_DUMP).offset_data
                text = members.extractfile(_MANIFEST)
                assert text is not None
                self.manifest = Manifest.model_validate_json(text.read())
        except (tarfile.ReadError, EOFError) as error:
            raise Fatal(_not_whole(path) if _begins_as_backup(path) else f"{path} is no backup") from error
        except KeyError as error:
            raise Fatal(_not_whole(path) if _DUMP not in str(error) else f"{path} is no backup") from error
        except ValidationError as error:
            raise Fatal(f"{path} is a backup of another version of signalflow: use that one") from error
        self.path = path

    def check(self, progress: Progress) -> None:
        """Raises Fatal when the dump is not what was written."""
        found = hashlib.sha256()
        for some in self.dump(progress):
            found.update(some)
        if found.hexdigest() != self.manifest.sha256:
            raise Fatal(f"{self.path} is damaged: its content is not what was written")

    def dump(self, progress: Progress) -> Iterator[bytes]:
        """The dump, in pieces."""
        left = self.manifest.bytes
        with self.path.open("rb") as file:
            file.seek(self._at)
            while left and (some := file.read(min(CHUNK, left))):
                yield some
                left -= len(some)
                progress(len(some))


def _not_whole(path: Path) -> str:
    return f"{path} is not whole: its end is missing"


def _begins_as_backup(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_DUMP)) == _DUMP.encode()


def _header(name: str, size: int, at: datetime) -> bytes:
    """The header of a member that only its owner may read."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, int(at.timestamp())
    return info.tobuf(tarfile.GNU_FORMAT)
