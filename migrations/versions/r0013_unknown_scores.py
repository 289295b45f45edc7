"""A post of a file may have no score: unknown is NULL, never 0. In the order by score it comes last."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Building an index reads all posts. SET LOCAL ends with the revision.
    "SET LOCAL statement_timeout = 0",
    "ALTER TABLE posts ALTER COLUMN current_score DROP NOT NULL",
    "COMMENT ON COLUMN posts.current_score IS 'NULL: the file that the post is from does not tell it'",
    "DROP INDEX posts_by_score",
    "CREATE INDEX posts_by_score ON posts (COALESCE(current_score, -2147483648) DESC, id DESC)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
