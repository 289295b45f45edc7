"""How far the raw topic was written, as the brokers confirmed it: a log that lost records nobody had read tells it."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    """
CREATE TABLE published_positions (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset > 0),
    record_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic_id, partition)
) WITH (fillfactor = 20)""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
