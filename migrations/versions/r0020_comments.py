"""Comments. A reply may arrive before its parent, and before its post, so no key refers to another row."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # An observation updates a row: fillfactor leaves room for its new version on the same page.
    """
CREATE TABLE comments (
    id text COLLATE "C" PRIMARY KEY,
    post_id text COLLATE "C" NOT NULL,
    parent_id text COLLATE "C",
    depth integer CHECK (depth >= 0),
    subreddit text NOT NULL,
    author text,
    body text,
    permalink text,
    created_utc timestamptz NOT NULL,
    first_seen_at timestamptz NOT NULL,
    observed_at timestamptz NOT NULL,
    removed_by text,
    score integer,
    score_observed_at timestamptz,
    controversiality integer CHECK (controversiality >= 0),
    is_submitter boolean,
    distinguished text,
    stickied boolean,
    edited_at timestamptz,
    details_observed_at timestamptz,
    sentiment_score double precision CHECK (sentiment_score BETWEEN -1 AND 1),
    sentiment_label text CHECK (sentiment_label IN ('positive', 'neutral', 'negative')),
    sentiment_basis text CHECK (sentiment_basis IN ('as_written', 'folded_apostrophes', 'not_english')),
    CHECK ((score IS NULL) = (score_observed_at IS NULL)),
    CHECK ((is_submitter IS NULL) = (details_observed_at IS NULL)),
    CHECK ((sentiment_score IS NULL) = (sentiment_label IS NULL)),
    CHECK ((body IS NULL) = (sentiment_basis IS NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)""",
    "COMMENT ON COLUMN comments.parent_id IS 'fullname of the comment or post that it answers; NULL: not told yet'",
    "COMMENT ON COLUMN comments.depth IS '0 for an answer to the post; NULL: only trees tell it, and none did yet'",
    "COMMENT ON COLUMN comments.body IS 'NULL: deleted or removed, or it cannot be read'",
    "COMMENT ON COLUMN comments.observed_at IS 'when the newest observation was made, that author and body are from'",
    "COMMENT ON COLUMN comments.score IS 'NULL: no observation told it, as from a feed or while Reddit hides it'",
    "COMMENT ON COLUMN comments.details_observed_at IS"
    " 'observed_at of the observation that controversiality, flags and edited_at are from; NULL: none told them'",
    "CREATE INDEX comments_of_post ON comments (post_id, created_utc DESC, id DESC)",
    "CREATE INDEX comments_of_parent ON comments (parent_id) WHERE parent_id IS NOT NULL",
    "CREATE INDEX comments_newest ON comments (created_utc DESC, id DESC)",
    "CREATE INDEX comments_of_subreddit ON comments (lower(subreddit), created_utc DESC, id DESC)",
    "CREATE INDEX comments_of_author ON comments (lower(author), created_utc DESC, id DESC) WHERE author IS NOT NULL",
    "CREATE INDEX comments_words ON comments USING gin (search_words('', body)) WHERE body IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
