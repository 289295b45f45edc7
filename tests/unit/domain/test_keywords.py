"""Keywords of titles, and the file of document frequencies that they stand on."""

import gzip
import json
import runpy
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalflow.domain.features import text_features
from signalflow.domain.keywords import LONGEST_PHRASE, MOST_KEYWORDS, Frequencies, frozen_frequencies, keywords, terms

ORIGIN = "titles of umbrae/reddit-top-2.5-million, January to August 2013, ODC PDDL 1.0; counts only"
SHIPPED = files("signalflow.domain").joinpath("document_frequencies.tsv.gz")


SCRIPT: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[3] / "scripts" / "make_document_frequencies.py"))


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Stable Diffusion 3 released: how it compares to SDXL", {"stable diffusion 3", "sdxl"}),
        ("Kubernetes 1.31 is out", {"kubernetes 1.31"}),
        (
            "Wild Card Game Thread:  Seattle Seahawks at Washington Redskins",
            {"seattle seahawks", "washington redskins"},
        ),
        ("Japanese friends cooked us Herring Pumpkin Pie from Kiki's Delivery Service...", {"kiki delivery service"}),
        ("C++, F# and so on", {"c++", "f#"}),
        ("Hollande’s plan", {"hollande plan"}),
    ],
)
def test_names_and_rare_phrases_come_out_whole(title: str, expected: set[str]) -> None:
    assert expected <= set(keywords(title))


@pytest.mark.parametrize("title", ["", " ", "the of and", "2013", "...", "😂😂", "_ _", "a" * 600, "\x00"])
def test_a_title_without_words_that_tell_has_no_keywords(title: str) -> None:
    assert keywords(title) == []


def test_a_phrase_never_crosses_punctuation_or_a_stop_word() -> None:
    assert set(keywords("Zorblax, Quendle of Vintrope (Mizzlefip) - Drangonel")) == {
        "zorblax",
        "quendle",
        "vintrope",
        "mizzlefip",
        "drangonel",
    }


def test_a_title_of_common_words_still_has_its_best_one() -> None:
    assert keywords("What is the best game?") == ["game"]


def test_a_rarer_word_ranks_before_a_commoner_one() -> None:
    frequencies = Frequencies(documents=10_000, counts={"budget": 80, "lobster": 4})
    assert keywords("a budget, a lobster", frequencies) == ["lobster", "budget"]


def test_capitals_mark_a_name_only_where_most_words_have_none() -> None:
    frequencies = Frequencies(documents=10_000, counts={"amber": 20, "cooks": 19})
    assert keywords("so she cooks with Amber", frequencies) == ["amber", "cooks"]
    assert keywords("So She Cooks With Amber", frequencies) == ["cooks", "amber"]


@settings(max_examples=200)
@given(st.text(max_size=300))
def test_any_title_gives_few_short_and_distinct_keywords_again_and_again(title: str) -> None:
    found = keywords(title)
    assert found == keywords(title)
    assert len(found) <= MOST_KEYWORDS
    assert len(set(found)) == len(found)
    assert all(1 <= len(phrase.split()) <= LONGEST_PHRASE for phrase in found)


@pytest.mark.parametrize("piece", ["a.", "Zq1 ", "x", ".", "a-'", "1_", "'"])
def test_hostile_text_takes_milliseconds(piece: str) -> None:
    text = (piece * 40_000)[:40_000]
    seconds = []
    for _ in range(3):
        start = time.thread_time()
        keywords(text)
        seconds.append(time.thread_time() - start)
    assert min(seconds) < 0.02


def test_the_shipped_frequencies_are_counts_of_real_titles() -> None:
    shipped = frozen_frequencies()
    assert shipped.documents == 42_283
    assert len(shipped.counts) > 10_000
    assert min(shipped.counts.values()) == 3
    assert len(SHIPPED.read_bytes()) < 300_000


def test_the_script_makes_the_shipped_file_from_its_titles(shared_data: Path) -> None:
    documents, counts = SCRIPT["count_terms"](shared_data / "real_posts_2013.ndjson.gz")
    made = gzip.decompress(SCRIPT["render"](documents, counts, ORIGIN))
    assert made == gzip.decompress(SHIPPED.read_bytes())


def test_a_term_counts_once_a_title(tmp_path: Path) -> None:
    path = tmp_path / "posts.ndjson"
    path.write_text("\n".join(json.dumps({"title": title}) for title in ["Owl owl OWL's", "an owl", "a cat"]))
    documents, counts = SCRIPT["count_terms"](path)
    assert (documents, counts["owl"], counts["cat"]) == (3, 2, 1)


def test_terms_leave_stop_words_out() -> None:
    assert list(terms("The cat's out of the bag, isn't it")) == ["cat", "bag"]


def test_features_are_those_of_sentiment_and_keywords() -> None:
    features = text_features("Kubernetes 1.31 is GREAT!")
    # vaderSentiment 3.3.2 gives 0.729 for this text.
    assert (features.sentiment_score, features.sentiment_label) == (0.729, "positive")
    assert features.keywords[0] == "kubernetes 1.31"
    assert features.topic_cluster is None
    assert text_features("Kubernetes 1.31 is GREAT!") is features
