r"""The index of words has the words that a search and a query compare, and knows which of them are as written.

PostgreSQL's parser takes "mars/moon" for a file and "-5" for a number, so neither "moon" nor the 5 of "gpt-5" was a
word. Signs between words are blanks now. Words as they are written have the weight A, so that a query can ask for their
beginnings without those of English stems. A sign parts title and body: no phrase goes across.
"""

from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Reading all bodies takes longer than a migration usually may. SET LOCAL ends with the revision.
    "SET LOCAL statement_timeout = 0",
    # Where PostgreSQL builds an index on it, it finds no other function of ours. Small letters come first in the
    # comparison, because the small letter of an ASCII letter may be another one: in Turkish that of I is dotless.
    r"""
CREATE OR REPLACE FUNCTION search_words(title text, body text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $function$
DECLARE
    written CONSTANT text := title || chr(31) || COALESCE(left(body, 20000), '');
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
    folded := regexp_replace(folded, '[\u0021-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u007e]', ' ', 'g');
    -- A letter that no language writes alone. chr(58) is the colon, which SQLAlchemy would take for a parameter. No
    -- search has a blank as a word.
    folded := replace(folded, chr(31), U&' \01c1 ');
    RETURN to_tsvector('pg_catalog.english'::regconfig, folded)
        || (quote_literal(' ') || chr(58) || '100')::tsvector
        || setweight(to_tsvector('pg_catalog.simple'::regconfig, folded), 'A');
END $function$""",
    # A post that is stored meanwhile would keep the words of the function before.
    "LOCK TABLE posts IN SHARE MODE",
    r"""
UPDATE post_words SET words = search_words(p.title, p.body) FROM posts AS p WHERE p.id = post_id""",
    "REINDEX INDEX comments_words",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
