"""How far the poller has checked old comments for deletion, as `deletion_sweep` tells it of posts."""

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # A table of its own: workers of the version before write every row of deletion_sweep.
    """
CREATE TABLE comment_sweep (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    reached text COLLATE "C" NOT NULL DEFAULT '',
    began_at timestamptz,
    ended_at timestamptz
)""",
    "COMMENT ON COLUMN comment_sweep.ended_at IS 'when the last whole round ended'",
    "INSERT INTO comment_sweep DEFAULT VALUES",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
