"""The history of runs: a row for each minute of polling and each job. Asked runs may read comments, too."""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # The worker chooses the id, so that a write whose confirmation was lost is repeated without a second row.
    """
CREATE TABLE runs (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    subject text NOT NULL,
    worker text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    told_at timestamptz NOT NULL,
    outcome text NOT NULL,
    requests integer NOT NULL,
    posts integer NOT NULL,
    comments integer NOT NULL,
    new_items integer NOT NULL,
    gaps integer NOT NULL,
    errors integer NOT NULL,
    uses jsonb NOT NULL,
    error text,
    CHECK ((outcome = 'running') = (ended_at IS NULL)),
    CHECK (ended_at >= started_at)
)""",
    "CREATE INDEX runs_newest ON runs (started_at DESC, id DESC)",
    "COMMENT ON TABLE runs IS 'what workers did: a row for each minute of polling and each job'",
    "COMMENT ON COLUMN runs.told_at IS"
    " 'when its worker last said how it stands; without an end, and long ago: the worker is gone'",
    "COMMENT ON COLUMN runs.new_items IS 'posts and comments that were unknown before'",
    "COMMENT ON COLUMN runs.uses IS 'requests to Reddit by their kind'",
    "ALTER TABLE ingest_runs ADD COLUMN comments integer NOT NULL DEFAULT 0 CHECK (comments BETWEEN 0 AND 100)",
    "COMMENT ON COLUMN ingest_runs.comments IS 'how many of the newest comments of each are read, too'",
    "ALTER TABLE ingest_runs ADD COLUMN comment_results jsonb NOT NULL DEFAULT '{}'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
