"""The velocity of a post over the trend window, by which posts are ranked. Rows from before have none."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE posts ADD COLUMN trend_velocity double precision",
    "COMMENT ON COLUMN posts.trend_velocity IS"
    " 'score per second over the trend window, 0 within the noise of votes; NULL: unknown'",
    "ALTER TABLE post_metrics_history ADD COLUMN trend_velocity double precision",
    # An index of all posts takes longer than a migration usually may. SET LOCAL ends with the revision.
    "SET LOCAL statement_timeout = 0",
    # Unknown velocities come last, as one range of the index.
    "CREATE INDEX posts_by_trend_velocity"
    " ON posts (COALESCE(trend_velocity, '-infinity'::double precision) DESC, id DESC)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
