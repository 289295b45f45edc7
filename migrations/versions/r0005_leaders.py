"""Workers report whether they lead and whether they can poll, so that another worker polls when the leader cannot."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
ALTER TABLE workers ADD COLUMN is_leader boolean NOT NULL DEFAULT false,
    ADD COLUMN can_poll boolean NOT NULL DEFAULT true""")
