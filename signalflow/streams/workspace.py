"""A worker's directory on disk. It holds RocksDB, belongs to one process, and must match the changelog."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import rocksdict
import structlog
from faust.stores.rocksdb import Store

from signalflow.errors import Fatal
from signalflow.kafka.cluster_health import cluster_id
from signalflow.kafka.offsets import end_offsets
from signalflow.kafka.topics import POST_STATE_TABLE, TopicNames
from signalflow.settings import Settings

log = structlog.get_logger()

MAX_WORKERS_ON_A_MACHINE = 64


class Workspace:
    """The directory of one worker on this machine. `slot` counts from 0.

    `lock` is an open descriptor of the file `lock` in the directory. It carries an exclusive flock, which makes
    `claim_workspace` of every other process fail or choose another directory. The descriptor stays open until the
    process ends. Then the kernel releases the flock, even after a kill, so no stale lock is left behind.
    """

    def __init__(self, name: str, slot: int, path: Path, lock: int) -> None:
        self.name, self.slot, self.path = name, slot, path
        self._lock = lock


def claim_workspace(settings: Settings) -> Workspace:
    """Lock the directory of the configured worker name; without a name, the first free one of worker-1, worker-2, ...

    Raises Fatal when another process holds it: two processes on one RocksDB would wait for each other.
    """
    root = settings.state_dir / "workers"
    names = (
        [settings.worker_name]
        if settings.worker_name
        else [f"worker-{n}" for n in range(1, MAX_WORKERS_ON_A_MACHINE + 1)]
    )
    for slot, name in enumerate(names):
        path = root / name
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        return Workspace(name, slot, path, lock)
    raise Fatal(
        f"{root / names[-1]} is in use by another worker; give this one another SIGNALFLOW_WORKER_NAME or "
        "SIGNALFLOW_STATE_DIR"
    )


async def fit_to_changelog(settings: Settings, workspace: Workspace) -> bool:
    """Wipe local state that cannot come from this cluster's changelog. Recovery restores it. True when it was wiped.

    State is wiped when it was made on another cluster, or when it is ahead of the changelog because the topic was
    created anew or lost records. Raises Retryable when Kafka is away, Fatal when it refuses the connection settings.
    """
    topic = TopicNames.of(settings).post_state_changelog
    marker, data = workspace.path / "cluster", workspace.path / "data"
    cluster, ends = await _cluster_and_ends(settings, topic)
    reason = ""
    if marker.exists() and marker.read_text() != cluster:
        reason = "made on another Kafka cluster"
    elif any(offset >= ends.get(partition, 0) for partition, offset in _persisted_offsets(data)):
        reason = "ahead of its changelog"
    if reason:
        log.warning("local_state_wiped", path=str(data), reason=reason)
        shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True, exist_ok=True)
    marker.write_text(cluster)
    return bool(reason)


def _persisted_offsets(data: Path) -> Iterator[tuple[int, int]]:
    """(partition, changelog offset) of every local store."""
    for path in sorted(data.glob(f"v*/tables/{POST_STATE_TABLE}-*.db")):
        database = rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True))
        try:
            offset = database.get(Store.offset_key)
        finally:
            database.close()
        if offset is not None:
            yield int(path.stem.rpartition("-")[2]), int(offset)


async def _cluster_and_ends(settings: Settings, topic: str) -> tuple[str, dict[int, int]]:
    ends = await end_offsets(settings, [(topic, partition) for partition in range(settings.topic_partitions)])
    return await cluster_id(settings), {partition: end for (_, partition), end in ends.items()}
