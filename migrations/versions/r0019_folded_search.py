r"""Search finds words however their letters are written: "Pokemon" finds "Pokémon", and "don't" finds "don’t".

What is indexed is folded first, by the rules of signalflow/domain/search.py. A gap parts the words as English has them
from the words as they are written: without it, the last word of a text stood before its first one, and the phrase
"mars moon" found "Moon, mars".
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Reading all bodies takes longer than a migration usually may. SET LOCAL ends with the revision.
    "SET LOCAL statement_timeout = 0",
    # One function: where PostgreSQL builds an index on it, it finds no other function of ours.
    r"""
CREATE OR REPLACE FUNCTION search_words(title text, body text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $function$
    -- chr(58) is the colon, which SQLAlchemy would take for a parameter. No search has a blank as a word.
    SELECT to_tsvector('pg_catalog.english'::regconfig, spaced)
        || (quote_literal(' ') || chr(58) || '100')::tsvector
        || to_tsvector('pg_catalog.simple'::regconfig, spaced)
    FROM (SELECT lower(normalize(regexp_replace(normalize(regexp_replace(regexp_replace(
            title || chr(10) || COALESCE(left(body, 20000), ''),
            '[\u00aa\u00b2\u00b3\u00b9\u00ba\u2070-\u209f\u2100-\u214f]', ' ', 'g'),
            '[\u00ad\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff]', '', 'g'), NFKD),
            '([A-Za-z\u0370-\u03ff])[\u0300-\u036f]+', '\1', 'g'), NFKC)) AS small) AS text,
    LATERAL (SELECT replace(replace(replace(
            translate(small,
                U&'\00f8\0142\0111\0131\03c2\2018\2019\02bc\201c\201d\201e',
                U&'oldi\03c3\0027\0027\0027\0022\0022\0022'),
            'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe') AS folded) AS folding,
    LATERAL (SELECT regexp_replace(
            folded,
            '([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2600-\u27bf\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af'
            '\uf900-\ufaff\U0001f000-\U0001faff\U00020000-\U0003134f])',
            ' \1 ', 'g') AS spaced) AS spacing
$function$""",
    r"""
UPDATE post_words SET words = search_words(p.title, p.body) FROM posts AS p WHERE p.id = post_id""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
