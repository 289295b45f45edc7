"""Pseudonyms: the same for one author, none for another, and no name beside them."""

import re
from typing import Any

import pytest

from signalflow.exports.pseudonyms import Pseudonyms

KEY = "a key of sixteen"


def row(**changes: Any) -> dict[str, Any]:
    plain = {"author": "Ada", "subreddit": "python", "url": "https://example.org/x", "permalink": "/r/python/a/"}
    return plain | changes


def test_an_author_has_one_pseudonym_in_any_case_and_two_authors_have_two() -> None:
    names = Pseudonyms(KEY)
    assert names.of("Ada") == names.of("ADA") == Pseudonyms(KEY).of("ada")
    assert re.fullmatch("[0-9a-f]{16}", names.of("Ada"))
    assert (
        len(
            {
                names.of("Ada"),
                names.of("Bob"),
                Pseudonyms(KEY + ".").of("Ada"),
                Pseudonyms(Pseudonyms.new_key()).of("Ada"),
            }
        )
        == 4
    )


def test_a_row_keeps_all_but_the_name() -> None:
    names = Pseudonyms(KEY)
    assert names.row(row(score=3)) == row(author=names.of("ada"), score=3)
    assert names.row(row(author=None)) == row(author=None)


@pytest.mark.parametrize("author", ["Ada", "Bob", None])
def test_a_profile_has_the_pseudonym_of_its_name_and_no_address_that_holds_it(author: str | None) -> None:
    names = Pseudonyms(KEY)
    of_profile = row(author=author, subreddit="u_Ada", permalink="/user/ada/comments/1/", url="https://x.org/ADA.png")
    assert names.row(of_profile) == {
        "author": author and names.of(author),
        "subreddit": f"u_{names.of('ada')}",
        "permalink": None,
        "url": None,
    }


def test_a_row_without_an_address_needs_none() -> None:
    comment = {"author": "Ada", "subreddit": "python", "permalink": "/r/python/comments/1/ada_lovelace/2/"}
    assert Pseudonyms(KEY).row(comment)["permalink"] is None
