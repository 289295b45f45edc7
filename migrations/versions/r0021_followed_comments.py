"""Whether the comments of a subreddit are followed, and what a gap lacks: posts or comments."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE subreddit_config ADD COLUMN comments boolean NOT NULL DEFAULT false",
    "COMMENT ON COLUMN subreddit_config.comments IS 'whether the poller reads its comments too'",
    """
ALTER TABLE listing_gaps ADD COLUMN kind text NOT NULL DEFAULT 'posts' CHECK (kind IN ('posts', 'comments'))""",
    "COMMENT ON COLUMN listing_gaps.since IS 'posts (or comments) created after this may be missing'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
