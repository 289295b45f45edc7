"""The first tables: posts, history, rollup, text features, configuration, dead letters, gaps, workers."""

from alembic import op

from migrations.mode import Mode, choose_mode

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

COMMON = (
    # One row. `history_from`: raw history before this moment was dropped, so it gets no partitions and no rollup again.
    # It begins with the opening of Reddit: nothing was observed before.
    """
CREATE TABLE schema_info (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    mode text NOT NULL CHECK (mode IN ('timescaledb', 'native')),
    chosen_at timestamptz NOT NULL DEFAULT now(),
    history_from timestamptz NOT NULL DEFAULT '2005-06-23 00:00+00'
)""",
    # Every refresh updates a row: fillfactor leaves room for its new version on the same page.
    """
CREATE TABLE posts (
    id text COLLATE "C" PRIMARY KEY,
    subreddit text NOT NULL,
    author text,
    title text NOT NULL,
    body text,
    url text,
    permalink text,
    flair text,
    over_18 boolean NOT NULL,
    is_self boolean NOT NULL,
    created_utc timestamptz NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_polled_at timestamptz NOT NULL,
    text_observed_at timestamptz,
    edited_at timestamptz,
    removed_by text,
    current_score integer NOT NULL,
    current_comments integer NOT NULL CHECK (current_comments >= 0),
    current_ratio double precision CHECK (current_ratio BETWEEN 0 AND 1),
    score_velocity double precision,
    comment_velocity double precision,
    trending_score double precision NOT NULL,
    is_trending boolean NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)""",
    "COMMENT ON COLUMN posts.last_polled_at IS"
    " 'observed_at of the newest observation: the one that all numbers are from'",
    "COMMENT ON COLUMN posts.text_observed_at IS"
    " 'observed_at of the newest observation that carried the body; NULL: none did yet'",
    "COMMENT ON COLUMN posts.score_velocity IS 'score per second since the observation before; NULL: unknown'",
    # For the list of newest posts with its cursor, for the start of the poller, and for windows of recent posts.
    "CREATE INDEX posts_newest ON posts (created_utc DESC, id DESC)",
    """
CREATE TABLE post_nlp_features (
    post_id text COLLATE "C" PRIMARY KEY,
    sentiment_score double precision NOT NULL CHECK (sentiment_score BETWEEN -1 AND 1),
    sentiment_label text NOT NULL CHECK (sentiment_label IN ('positive', 'neutral', 'negative')),
    keywords jsonb NOT NULL CHECK (jsonb_typeof(keywords) = 'array'),
    topic_cluster text
)""",
    """
CREATE TABLE post_metrics_hourly (
    post_id text COLLATE "C" NOT NULL,
    bucket timestamptz NOT NULL,
    observations bigint NOT NULL,
    min_score integer NOT NULL,
    max_score integer NOT NULL,
    avg_score double precision NOT NULL,
    max_comments integer NOT NULL,
    max_score_velocity double precision,
    max_comment_velocity double precision,
    PRIMARY KEY (post_id, bucket)
)""",
    "CREATE INDEX post_metrics_hourly_bucket ON post_metrics_hourly (bucket)",
    # Hours of the history that got rows since the last rollup. Hours are only inserted, so no writer waits for another.
    "CREATE TABLE rollup_touched (bucket timestamptz NOT NULL)",
    """
CREATE TABLE subreddit_config (
    name text PRIMARY KEY CHECK (name ~ '^([A-Za-z0-9_]{1,32}|u_[A-Za-z0-9_-]{1,30})$'),
    interval_seconds integer NOT NULL CHECK (interval_seconds BETWEEN 5 AND 86400),
    priority text NOT NULL CHECK (priority IN ('fast', 'medium', 'slow')),
    paused boolean NOT NULL DEFAULT false,
    removed_at timestamptz,
    added_at timestamptz NOT NULL DEFAULT now(),
    state text NOT NULL DEFAULT 'unchecked' CHECK (state ~ '^[a-z_]{1,32}$'),
    checked_at timestamptz,
    last_polled_at timestamptz
) WITH (fillfactor = 50)""",
    "COMMENT ON COLUMN subreddit_config.removed_at IS"
    " 'kept as a mark, so that loading the defaults does not bring it back'",
    "COMMENT ON COLUMN subreddit_config.state IS"
    " 'unchecked, ok, or why Reddit refuses it: private, banned, not_found ...'",
    "CREATE UNIQUE INDEX subreddit_config_name ON subreddit_config (lower(name))",
    """
CREATE TABLE dlq_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_topic text NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    attempt integer NOT NULL CHECK (attempt >= 1),
    original_key bytea,
    original_value bytea,
    original_headers jsonb NOT NULL CHECK (jsonb_typeof(original_headers) = 'array'),
    stage text NOT NULL CHECK (stage IN ('decode', 'validate', 'enrich', 'write')),
    error_type text NOT NULL,
    error text NOT NULL,
    worker text NOT NULL,
    failed_at timestamptz NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    state text NOT NULL DEFAULT 'dead' CHECK (state IN ('dead', 'replayed', 'resolved')),
    UNIQUE (source_topic, source_partition, source_offset, attempt)
)""",
    "COMMENT ON COLUMN dlq_events.original_headers IS 'array of [name, base64 of the value], in order'",
    """
CREATE TABLE listing_gaps (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subreddits text[] NOT NULL CHECK (cardinality(subreddits) > 0),
    anchor_ids text[] NOT NULL,
    since timestamptz NOT NULL,
    after text,
    pages integer NOT NULL DEFAULT 0 CHECK (pages >= 0),
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    outcome text CHECK (outcome IN ('proven', 'split', 'unreachable', 'given_up')),
    CHECK ((closed_at IS NULL) = (outcome IS NULL))
)""",
    "COMMENT ON COLUMN listing_gaps.since IS 'posts created after this may be missing'",
    "COMMENT ON COLUMN listing_gaps.after IS"
    " 'fullname from which the next page is fetched; NULL: the top of the listing'",
    "CREATE INDEX listing_gaps_open ON listing_gaps (id) WHERE closed_at IS NULL",
    """
CREATE TABLE workers (
    name text PRIMARY KEY,
    pid integer NOT NULL,
    web_url text NOT NULL,
    state text NOT NULL,
    is_poller boolean NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50)""",
)

HISTORY = """
CREATE TABLE post_metrics_history (
    post_id text COLLATE "C" NOT NULL,
    observed_at timestamptz NOT NULL,
    score integer NOT NULL,
    num_comments integer NOT NULL,
    upvote_ratio double precision,
    score_velocity double precision,
    comment_velocity double precision{primary_key}
){partitioning}"""

NATIVE = (
    HISTORY.format(
        primary_key=",\n    PRIMARY KEY (post_id, observed_at)", partitioning=" PARTITION BY RANGE (observed_at)"
    ),
)

TIMESCALEDB = (
    "CREATE EXTENSION IF NOT EXISTS timescaledb",
    HISTORY.format(primary_key="", partitioning=""),
    """
SELECT create_hypertable('post_metrics_history', 'observed_at',
    chunk_time_interval => interval '1 day', create_default_indexes => false)""",
    "CREATE UNIQUE INDEX post_metrics_history_pkey ON post_metrics_history (post_id, observed_at)",
)


def upgrade() -> None:
    """Choose the mode, make all tables, record the mode."""
    mode: Mode = choose_mode()
    for statement in COMMON + (TIMESCALEDB if mode == "timescaledb" else NATIVE):
        op.execute(statement)
    op.execute(f"INSERT INTO schema_info (mode) VALUES ('{mode}')")  # noqa: S608, one of two literals
