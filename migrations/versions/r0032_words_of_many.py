r"""The words of new posts are written once a statement, and those of plain ASCII texts without folding.

Words are the same as before. For each post PostgreSQL planned the function anew, and it folded every text twice. That
took two thirds of the processor time that the database needed for an event.
"""

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Where PostgreSQL builds an index on it, it finds no other function of ours. Small letters come first in the
    # comparison, because the small letter of an ASCII letter may be another one: in Turkish that of I is dotless.
    r"""
CREATE OR REPLACE FUNCTION search_words(title text, body text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $function$
DECLARE
    written CONSTANT text := title || chr(10) || COALESCE(left(body, 20000), '');
    folded text := lower(written);
BEGIN
    IF octet_length(folded) > length(folded) THEN
        folded := lower(normalize(regexp_replace(normalize(regexp_replace(regexp_replace(
            written,
            '[\u00aa\u00b2\u00b3\u00b9\u00ba\u2070-\u209f\u2100-\u214f]', ' ', 'g'),
            '[\u00ad\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff]', '', 'g'), NFKD),
            '([A-Za-z\u0370-\u03ff])[\u0300-\u036f]+', '\1', 'g'), NFKC));
        folded := replace(replace(replace(
            translate(folded,
                U&'\00f8\0142\0111\0131\03c2\2018\2019\02bc\201c\201d\201e',
                U&'oldi\03c3\0027\0027\0027\0022\0022\0022'),
            'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe');
        folded := regexp_replace(
            folded,
            '([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2600-\u27bf\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af'
            '\uf900-\ufaff\U0001f000-\U0001faff\U00020000-\U0003134f])',
            ' \1 ', 'g');
    END IF;
    -- chr(58) is the colon, which SQLAlchemy would take for a parameter. No search has a blank as a word.
    RETURN to_tsvector('pg_catalog.english'::regconfig, folded)
        || (quote_literal(' ') || chr(58) || '100')::tsvector
        || to_tsvector('pg_catalog.simple'::regconfig, folded);
END $function$""",
    """
CREATE FUNCTION keep_words_of_new_posts() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    INSERT INTO post_words (post_id, words) SELECT id, search_words(title, body) FROM new_posts
    ON CONFLICT (post_id) DO UPDATE SET words = EXCLUDED.words;
    RETURN NULL;
END $function$""",
    "DROP TRIGGER words_of_new ON posts",
    """
CREATE TRIGGER words_of_new AFTER INSERT ON posts REFERENCING NEW TABLE AS new_posts FOR EACH STATEMENT
EXECUTE FUNCTION keep_words_of_new_posts()""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
