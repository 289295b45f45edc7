"""The lease says how and since when Reddit blocks the address of the poller, so that the next one does not test it."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
ALTER TABLE polling_lease
    ADD COLUMN block_how text,
    ADD COLUMN blocked_since timestamptz,
    ADD COLUMN block_answers integer CHECK (block_answers > 0),
    ADD CHECK (num_nulls(block_how, blocked_since, block_answers) IN (0, 3))""")
    op.execute("COMMENT ON COLUMN polling_lease.block_how IS 'NULL: Reddit does not block the address of the poller'")
