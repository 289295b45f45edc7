"""Whoever polls reads every few seconds what was erased on request, without a look at all posts and comments."""

from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Reading all posts takes longer than a migration usually may. SET LOCAL ends with the revision.
    "SET LOCAL statement_timeout = 0",
    "CREATE INDEX posts_asked_for ON posts (id) WHERE erased_until = 'infinity'",
    "CREATE INDEX comments_asked_for ON comment_erasures (comment_id) WHERE removed_by IS NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
