"""One rollup for both modes: the table post_metrics_hourly, which the leader keeps. A hypertable holds history alone.

A continuous aggregate becomes that table. It hides hours that were not refreshed and deletes hours whose history was
dropped, so every hour is taken from where more of its observations are left: the aggregate or the history.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Reading all history takes longer than a migration usually may. SET LOCAL ends with the revision.
NO_TIMEOUT = "SET LOCAL statement_timeout = 0"

# Without its library a hypertable is an ordinary table with children: an INSERT would succeed, and its rows would be
# invisible once the library is back. The setting's row in pg_settings exists only where the library is loaded.
GUARD = """
DO $block$
BEGIN
    IF (SELECT mode FROM schema_info) <> 'timescaledb' THEN
        RETURN;
    END IF;
    CREATE FUNCTION refuse_without_timescaledb() RETURNS trigger LANGUAGE plpgsql AS $function$
    BEGIN
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_settings WHERE starts_with(name, 'timescaledb.')) THEN
            RAISE EXCEPTION 'the server does not load TimescaleDB, which this history needs'
                USING ERRCODE = 'cannot_connect_now', HINT = 'Set shared_preload_libraries to timescaledb.';
        END IF;
        RETURN NULL;
    END $function$;
    CREATE TRIGGER refuse_without_timescaledb BEFORE INSERT ON post_metrics_history
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_without_timescaledb();
END $block$"""

# The leader compresses old chunks one by one. The Apache edition has no compression.
COMPRESSION = """
DO $block$
BEGIN
    IF (SELECT mode FROM schema_info) = 'timescaledb'
        AND current_setting('timescaledb.license', true) = 'timescale' THEN
        ALTER TABLE post_metrics_history SET (timescaledb.compress, timescaledb.compress_segmentby = 'post_id',
            timescaledb.compress_orderby = 'observed_at DESC');
    END IF;
END $block$"""

# Writers wait for the lock until the revision has ended. What they stored before is seen.
BEGIN_CONVERSION = """
DO $block$
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = 'post_metrics_hourly'::regclass) = 'r' THEN
        RETURN;
    END IF;
    PERFORM remove_retention_policy('post_metrics_history', if_exists => true);
    LOCK TABLE post_metrics_history IN SHARE ROW EXCLUSIVE MODE;
    CREATE TABLE post_metrics_hourly_table (
        post_id text COLLATE "C" NOT NULL,
        bucket timestamptz NOT NULL,
        observations bigint NOT NULL,
        min_score integer NOT NULL,
        max_score integer NOT NULL,
        avg_score double precision NOT NULL,
        max_comments integer NOT NULL,
        max_score_velocity double precision,
        max_comment_velocity double precision,
        CONSTRAINT post_metrics_hourly_pkey PRIMARY KEY (post_id, bucket)
    );
    CREATE INDEX post_metrics_hourly_bucket ON post_metrics_hourly_table (bucket);
END $block$"""

# Day by day, because a day fits in memory. A day of which the aggregate knows more than the history was dropped, wholly
# or in part: the history begins after it, so the leader never computes its hours again. The policies dropped no day
# younger than yesterday.
KEEP_EVERY_HOUR = """
DO $block$
DECLARE
    midnight timestamptz;
BEGIN
    IF to_regclass('post_metrics_hourly_table') IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO post_metrics_hourly_table
        (post_id, bucket, observations, min_score, max_score, avg_score, max_comments,
        max_score_velocity, max_comment_velocity)
    SELECT post_id, bucket, observations, min_score, max_score, avg_score, max_comments,
        max_score_velocity, max_comment_velocity
    FROM post_metrics_hourly;
    CREATE TEMP TABLE of_history (LIKE post_metrics_hourly_table INCLUDING CONSTRAINTS) ON COMMIT DROP;
    FOR midnight IN
        SELECT date_trunc('day', bucket, 'UTC') FROM post_metrics_hourly_table
        UNION SELECT date_trunc('day', observed_at, 'UTC') FROM post_metrics_history ORDER BY 1
    LOOP
        TRUNCATE of_history;
        INSERT INTO of_history
        SELECT post_id, date_trunc('hour', observed_at, 'UTC'), count(*), min(score), max(score),
            avg(score)::double precision, max(num_comments), max(score_velocity), max(comment_velocity)
        FROM post_metrics_history
        WHERE observed_at >= midnight AND observed_at < midnight + interval '24 hours'
        GROUP BY 1, 2;
        UPDATE schema_info
        SET history_from = GREATEST(history_from,
            LEAST(midnight + interval '24 hours', date_trunc('day', now(), 'UTC') - interval '24 hours'))
        WHERE EXISTS (
            SELECT FROM post_metrics_hourly_table AS a LEFT JOIN of_history AS h USING (post_id, bucket)
            WHERE a.bucket >= midnight AND a.bucket < midnight + interval '24 hours'
                AND a.observations > COALESCE(h.observations, 0)
        );
        INSERT INTO post_metrics_hourly_table AS a
        SELECT * FROM of_history
        ON CONFLICT (post_id, bucket) DO UPDATE SET
            observations = EXCLUDED.observations, min_score = EXCLUDED.min_score, max_score = EXCLUDED.max_score,
            avg_score = EXCLUDED.avg_score, max_comments = EXCLUDED.max_comments,
            max_score_velocity = EXCLUDED.max_score_velocity, max_comment_velocity = EXCLUDED.max_comment_velocity
        WHERE EXCLUDED.observations >= a.observations;
    END LOOP;
    DELETE FROM rollup_touched;
END $block$"""

# Its policies go with the aggregate.
END_CONVERSION = """
DO $block$
BEGIN
    IF to_regclass('post_metrics_hourly_table') IS NOT NULL THEN
        DROP MATERIALIZED VIEW post_metrics_hourly;
        ALTER TABLE post_metrics_hourly_table RENAME TO post_metrics_hourly;
    END IF;
END $block$"""


def upgrade() -> None:
    for statement in (NO_TIMEOUT, GUARD, COMPRESSION, BEGIN_CONVERSION, KEEP_EVERY_HOUR, END_CONVERSION):
        op.execute(statement)
