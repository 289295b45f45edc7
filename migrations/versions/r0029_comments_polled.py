"""When each subreddit was last in a listing of comments that were all published."""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE subreddit_config ADD COLUMN comments_polled_at timestamptz",
    "COMMENT ON COLUMN subreddit_config.comments_polled_at IS"
    " 'when it was last in a listing of comments that were all published; NULL: never, or before this column'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
