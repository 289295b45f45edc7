"""What coverage rests on: how far each gap was read, since when each subreddit is polled, and what is read back."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE listing_gaps DROP CONSTRAINT listing_gaps_kind_check",
    """
ALTER TABLE listing_gaps
    ADD CONSTRAINT listing_gaps_kind_check CHECK (kind IN ('posts', 'comments', 'first_look'))""",
    "COMMENT ON COLUMN listing_gaps.kind IS"
    " 'what may be missing: posts, comments, or what a subreddit had before it was first polled (first_look)'",
    "ALTER TABLE listing_gaps ADD COLUMN until timestamptz",
    "COMMENT ON COLUMN listing_gaps.until IS"
    " 'what was created after this was read; NULL: nothing was, or the row is older than this column'",
    "ALTER TABLE subreddit_config ADD COLUMN polled_since timestamptz",
    "COMMENT ON COLUMN subreddit_config.polled_since IS"
    " 'its listings are followed from then on, and gaps are in listing_gaps; NULL: it was never polled'",
    # What the first poll of a subreddit was is not known any more. From its last poll on the gaps are complete.
    "UPDATE subreddit_config SET polled_since = last_polled_at WHERE last_polled_at IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
