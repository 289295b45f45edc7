"""Parquet, by pyarrow, which is imported only here: it takes half a second, and is an extra."""

from collections.abc import Sequence

import pyarrow
from pyarrow import parquet

from signalflow.exports.tables import ExportColumn, ExportRow

# Rows of a row group. Readers skip whole groups, and each costs metadata; a group is in memory until it is written.
GROUP_ROWS = 10_000

_TYPES = {
    "text": pyarrow.string(),
    "texts": pyarrow.list_(pyarrow.string()),
    "integer": pyarrow.int64(),
    "number": pyarrow.float64(),
    "flag": pyarrow.bool_(),
    "time": pyarrow.timestamp("us", tz="UTC"),
}


class Parquet:
    """Parquet, compressed with zstd; times are UTC with microseconds. The last bytes tell where everything is."""

    def __init__(self, columns: Sequence[ExportColumn]) -> None:
        self._schema = pyarrow.schema([(column.name, _TYPES[column.kind]) for column in columns])
        self._written = _Written()
        self._writer = parquet.ParquetWriter(self._written, self._schema, compression="zstd")
        self._held: list[ExportRow] = []

    def begin(self) -> bytes:
        """The first bytes of every such file."""
        return self._written.take()

    def rows(self, rows: Sequence[ExportRow]) -> bytes:
        """Nothing until a row group is full."""
        self._held += rows
        if len(self._held) >= GROUP_ROWS:
            self._write_held()
        return self._written.take()

    def end(self) -> bytes:
        """The last row group, and where everything is."""
        if self._held:
            self._write_held()
        self._writer.close()
        return self._written.take()

    def _write_held(self) -> None:
        table = pyarrow.Table.from_pylist([dict(row) for row in self._held], schema=self._schema)
        self._writer.write_table(table, row_group_size=len(self._held))
        self._held = []


class _Written:
    """The file that pyarrow writes: it keeps what was not taken yet, and counts the bytes before it."""

    closed = False

    def __init__(self) -> None:
        self._kept = bytearray()
        self._before = 0

    def write(self, data: bytes) -> int:
        self._kept += data
        return len(data)

    def tell(self) -> int:
        return self._before + len(self._kept)

    def flush(self) -> None:
        """Nothing to do: `take` gives all that was written."""

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        taken, self._kept = bytes(self._kept), bytearray()
        self._before += len(taken)
        return taken
