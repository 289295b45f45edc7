"""The address of a comment no longer repeats the title of its post, which may be erased while the comment stays."""

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    r"""
UPDATE comments
SET permalink = regexp_replace(permalink, '^((https?://[^/]+)?/[^/]+/[^/]+/comments/[^/]+/)[^/]*/', '\1_/')
WHERE permalink !~ '^/[^/]+/[^/]+/comments/[^/]+/_/'""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
