"""Posts whose comments somebody asked the poller to read once."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    """
CREATE TABLE comment_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    requested_at timestamptz NOT NULL DEFAULT now(),
    requested_by text NOT NULL,
    posts text[] NOT NULL,
    comments integer NOT NULL CHECK (comments BETWEEN 1 AND 2000),
    taken_at timestamptz,
    results jsonb NOT NULL DEFAULT '{}',
    finished_at timestamptz
)""",
    "COMMENT ON TABLE comment_runs IS 'posts whose comments somebody asked the poller to read once'",
    "COMMENT ON COLUMN comment_runs.comments IS 'how many are read of each post, at most'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
