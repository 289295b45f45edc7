"""Advisory locks: the first key of all of ours, and the second for each purpose."""

# "sgfl" as a number, so that other users of the database do not meet us by accident.
LOCK_SPACE = 0x7367666C

MIGRATION_LOCK = 1
PARTITION_LOCK = 2
ROLLUP_LOCK = 3
POLLER_LOCK = 4
