"""The keys of our advisory locks: the first key is the same for all, the second is one per purpose."""

from datetime import datetime

# "sgfl" as a number: another program on the same database is unlikely to use the same one.
LOCK_SPACE = 0x7367666C

MIGRATION_LOCK = 1
PARTITION_LOCK = 2
ERASURE_LOCK = 3


def rollup_lock(hour: datetime) -> int:
    """The key of the rollup of one hour: hours since 1970, which are far above the other keys."""
    return int(hour.timestamp()) // 3600
