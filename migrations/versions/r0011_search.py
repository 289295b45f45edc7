r"""Search covers titles and bodies, stop words, and scripts without spaces; sentiment says what it is based on.

The words are in a table of their own, which triggers keep: a refresh changes neither title nor body, so it writes no
word again. Each word is there as English has it and as it is written. A body counts with its first 20,000 characters,
which keeps the words of the longest one far below PostgreSQL's limit of 1 MB.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Reading all bodies takes longer than a migration usually may. SET LOCAL ends with the revision.
    "SET LOCAL statement_timeout = 0",
    # The ranges are those of signalflow/domain/search.py.
    r"""
CREATE FUNCTION search_words(title text, body text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $function$
    SELECT to_tsvector('pg_catalog.english'::regconfig, spaced) || to_tsvector('pg_catalog.simple'::regconfig, spaced)
    FROM (SELECT regexp_replace(
        title || chr(10) || COALESCE(left(body, 20000), ''),
        '([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2600-\u27bf\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af'
        '\uf900-\ufaff\U0001f000-\U0001faff\U00020000-\U0003134f])',
        ' \1 ', 'g'
    ) AS spaced) AS text
$function$""",
    'CREATE TABLE post_words (post_id text COLLATE "C" PRIMARY KEY, words tsvector NOT NULL)',
    "INSERT INTO post_words SELECT id, search_words(title, body) FROM posts",
    "CREATE INDEX post_words_words ON post_words USING gin (words)",
    """
CREATE FUNCTION keep_post_words() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    INSERT INTO post_words (post_id, words) VALUES (NEW.id, search_words(NEW.title, NEW.body))
    ON CONFLICT (post_id) DO UPDATE SET words = EXCLUDED.words;
    RETURN NULL;
END $function$""",
    "CREATE TRIGGER words_of_new AFTER INSERT ON posts FOR EACH ROW EXECUTE FUNCTION keep_post_words()",
    # The body changes only together with text_observed_at, which is cheaper to compare.
    """
CREATE TRIGGER words_of_changed AFTER UPDATE ON posts FOR EACH ROW
WHEN (OLD.title <> NEW.title OR OLD.text_observed_at IS DISTINCT FROM NEW.text_observed_at)
EXECUTE FUNCTION keep_post_words()""",
    "ALTER TABLE post_nlp_features DROP COLUMN title_words",
    # A title that is not English has no sentiment. What was stored before was scored as it is written.
    """
ALTER TABLE post_nlp_features
    ALTER COLUMN sentiment_score DROP NOT NULL,
    ALTER COLUMN sentiment_label DROP NOT NULL,
    ADD COLUMN sentiment_basis text NOT NULL DEFAULT 'as_written'
        CHECK (sentiment_basis IN ('as_written', 'folded_apostrophes', 'not_english')),
    ADD CHECK ((sentiment_score IS NULL) = (sentiment_basis = 'not_english')),
    ADD CHECK ((sentiment_label IS NULL) = (sentiment_basis = 'not_english'))""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
