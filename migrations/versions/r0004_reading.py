"""What the REST API reads: indexes for filters and for every order that does not depend on the clock, and full text.

With the indexes on numbers, updates of posts are no longer heap-only. docs/decisions/reading.md says what this costs
and what the alternatives were.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # The orders of signalflow/storage/post_orders.py, with their tie-break, so that a page begins where the last one
    # ended.
    "CREATE INDEX posts_by_score ON posts (current_score DESC, id DESC)",
    "CREATE INDEX posts_by_comments ON posts (current_comments DESC, id DESC)",
    # Unknown velocities come last, as one range of the index.
    "CREATE INDEX posts_by_score_velocity"
    " ON posts (COALESCE(score_velocity, '-infinity'::double precision) DESC, id DESC)",
    # trending_score has eleven different values. Posts with the same value are ordered by age.
    "CREATE INDEX posts_by_trending_score ON posts (trending_score DESC, created_utc DESC, id DESC)",
    # For filters that match few posts: a scan along the order would read too many others. Names on Reddit are
    # case-insensitive.
    "CREATE INDEX posts_of_subreddit ON posts (lower(subreddit), created_utc DESC, id DESC)",
    # A hash index, because a name may be longer than an entry of a B-tree.
    "CREATE INDEX posts_of_author ON posts USING hash (lower(author)) WHERE author IS NOT NULL",
    "CREATE INDEX posts_trending ON posts (created_utc DESC, id DESC) WHERE is_trending",
    # The words are in the table of text features, whose rows a refresh does not change. In posts, every refresh would
    # write each word of the title to the index again. The column is stored, because a walk along an order reads it row
    # by row. English, because nearly all titles of the default subreddits are: stemming finds "rockets" by "rocket".
    # Words of other languages are found as they are written.
    "ALTER TABLE post_nlp_features ADD COLUMN title text",
    "UPDATE post_nlp_features AS n SET title = p.title FROM posts AS p WHERE p.id = n.post_id",
    "DELETE FROM post_nlp_features WHERE title IS NULL",
    "ALTER TABLE post_nlp_features ALTER COLUMN title SET NOT NULL",
    "ALTER TABLE post_nlp_features ADD COLUMN title_words tsvector"
    " GENERATED ALWAYS AS (to_tsvector('english'::regconfig, title)) STORED",
    "CREATE INDEX post_nlp_features_words ON post_nlp_features USING gin (title_words)",
    "CREATE INDEX post_nlp_features_keywords ON post_nlp_features USING gin (keywords jsonb_path_ops)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
