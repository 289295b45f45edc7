"""Until when what a post's author wrote is erased, and when the database erased it."""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Finding the posts that were taken away reads all posts, which takes longer than a migration usually may. SET LOCAL
    # ends with the revision.
    "SET LOCAL statement_timeout = 0",
    "ALTER TABLE posts ADD COLUMN erased_until timestamptz",
    "COMMENT ON COLUMN posts.erased_until IS"
    " 'what was observed of author and text until then is erased; infinity: its erasure was asked for'",
    # A post has one row here, from when it was first seen as taken away. It stays when the post is restored.
    """
CREATE TABLE erasures (
    post_id text COLLATE "C" PRIMARY KEY,
    removed_by text,
    seen_at timestamptz NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT now()
)""",
    "CREATE INDEX erasures_newest ON erasures (erased_at DESC)",
    "COMMENT ON COLUMN erasures.seen_at IS 'when an observation first told that the post was taken away'",
    "COMMENT ON COLUMN erasures.removed_by IS 'who took it away; NULL: its erasure was asked for'",
    # Of authors who asked for erasure only a digest is kept, which tells whether a name is the same.
    "CREATE TABLE erased_authors (digest bytea PRIMARY KEY, asked_at timestamptz NOT NULL DEFAULT now())",
    "COMMENT ON COLUMN erased_authors.digest IS 'SHA-256 of the name in lower case'",
    "ALTER TABLE dlq_events ADD COLUMN erased_at timestamptz",
    "COMMENT ON COLUMN dlq_events.erased_at IS 'when its record was taken out, because its post is erased'",
    # The body may change without its title, and text_observed_at stays when an old body is erased.
    "DROP TRIGGER words_of_changed ON posts",
    """
CREATE TRIGGER words_of_changed AFTER UPDATE ON posts FOR EACH ROW
WHEN (OLD.title <> NEW.title OR OLD.text_observed_at IS DISTINCT FROM NEW.text_observed_at
    OR OLD.erased_until IS DISTINCT FROM NEW.erased_until)
EXECUTE FUNCTION keep_post_words()""",
    # Text that earlier versions kept. `removed_by` is from the observation that told details. A newer one, of a feed,
    # shows the post.
    """
UPDATE posts SET
    erased_until = COALESCE(details_observed_at, last_polled_at), url = NULL, flair = NULL,
    removed_by = CASE WHEN details_observed_at < last_polled_at THEN NULL ELSE removed_by END
WHERE removed_by IS NOT NULL""",
    """
UPDATE posts SET body = NULL, text_observed_at = erased_until
WHERE erased_until IS NOT NULL AND COALESCE(text_observed_at, '-infinity') < erased_until""",
    """
WITH gone AS (
    UPDATE posts SET title = '', author = NULL, permalink = NULL, body = NULL WHERE removed_by IS NOT NULL
    RETURNING id, removed_by, erased_until
), forgotten AS (
    UPDATE post_nlp_features SET title = '', keywords = '[]', topic_cluster = NULL FROM gone WHERE post_id = id
)
INSERT INTO erasures (post_id, removed_by, seen_at) SELECT id, removed_by, erased_until FROM gone""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
