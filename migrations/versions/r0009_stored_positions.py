"""How far the topics are stored, and where their logs were found cut.

A database that went back gets what it lacks from the topics by itself.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Every flush updates a row; pages with room let it do so without touching the index.
    op.execute("""
CREATE TABLE stored_positions (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    record_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic_id, partition)
) WITH (fillfactor = 20)""")
    op.execute("""
CREATE TABLE log_breaks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    reason text NOT NULL,
    committed bigint NOT NULL,
    going_on_at bigint NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT now()
)""")
