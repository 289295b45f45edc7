"""Which listings of a subreddit are read, the ranks that posts had in them, and posts that rise elsewhere."""

from alembic import op

revision = "0023"
down_revision = "0021"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    """
ALTER TABLE subreddit_config ADD COLUMN post_sort text[] NOT NULL DEFAULT '{new}'
    CHECK ('new' = ANY (post_sort) AND post_sort <@ ARRAY['new', 'hot', 'rising', 'top:hour', 'top:day', 'top:week',
        'top:month', 'top:year', 'top:all'])""",
    "COMMENT ON COLUMN subreddit_config.post_sort IS 'the listings that the poller reads; new proves completeness'",
    """
CREATE TABLE post_ranks (
    post_id text COLLATE "C" NOT NULL,
    observed_at timestamptz NOT NULL,
    post_sort text NOT NULL,
    listing text NOT NULL,
    rank integer NOT NULL CHECK (rank >= 1),
    PRIMARY KEY (post_id, observed_at, post_sort, listing)
)""",
    "COMMENT ON COLUMN post_ranks.listing IS 'the subreddit in lower case whose listing it is'",
    "CREATE INDEX post_ranks_by_time ON post_ranks (observed_at)",
    """
CREATE TABLE rising_posts (
    post_id text COLLATE "C" NOT NULL,
    post_sort text NOT NULL,
    subreddit text NOT NULL,
    best_rank integer NOT NULL CHECK (best_rank >= 1),
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    PRIMARY KEY (post_id, post_sort)
)""",
    "COMMENT ON TABLE rising_posts IS 'what r/popular shows of subreddits that are not watched'",
    "CREATE INDEX rising_posts_by_time ON rising_posts (last_seen_at)",
    """
CREATE TABLE ingest_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    requested_at timestamptz NOT NULL DEFAULT now(),
    requested_by text NOT NULL,
    post_sort text NOT NULL,
    subreddits text[] NOT NULL,
    posts integer NOT NULL CHECK (posts BETWEEN 1 AND 100),
    taken_at timestamptz,
    results jsonb NOT NULL DEFAULT '{}',
    finished_at timestamptz
)""",
    "COMMENT ON TABLE ingest_runs IS 'listings that somebody asked the poller to read once'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
