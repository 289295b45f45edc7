"""The lease on polling: who polls Reddit, until when, and what the next poller must know of the requests so far.

It replaces an advisory lock, so it also works through a pooler that gives each transaction another connection.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE polling_lease (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    holder text,
    until timestamptz NOT NULL DEFAULT now(),
    not_before timestamptz,
    last_request timestamptz,
    window_remaining double precision CHECK (window_remaining >= 0),
    window_ends timestamptz,
    limits_in_a_row integer NOT NULL DEFAULT 0 CHECK (limits_in_a_row >= 0)
) WITH (fillfactor = 10)""")
    op.execute("COMMENT ON TABLE polling_lease IS 'who polls Reddit; times by the clock of this database'")
    op.execute("COMMENT ON COLUMN polling_lease.holder IS 'NULL: the last holder released the lease'")
    op.execute("COMMENT ON COLUMN polling_lease.not_before IS 'no request to Reddit may start before this time'")
    op.execute("INSERT INTO polling_lease DEFAULT VALUES")
