"""Feeds tell no numbers: unknown is NULL, never 0. In the order by comments it comes last."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Building an index reads all posts. SET LOCAL ends with the revision.
    "SET LOCAL statement_timeout = 0",
    """
ALTER TABLE posts
    ALTER COLUMN current_comments DROP NOT NULL,
    ALTER COLUMN over_18 DROP NOT NULL,
    ALTER COLUMN is_self DROP NOT NULL,
    ADD COLUMN score_observed_at timestamptz,
    ADD COLUMN details_observed_at timestamptz""",
    "COMMENT ON COLUMN posts.current_score IS 'NULL: no observation told it, as from a feed'",
    "COMMENT ON COLUMN posts.current_comments IS 'NULL: no observation told it, as from a feed'",
    "COMMENT ON COLUMN posts.last_polled_at IS 'observed_at of the newest observation'",
    # NULL for the most frequent value: workers of the version before, which run until they are restarted, keep it true.
    "COMMENT ON COLUMN posts.score_observed_at IS"
    " 'observed_at of the observation that score, ratio and velocities are from; NULL: last_polled_at'",
    "COMMENT ON COLUMN posts.details_observed_at IS"
    " 'observed_at of the observation that comments, flags, flair and link are from; NULL: last_polled_at'",
    "DROP INDEX posts_by_comments",
    "CREATE INDEX posts_by_comments ON posts (COALESCE(current_comments, -1) DESC, id DESC)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
