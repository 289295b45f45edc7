"""Which subreddits Reddit calls popular, beside the posts that rise in subreddits nobody watches."""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    """
CREATE TABLE popular_subreddits (
    key text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    rank integer NOT NULL CHECK (rank >= 1),
    seen_at timestamptz NOT NULL
)""",
    "COMMENT ON TABLE popular_subreddits IS 'the list of popular subreddits, as Reddit gave it last'",
    "COMMENT ON COLUMN popular_subreddits.key IS 'the name in lower case'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
