"""What the REST API reads: an index for every order that does not change with the clock, filters, and full text.

The indexes on numbers end heap-only updates of posts; docs/decisions/reading.md has what that costs and what it was weighed against.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Orders (signalflow/storage/post_orders.py): the key and its tie-break, so that a page begins where the one before ended.
    "CREATE INDEX posts_by_score ON posts (current_score DESC, id DESC)",
    "CREATE INDEX posts_by_comments ON posts (current_comments DESC, id DESC)",
    # Unknown velocities come last, as one range of the index.
    "CREATE INDEX posts_by_score_velocity ON posts (COALESCE(score_velocity, '-infinity'::double precision) DESC, id DESC)",
    # Eleven values: among equals the newest.
    "CREATE INDEX posts_by_trending_score ON posts (trending_score DESC, created_utc DESC, id DESC)",
    # Filters that leave too little for a walk along the order. Reddit's names compare without case.
    "CREATE INDEX posts_of_subreddit ON posts (lower(subreddit), created_utc DESC, id DESC)",
    # Hash: a name may be longer than an entry of a B-tree.
    "CREATE INDEX posts_of_author ON posts USING hash (lower(author)) WHERE author IS NOT NULL",
    "CREATE INDEX posts_trending ON posts (created_utc DESC, id DESC) WHERE is_trending",
    # The words are kept beside the other features of the title, whose rows no refresh touches: in posts, every refresh would
    # write each word of the title to the index again. Stored, because a walk along an order looks at them row by row. English:
    # nearly all titles of the default subreddits are, and its stemming finds "rockets" by "rocket"; words of other languages
    # are found as they are written.
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
