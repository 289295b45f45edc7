"""How far the poller has checked old posts for deletion."""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # The posts are checked in the order of their ids.
    """
CREATE TABLE deletion_sweep (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    reached text COLLATE "C" NOT NULL DEFAULT '',
    began_at timestamptz,
    ended_at timestamptz
)""",
    "COMMENT ON COLUMN deletion_sweep.ended_at IS 'when the last whole round ended'",
    "INSERT INTO deletion_sweep DEFAULT VALUES",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
