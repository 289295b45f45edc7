"""The keys of our advisory locks: the first key is the same for all, the second is one per purpose."""

# "sgfl" as a number: another program on the same database is unlikely to use the same one.
LOCK_SPACE = 0x7367666C

MIGRATION_LOCK = 1
PARTITION_LOCK = 2
ROLLUP_LOCK = 3
