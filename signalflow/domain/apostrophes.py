"""The signs that people type for an apostrophe: VADER, and every list of words, knows only the plain one."""

import re

TYPOGRAPHIC = "\u2019"
# Within a word these are apostrophes too: accents, a prime, quotation marks, letters that look like one.
_WITHIN_WORDS = re.compile("(?<=[^\\W\\d_])[`\u00b4\u02bb\u02bc\u2018\u201b\u2032\uff07](?=[^\\W\\d_])")


def plain_apostrophes(text: str) -> str:
    """The text with plain apostrophes: in place of every \u2019, and of other such signs between two letters."""
    if text.isascii() and "`" not in text:
        return text
    return _WITHIN_WORDS.sub("'", text.replace(TYPOGRAPHIC, "'"))
