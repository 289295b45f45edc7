"""Opens a file of posts as UTF-8, whatever it is packed in. Its first bytes tell the format, never its name."""

import bz2
import codecs
import gzip
import io
import lzma
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from signalflow.errors import Invalid
from signalflow.reddit.file_formats import format_not_read

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHUNK = 1 << 16
# Archives of Reddit are packed with `zstd --long=31`. Without this, windows above 2^27 bytes are refused.
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 31}
# Enough to see each signature; the signature of a tar archive ends at byte 262.
_START = 512


class Readable(Protocol):
    """What can be read and closed: a file, or what unpacks one."""

    def read(self, size: int = -1, /) -> bytes | None:
        """At most `size` bytes, none at the end."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


def _zstd(packed: BinaryIO) -> Readable:
    return zstd.ZstdFile(packed, options=_ZSTD_OPTIONS)


_PACKED: tuple[tuple[bytes, str, Callable[[BinaryIO], Readable]], ...] = (
    (b"\x1f\x8b", "gzip", lambda packed: gzip.GzipFile(fileobj=packed)),
    (b"BZh", "bzip2", bz2.BZ2File),
    (b"\xfd7zXZ\x00", "xz", lzma.LZMAFile),
    (b"\x5d\x00\x00", "LZMA", lzma.LZMAFile),
    (b"\x28\xb5\x2f\xfd", "Zstandard", _zstd),
    # A skippable frame, with which files of parallel packers begin.
    *((bytes([first]) + b"\x2a\x4d\x18", "Zstandard", _zstd) for first in range(0x50, 0x60)),
)
# A browser that saves a packed file may keep it packed once more.
_MOST_PACKINGS = 3
# What the unpackers raise. Some of them raise plain OSError, which is damage too once the file was opened.
_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError)


def can_be_read_twice(path: Path) -> bool:
    """Whether a second reading begins at the start again. With a pipe or a terminal it does not."""
    return stat.S_ISREG(path.stat().st_mode)


@contextmanager
def opened_as_utf8(path: Path) -> Iterator[tuple[io.BufferedReader, Callable[[], int]]]:
    """The content of a file in UTF-8, and a function that tells how many bytes of the file have been read.

    gzip, Zstandard, bzip2 and xz are unpacked, UTF-16 and UTF-32 are converted, byte order mark and NUL bytes are left
    out. Raises Invalid when the file is damaged, cannot be read, or has a format that is not read.
    """
    packing = ""
    try:
        with ExitStack() as stack:
            raw = _Counted(stack.enter_context(path.open("rb", buffering=0)))
            content = _Startable(raw)
            for _ in range(_MOST_PACKINGS):
                for signature, name, unpacked in _PACKED:
                    if content.start.startswith(signature):
                        packing = name
                        content = _Startable(stack.enter_context(closing(unpacked(io.BufferedReader(content, CHUNK)))))
                        break
            encoding = _encoding(content.start)
            if named := format_not_read(content.start, encoding):
                raise Invalid(f"{path} is {named}", field="path")
            yield io.BufferedReader(_Utf8(content, encoding), CHUNK), raw.position
    except _DAMAGE as error:
        raise Invalid(f"{path}: damaged {packing} file: {error}", field="path") from error
    except UnicodeDecodeError as error:
        raise Invalid(f"{path}: damaged {error.encoding.upper()} text: {error.reason}", field="path") from error
    except OSError as error:
        reason = f"damaged {packing} file: {error}" if packing and error.errno is None else error.strerror or error
        raise Invalid(f"{path}: {reason}", field="path") from error


def _encoding(start: bytes) -> str:
    """The encoding that the first bytes show. JSON begins with an ASCII character, in UTF-16 with a NUL beside it."""
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    is_character = [bool(byte) for byte in start[:8]]
    if is_character == [True, False, False, False] * 2:
        return "utf-32-le"
    if is_character == [False, False, False, True] * 2:
        return "utf-32-be"
    pairs = is_character[:4]
    if pairs == [True, False, True, False]:
        return "utf-16-le"
    if pairs == [False, True, False, True]:
        return "utf-16-be"
    return "utf-8"


class _Counted(io.RawIOBase):
    """A file, and how many of its bytes have been read. Unlike `tell`, this works with a pipe."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        count = self._file.readinto(buffer)
        self._count += count
        return count

    def position(self) -> int:
        return self._count


class _Startable(io.RawIOBase):
    """A stream with its first bytes, which are read again from it. Raises what the stream raises."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        start = b""
        while len(start) < _START and (more := stream.read(_START - len(start))):
            start += more
        self.start = self._waiting = start

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        data = self._waiting or self._stream.read(len(buffer)) or b""
        taken, self._waiting = data[: len(buffer)], data[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


class _Utf8(io.RawIOBase):
    """A stream of text, converted to UTF-8, without byte order mark and NUL bytes.

    Crashed machines leave blocks of NUL bytes in the files that they were writing.
    """

    def __init__(self, stream: _Startable, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass") if encoding != "utf-8" else None
        self._waiting = b""
        if stream.start.startswith(codecs.BOM_UTF8):
            stream.read(len(codecs.BOM_UTF8))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        while not self._waiting:
            data = self._stream.read(CHUNK) or b""
            ended = not data
            if self._decoder:
                data = self._decoder.decode(data, ended).encode("utf-8", "surrogatepass")
            self._waiting = data.replace(b"\0", b"")
            if ended:
                break
        taken, self._waiting = self._waiting[: len(buffer)], self._waiting[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)
