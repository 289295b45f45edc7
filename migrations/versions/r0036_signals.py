"""Signals: what takes off, and what is unusual, as the agents found it."""

from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    """
CREATE TABLE signals (
    id text COLLATE "C" PRIMARY KEY,
    kind text NOT NULL,
    rule_version integer NOT NULL,
    subject_kind text NOT NULL,
    subject text NOT NULL,
    subreddit text,
    started_at timestamptz NOT NULL,
    peak_at timestamptz NOT NULL,
    ended_at timestamptz,
    changed_at timestamptz NOT NULL,
    strength double precision NOT NULL,
    observed double precision NOT NULL,
    expected double precision NOT NULL,
    post_ids text[] NOT NULL,
    inputs jsonb NOT NULL,
    source_topic text NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL
)""",
    "CREATE INDEX signals_newest ON signals (started_at DESC, id DESC)",
    "CREATE INDEX signals_of_subreddit ON signals (lower(subreddit), started_at DESC, id DESC)",
    "CREATE INDEX signals_of_subject ON signals (subject, started_at DESC)",
    "CREATE INDEX signals_active ON signals (started_at DESC, id DESC) WHERE ended_at IS NULL",
    "COMMENT ON COLUMN signals.ended_at IS 'NULL while it goes on'",
    "COMMENT ON COLUMN signals.changed_at IS 'when the observation was made that last changed it'",
    "COMMENT ON COLUMN signals.inputs IS 'the numbers from which the rule of this version computes it again'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
