"""Drops two columns that no code has ever read."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE subreddit_config DROP COLUMN added_at")
    op.execute("ALTER TABLE schema_info DROP COLUMN chosen_at")
