"""An index for the retention of resolved dead letters: without it, every letter is read each hour."""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = ("CREATE INDEX dlq_events_resolved ON dlq_events (resolved_at) WHERE state = 'resolved'",)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
