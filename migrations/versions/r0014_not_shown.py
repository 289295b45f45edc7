"""Since when Reddit no longer shows a post. The poller tells, and a newer observation sets it back to NULL."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE posts ADD COLUMN not_shown_since timestamptz",
    "COMMENT ON COLUMN posts.not_shown_since IS"
    " 'since when the answers of Reddit leave the post out, later than last_polled_at; NULL: they show it'",
    # Few posts have one, but finding them reads all posts, which takes longer than a migration usually may.
    # SET LOCAL ends with the revision.
    "SET LOCAL statement_timeout = 0",
    "CREATE INDEX posts_not_shown ON posts (created_utc DESC, id DESC) WHERE not_shown_since IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
