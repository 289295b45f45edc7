"""Values of states as compact bytes: structs, and texts that begin with their length."""

import struct
from collections.abc import Iterable
from typing import Any

_LENGTH = struct.Struct("<H")


def pack_texts(texts: Iterable[str]) -> bytes:
    """Texts one after the other, each of less than 64 kB."""
    encoded = [text.encode() for text in texts]
    return b"".join(_LENGTH.pack(len(text)) + text for text in encoded)


def pack_names(names: Iterable[str]) -> bytes:
    """Names without a NUL, one after the other, of less than 64 kB together. Quicker than texts, one by one."""
    joined = "\0".join(names).encode()
    return _LENGTH.pack(len(joined)) + joined


class Unpacker:
    """Reads one value after the other. Raises ValueError where the first byte is not the version that is known."""

    def __init__(self, value: bytes, version: int, what: str) -> None:
        if not value or value[0] != version:
            raise ValueError(f"{what} of version {value[0] if value else 'none'}, this code knows {version}")
        self._value = value
        self._place = 0

    def numbers(self, layout: struct.Struct) -> tuple[Any, ...]:
        """The numbers of a struct."""
        values = layout.unpack_from(self._value, self._place)
        self._place += layout.size
        return values

    def names(self) -> list[str]:
        """The names that were packed together; one empty name for none."""
        return self.text().split("\0")

    def text(self) -> str:
        """A text."""
        (length,) = self.numbers(_LENGTH)
        begin = self._place
        self._place += length
        return self._value[begin : self._place].decode()
