"""Keywords of titles, and the file of document frequencies that they stand on."""

import gzip
import json
import math
import runpy
import time
import unicodedata
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalflow.domain import keywords as module
from signalflow.domain.features import text_features
from signalflow.domain.keywords import (
    LONGEST_PHRASE,
    MOST_KEYWORDS,
    Frequencies,
    frozen_frequencies,
    keywords,
    parse_frequencies,
    terms,
)
from signalflow.domain.sentiment import polarity_scores

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


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("title", "keyword"),
    [
        ("नमस्ते दुनिया", "नमस्ते दुनिया"),
        ("กรุงเทพ", "กรุงเทพ"),
        ("ខ្មែរ", "ខ្មែរ"),
        ("தமிழ் பூனை", "தமிழ் பூனை"),
        ("שָׁלוֹם", "שָׁלוֹם"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("the Cafe\u0301 burned", "café burned"),
        ("har\u00adbor\u200bcats sleep", "harborcats sleep"),
        ("Zalgo\u0301\u0323 harbor", "zalgo\u0301\u0323 harbor"),
    ],
)
def test_a_word_keeps_the_marks_of_its_letters(title: str, keyword: str) -> None:
    assert [unicodedata.normalize("NFC", found) for found in keywords(title)] == [unicodedata.normalize("NFC", keyword)]


@pytest.mark.parametrize(
    ("title", "without_address"),
    [
        ("Map of the valley https://www.example.org/maps/valley-2.html", "Map of the valley |"),
        ("www.example.org has a map of the valley", "| has a map of the valley"),
        ("The ferry, see example.org/ferry/timetable.html", "The ferry, see |"),
        ("[OC](https://example.org/a/x) A nice bridge", "[OC]( | A nice bridge"),
        ("HTTP://EXAMPLE.ORG", "|"),
        ("Charts at ftp://files.example.org/pub/html.zip and tides", "Charts at | and tides"),
        ("Never open hxxps://example.org/html again", "Never open | again"),
        ("Harbor tables are in s3://example/html.parquet", "Harbor tables are in |"),
        ("https:/example.org/html has a typing error", "| has a typing error"),
        ("See //example.org/html for tides", "See | for tides"),
        ("example.org:8080/html shows the ferry", "| shows the ferry"),
        ("localhost:3000/html or 192.168.1.1:8080/html for the router", "| or | for the router"),
        ("Карта: пример.рф/html парома", "Карта: | парома"),
        ("Write to mira.html+x@example.org about the ferry", "Write to | about the ferry"),
        ("(mailto:mira@example.org) answers", "| answers"),
        ("git clone git@example.org:harbor/html.git fails", "git clone | fails"),
        ("magnet:?xt=urn:html:abc&dn=example of tides", "| of tides"),
    ],
)
def test_web_addresses_give_no_keywords(title: str, without_address: str) -> None:
    found = keywords(title)
    assert found == keywords(without_address)
    assert not any(word in phrase for phrase in found for word in ("http", "www", "example", "html"))


@pytest.mark.parametrize(
    ("title", "keyword"),
    [
        ("Amazon.com opens a store", "amazon.com opens"),
        ("Node.js 25", "node.js 25"),
        ("AC/DC concert", "dc concert"),
        ("Node.js/Express at scale", "express"),
        ("README.txt/LICENSE.md quarrel", "readme.txt"),
        ("@mirabilis wrote", "mirabilis wrote"),
        ("Harbor 2://ferry", "ferry"),
    ],
)
def test_names_with_a_dot_or_slash_are_no_addresses(title: str, keyword: str) -> None:
    assert keyword in keywords(title)


@pytest.mark.parametrize(
    "title",
    [
        "a+" * 20_000,
        "a" * 40_000 + ":/",
        "a@" * 20_000,
        "x@" + "a." * 20_000,
        "a." * 20_000 + "/",
        "a-" * 20_000 + "./",
        "ab." * 13_000 + "1/",
    ],
)
def test_what_nearly_is_an_address_takes_linear_time(title: str) -> None:
    started = time.process_time()
    keywords(title)
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("This isn’t good and I don’t like it", "This isn't good and I don't like it"),
        ("It’s GREAT, you can’t lose", "It's GREAT, you can't lose"),
        ("Couldn’t be happier", "Couldn't be happier"),
        *((f"This isn{sign}t good", "This isn't good") for sign in "`´ʻʼ‘‛′＇"),
    ],
)
def test_typographic_apostrophes_are_scored_as_plain_ones(written: str, plain: str) -> None:
    folded, as_written = text_features(written), text_features(written, False)
    assert folded.sentiment_score == text_features(plain).sentiment_score == polarity_scores(plain)["compound"]
    assert as_written.sentiment_score == polarity_scores(written)["compound"]
    assert (folded.sentiment_basis, as_written.sentiment_basis) == ("folded_apostrophes", "as_written")
    assert text_features(plain).sentiment_basis == "as_written"
    assert folded.keywords == text_features(plain).keywords


@pytest.mark.parametrize("title", ["`code` is good", "A ´good´ day", "The ‘good’ 5′ isn‘", "5′9 good"])
def test_other_signs_are_no_apostrophes_outside_of_words(title: str) -> None:
    assert text_features(title).sentiment_score == polarity_scores(title.replace("’", "'"))["compound"]


@pytest.mark.parametrize(
    "title",
    [
        "高山の小さな駅で猫を見つけた",
        "Warum ist der Fluss so kalt und wo ist die Brücke",
        "Где мой кот?",
        "Pourquoi est-ce que le ciel est bleu et pas vert",
    ],
)
def test_a_title_that_is_not_english_has_no_sentiment(title: str) -> None:
    features = text_features(title)
    assert (features.sentiment_score, features.sentiment_label, features.sentiment_basis) == (None, None, "not_english")


def test_features_are_those_of_sentiment_and_keywords() -> None:
    features = text_features("Kubernetes 1.31 is GREAT!")
    # vaderSentiment 3.3.2 gives 0.729 for this text.
    assert (features.sentiment_score, features.sentiment_label) == (0.729, "positive")
    assert features.keywords[0] == "kubernetes 1.31"
    assert text_features("Kubernetes 1.31 is GREAT!") is features


# --- the rules, with frequencies of the tests' own

# Each of the words that are not listed counts as one title of 10,000.
COUNTS = {"game": 900, "budget": 80, "amber": 20, "cooks": 19, "owl": 4, "7": 300, "1.31": 2, "x": 50, "new-ish": 150}
FREQUENCIES = Frequencies(10_000, COUNTS)
WORDS = [*COUNTS, "zebra", "c++", "b52", "ox"]
# What may stand between two words, and whether a phrase may go across it. A stop word has no weight, and no capital.
BETWEEN = {" ": True, ", ": False, " (": False, " the ": False}


def best_phrases(words: list[tuple[str, bool, str]]) -> list[str]:
    """By the description alone: every phrase of up to three neighbours, the heaviest first, none across another.

    Each word has its text, whether it begins with a capital, and what separates it from the next one.
    """
    capitals = sum(is_capital and text[0].isalpha() for text, is_capital, _ in words)
    small = len(words) - capitals + sum(between == " the " for _, _, between in words[:-1])
    weights = []
    for index, (text, is_capital, _) in enumerate(words):
        has_digit = any(character.isdigit() for character in text)
        is_name = is_capital and text[0].isalpha() and index > 0 and capitals <= small
        rarity = math.log(10_000 / COUNTS.get(text, 1))
        weights.append(rarity * (1.25 if has_digit or is_name else 1) + math.log(0.01))
    # A number is no keyword by itself, nor is a single letter.
    tells = [len(text) > 1 and not text.replace(".", "").isdigit() for text, _, _ in words]
    phrases = [
        (-sum(weights[start:end]), start, end)
        for start in range(len(words))
        for end in range(start + 1, min(start + 3, len(words)) + 1)
        if all(BETWEEN[between] for _, _, between in words[start : end - 1]) and (tells[start] or tells[end - 1])
    ]
    chosen: list[str] = []
    taken: set[int] = set()
    for weight, start, end in sorted(phrases):
        if weight >= 0 and chosen:
            break
        phrase = " ".join(text for text, _, _ in words[start:end])
        if taken.isdisjoint(range(start, end)) and phrase not in chosen and len(chosen) < 5:
            chosen.append(phrase)
            taken.update(range(start, end))
    return chosen


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(WORDS), st.booleans(), st.sampled_from(sorted(BETWEEN))), max_size=14))
def test_keywords_are_the_heaviest_phrases_that_do_not_overlap(words: list[tuple[str, bool, str]]) -> None:
    title = "".join(
        (text.capitalize() if is_capital else text) + (between if index < len(words) - 1 else "")
        for index, (text, is_capital, between) in enumerate(words)
    )
    assert keywords(title, FREQUENCIES) == best_phrases(words)


def test_a_common_word_is_no_keyword_beside_a_better_one() -> None:
    """`new-ish` is in 1.5 of 100 titles."""
    assert keywords("owl, new-ish", FREQUENCIES) == ["owl"]
    assert keywords("new-ish", FREQUENCIES) == ["new-ish"]


@pytest.mark.parametrize(("length", "is_word"), [(40, True), (41, False)])
def test_a_word_of_more_than_40_characters_is_left_out(length: int, is_word: bool) -> None:
    word = "q" * length
    assert keywords(f"an {word}", FREQUENCIES) == list(terms(word)) == ([word] if is_word else [])


@pytest.mark.parametrize("title", ["the q", "the 7", "the 1.31", "the q 7"])
def test_a_single_letter_and_a_number_are_no_keywords_by_themselves(title: str) -> None:
    assert keywords(title, FREQUENCIES) == []
    assert keywords(f"{title}, an ox", FREQUENCIES) == ["ox"]


def test_a_curly_apostrophe_is_an_apostrophe() -> None:
    assert list(terms("Hollande’s plan isn’t an O’Neill")) == ["hollande", "plan", "o'neill"]
    assert keywords("it isn’t", FREQUENCIES) == []


def test_words_after_the_eightieth_do_not_count() -> None:
    assert keywords("x " * 79 + "zebra", FREQUENCIES)[0] == "x x zebra"
    assert keywords("x " * 80 + "zebra", FREQUENCIES) == []


@pytest.mark.parametrize("title", ["the 'owl' zebra", "the owl! zebra", "the (owl) zebra", "the owl... zebra"])
def test_punctuation_on_either_side_of_a_word_ends_a_phrase(title: str) -> None:
    assert set(keywords(title, FREQUENCIES)) == {"owl", "zebra"}


def test_several_words_between_two_spaces_all_count_in_what_most_words_begin_with() -> None:
    frequencies = Frequencies(10_000, {"amber": 20, "cooks": 19})
    assert keywords("so Amber/Amber/Amber, cooks, cooks, a", frequencies) == ["amber", "cooks"]
    assert keywords("so Amber/Amber/Amber, cooks, a", frequencies) == ["amber", "cooks"]
    assert keywords("so Amber/Amber/Amber/Amber, cooks, a", frequencies) == ["cooks", "amber"]
    assert keywords("so cooks/cooks/cooks/a, Amber Amber Amber", frequencies)[0].startswith("amber")


def test_a_file_of_frequencies_has_remarks_a_number_of_titles_and_counts() -> None:
    text = "# titles: of somewhere\n#documents: 42\nowl\t3\n# done\nc#\t7\n"
    assert parse_frequencies(text) == Frequencies(42, {"owl": 3, "c#": 7})


def test_the_cache_of_words_is_bounded_and_keeps_what_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_RECENT_TOKENS", 3)
    tokens = module._Tokens(FREQUENCIES)
    first = [tokens[word] for word in ("a1", "a2", "a3")]
    assert len(tokens) == 3
    tokens["a4"]
    assert len(tokens) == 1
    assert tokens["a2"] is first[1], "it was found in the older half"
    assert set(tokens) == {"a4", "a2"}
    assert tokens["q" * 41] is not tokens["q" * 41]
    assert tokens["q" * 40] is tokens["q" * 40]
    assert len(tokens) == 3
