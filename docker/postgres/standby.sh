#!/bin/sh
# Starts a streaming standby of the primary. On an empty volume it copies the primary first.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # A copy that was interrupted begins anew.
    rm -rf "$PGDATA.copy"
    PGPASSWORD=$DATABASE_REPLICATION_PASSWORD pg_basebackup --pgdata="$PGDATA.copy" \
        --dbname="host=$PRIMARY_HOST port=${PRIMARY_PORT:-5432} user=replicator" \
        --slot=standby --wal-method=stream --checkpoint=fast --write-recovery-conf
    mv "$PGDATA.copy" "$PGDATA"
fi
exec docker-entrypoint.sh postgres "$@"
