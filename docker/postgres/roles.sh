#!/bin/sh
# Runs once, on the empty primary: the roles of the other services, each with what it needs and no more.
set -eu
psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<'SQL'
\getenv owner DATABASE_PASSWORD
\getenv reader DATABASE_READER_PASSWORD
\getenv replication DATABASE_REPLICATION_PASSWORD
\getenv exporter DATABASE_EXPORTER_PASSWORD
CREATE ROLE signalflow LOGIN PASSWORD :'owner';
ALTER DATABASE :"DBNAME" OWNER TO signalflow;
CREATE ROLE reader LOGIN PASSWORD :'reader' IN ROLE pg_read_all_data;
CREATE ROLE exporter LOGIN PASSWORD :'exporter' IN ROLE pg_monitor;
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replication';
SELECT pg_create_physical_replication_slot('standby');
SQL
echo 'host replication replicator all scram-sha-256' >> "$PGDATA/pg_hba.conf"
