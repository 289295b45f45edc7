"""Which topics the tables are filled from. A topic that was made anew, or is another Kafka's, has another id."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    """
CREATE TABLE topics_read (
    topic text PRIMARY KEY,
    topic_id uuid NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
)""",
    # Nobody may know how far a topic was read that was made anew while no worker ran.
    "ALTER TABLE log_breaks ALTER COLUMN partition DROP NOT NULL, ALTER COLUMN committed DROP NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
