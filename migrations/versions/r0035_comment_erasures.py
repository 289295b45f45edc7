"""When the database erased a comment, and no author of a comment that was taken away."""

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Finding the comments that were taken away reads all comments, which takes longer than a migration usually may. SET
    # LOCAL ends with the revision.
    "SET LOCAL statement_timeout = 0",
    # As `erasures` of posts. Comments that were erased before are not in it: nobody knows when.
    """
CREATE TABLE comment_erasures (
    comment_id text COLLATE "C" PRIMARY KEY,
    removed_by text,
    seen_at timestamptz NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT now()
)""",
    "CREATE INDEX comment_erasures_newest ON comment_erasures (erased_at DESC)",
    "COMMENT ON COLUMN comment_erasures.seen_at IS 'when an observation first told that the comment was taken away'",
    "COMMENT ON COLUMN comment_erasures.removed_by IS 'who took it away; NULL: its erasure was asked for'",
    # What earlier versions kept of records that named the author, or had the text.
    """
UPDATE comments SET author = NULL, body = NULL,
    sentiment_score = NULL, sentiment_label = NULL, sentiment_basis = NULL
WHERE removed_by IS NOT NULL AND (author IS NOT NULL OR body IS NOT NULL)""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
