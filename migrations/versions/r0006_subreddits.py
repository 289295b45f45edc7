"""Who last changed a subreddit of the configuration, and when."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE subreddit_config ADD COLUMN changed_by text, ADD COLUMN changed_at timestamptz")
    op.execute("COMMENT ON COLUMN subreddit_config.changed_by IS 'NULL: as the defaults made it'")
