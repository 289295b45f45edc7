"""The words that say nothing about a subject."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from signalflow.domain.general_words import general_words

SCRIPT: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[3] / "scripts" / "make_general_words.py"))


@pytest.mark.parametrize("word", ["read", "file", "updated", "far", "thought", "week", "finally", "2013"])
def test_a_word_of_any_subject_is_general(word: str) -> None:
    assert word in general_words()


@pytest.mark.parametrize("word", ["python", "court", "police", "climate", "mars", "bitcoin", "war", "ai", "rocket"])
def test_a_word_with_a_subject_is_not_general(word: str) -> None:
    assert word not in general_words()


def test_a_word_is_general_when_it_occurs_in_as_many_subreddits_as_chance_would_bring() -> None:
    """Of 40 titles in each of 10 subreddits, 30 have the word: in all subreddits, or in two of them."""
    posts = [
        (f"sub{number}", f"title {'everywhere' if turn < 3 else ''} {'somewhere' if number < 2 and turn < 15 else ''}")
        for number in range(10)
        for turn in range(40)
    ]
    rare = [(f"sub{number}", "seldom") for number in range(10)]
    assert SCRIPT["general_words"]([*posts, *rare]) == ["everywhere", "title"]
