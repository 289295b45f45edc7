"""Replay of dead letters: the topic's id, the link to the attempt before, and a table of replays."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    """
CREATE TABLE dlq_replays (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    requested_by text NOT NULL,
    filter jsonb NOT NULL CHECK (jsonb_typeof(filter) = 'object'),
    policy text NOT NULL CHECK (policy IN ('stop', 'continue')),
    most integer NOT NULL CHECK (most >= 1),
    sent integer NOT NULL DEFAULT 0 CHECK (sent >= 0),
    skipped integer NOT NULL DEFAULT 0 CHECK (skipped >= 0),
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    outcome text,
    CHECK ((finished_at IS NULL) = (outcome IS NULL))
)""",
    "COMMENT ON COLUMN dlq_replays.outcome IS"
    " 'NULL: under way, or its process died; what it sent is counted all the same'",
    # A topic that was deleted and created again counts its offsets from zero. Its id tells the two apart.
    """
ALTER TABLE dlq_events
    ADD topic_id uuid,
    ADD previous_id bigint UNIQUE REFERENCES dlq_events,
    ADD replay_token uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD whole boolean NOT NULL DEFAULT true,
    ADD replay_id bigint REFERENCES dlq_replays,
    ADD replayed_at timestamptz,
    ADD watch_topic text,
    ADD watch_partition integer,
    ADD watch_offset bigint,
    ADD resolved_at timestamptz,
    ADD resolved_by text,
    ADD resolution text,
    ADD CONSTRAINT dlq_events_watched CHECK (num_nulls(watch_topic, watch_partition, watch_offset) IN (0, 3))""",
    # Existing rows have no topic id; the hash of the name keeps the topics apart.
    "UPDATE dlq_events SET topic_id = md5(source_topic)::uuid",
    """
ALTER TABLE dlq_events
    ALTER topic_id SET NOT NULL,
    DROP CONSTRAINT dlq_events_source_topic_source_partition_source_offset_atte_key,
    ADD CONSTRAINT dlq_events_source UNIQUE (topic_id, source_partition, source_offset, attempt)""",
    "COMMENT ON COLUMN dlq_events.topic_id IS"
    " 'Kafka''s id of the source topic; the MD5 of its name where that is not known'",
    "COMMENT ON COLUMN dlq_events.previous_id IS"
    " 'the attempt before, when this is a replayed record that failed again'",
    "COMMENT ON COLUMN dlq_events.replay_token IS"
    " 'sent with a replay: only a record that carries it can link itself to this row'",
    "COMMENT ON COLUMN dlq_events.whole IS 'false: cut or malformed, hence never replayed'",
    "COMMENT ON COLUMN dlq_events.watch_offset IS"
    " 'once the group has committed past it, the replayed record has got one topic further'",
    "COMMENT ON COLUMN dlq_events.resolved_by IS 'NULL: the replayed record went through'",
    "CREATE INDEX dlq_events_state ON dlq_events (state, id)",
    "CREATE INDEX dlq_events_failed_at ON dlq_events (failed_at)",
    "CREATE INDEX dlq_events_replay ON dlq_events (replay_id) WHERE replay_id IS NOT NULL",
    "CREATE INDEX dlq_events_watched_rows ON dlq_events (id) WHERE watch_topic IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
