"""Two columns that no code has ever read go: changed_at and the audit log say more than added_at, and chosen_at says nothing."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE subreddit_config DROP COLUMN added_at")
    op.execute("ALTER TABLE schema_info DROP COLUMN chosen_at")
