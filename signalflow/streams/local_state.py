"""The RocksDB stores of one worker's table. They are a cache of the changelog, and must be wiped where they are not.

A store that cannot be read, that was made from another changelog, or that is ahead of its changelog is wiped before
recovery reads its offset. Recovery then restores it from the beginning of the changelog.
"""

import asyncio
import gc
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from signalflow.errors import Retryable
from signalflow.kafka.admin import create_topics
from signalflow.kafka.cluster_health import cluster_id
from signalflow.kafka.topic_ids import topic_ids
from signalflow.metrics import LOCAL_STATE_WIPED
from signalflow.settings import Settings

log = structlog.get_logger()

# What RocksDB says of a damaged file, and of one that is missing.
_DAMAGE = ("Corruption", "No such file")
# And of a disk without space. It goes on by itself, seconds after there is some again.
_NO_SPACE = ("No space left on device", "Disk quota exceeded")


def lacks_space(error: Exception) -> bool:
    """Whether RocksDB could not write because its disk is full."""
    return any(sign in str(error) for sign in _NO_SPACE)


def is_damage(error: Exception) -> bool:
    """Whether RocksDB cannot read its files, and not only now. rocksdict has no error classes of its own."""
    return any(sign in str(error) for sign in _DAMAGE)


async def changelog_identity(settings: Settings, changelog: str) -> str:
    """The ids of the cluster and of this changelog. A changelog that is missing is made first.

    Raises Retryable when Kafka is away, Fatal when it refuses the connection settings.
    """
    ids = await topic_ids(settings, [changelog])
    if changelog not in ids:
        await create_topics(settings)
        ids = await topic_ids(settings, [changelog])
    if changelog not in ids:
        raise Retryable(f"there is no topic {changelog} yet")
    return f"{await cluster_id(settings)} {ids[changelog]}"


class LocalState:
    """The stores of one table in the directory of one worker.

    A file in `directory` names the changelog from which the stores were made.
    """

    def __init__(self, directory: Path, stores: Any) -> None:
        self._recorded = directory / f"{stores.table_name}.changelog"
        self._stores = stores

    def is_of(self, changelog: UUID) -> bool:
        """Whether the stores were made from the changelog with this id, as far as is known."""
        recorded = self._made_from()
        return recorded is None or recorded.endswith(f" {changelog}")

    async def wipe_unreadable(self, partitions: Iterable[int]) -> None:
        """Wipe the stores of these partitions that RocksDB cannot open, or cannot read to the end.

        Raises RocksDB's error when a store cannot be opened for another reason than damage.
        """
        for partition in sorted(partitions):
            damage = await asyncio.to_thread(self._damage, partition)
            if damage:
                self._wipe([partition], f"unreadable: {damage}")

    def fit(self, identity: str, ends: Mapping[int, int]) -> set[int]:
        """Wipe the stores that are not of this changelog; returns the partitions of `ends` whose stores were wiped.

        `ends`: by partition, the offset of the changelog's last record, -1 when there is none.
        """
        recorded = self._made_from()
        wiped: set[int] = set()
        if recorded is not None and recorded != identity:
            self._wipe(self._partitions(), "made from another changelog")
            wiped = set(ends)
        else:
            wiped = {partition for partition, end in ends.items() if self._offset(partition) > end}
            if wiped:
                self._wipe(wiped, "ahead of its changelog")
        self._recorded.write_text(identity)
        return wiped

    def _made_from(self) -> str | None:
        """The identity of the changelog from which the stores were made; None when it is not known."""
        return self._recorded.read_text() if self._recorded.exists() else None

    def _path(self, partition: int) -> Path:
        return Path(self._stores.partition_path(partition))

    def _partitions(self) -> list[int]:
        """The partitions that have a store on disk, whether or not they are assigned."""
        pattern = self._path(0).name.replace("-0.", "-*.")
        return sorted(int(path.stem.rpartition("-")[2]) for path in self._path(0).parent.glob(pattern))

    def _damage(self, partition: int) -> str:
        """Why a store cannot be read; empty when it can, or does not exist. A store of 40,000 states takes 40 ms."""
        if partition in self._stores._dbs or not self._path(partition).exists():
            return ""
        try:
            store = self._stores._open_for_partition(partition)
            try:
                values = store.iter()
                values.seek_to_first()
                while values.valid():
                    values.next()
                values.status()
            finally:
                del values
                store.close()
        except Exception as error:
            if not is_damage(error):
                raise
            return str(error)
        return ""

    def _offset(self, partition: int) -> int:
        found = self._stores._db_for_partition(partition).get(self._stores.offset_key)
        return -1 if found is None else int(found)

    def _wipe(self, partitions: Collection[int], reason: str) -> None:
        for partition in partitions:
            store = self._stores._dbs.pop(partition, None)
            if store is not None:
                store.close()
        gc.collect()
        for partition in partitions:
            shutil.rmtree(self._path(partition), ignore_errors=True)
        LOCAL_STATE_WIPED.inc(len(partitions))
        log.warning("local_state_wiped", partitions=sorted(partitions), reason=reason)
