"""Which titles get a sentiment score: English ones, and those that nothing shows to be in another language."""

import gzip
import html
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalflow.domain.apostrophes import plain_apostrophes
from signalflow.domain.language import function_words, is_english
from signalflow.domain.sentiment import polarity_scores
from signalflow.verify import figures


@pytest.mark.parametrize(
    "title",
    [
        "The ferry is late again", "Los Angeles is burning", "Les Misérables is great", "Tour de France results", "",
        "C++ or C# or .NET for the timetable", "🚀🚀🚀", "[ Removed by Reddit ]", "2024", "naïve café owner",
        "TIL that El Niño and La Niña are linked", "Ich bin ein Berliner: what did he mean by that?", "OK",
        "My cat is called 猫", "Nightcall", "What's going on", "Ronaldo's goal vs. Sevilla", "Ferry timetable", "Yay",
        "Dat Burger...", "Los Angeles Metro", "Sigur Rós live", "Well uhhhh...", "Fatal error", "Bonjour, world",
        "Die harder", "Le Mans highlights",
    ],
)  # fmt: skip
def test_english_titles_keep_their_score(title: str) -> None:
    assert is_english(title)


@pytest.mark.parametrize(
    "title",
    [
        "Warum ist der Fluss so kalt und wo ist die Brücke", "¿Dónde está el gato negro de mi hermana?",
        "Pourquoi le ciel est-il bleu et pas vert ?", "Il treno non è in orario", "O gato não está em casa",
        "Waarom is het water niet warm?", "Varför är vattnet inte varmt",
        "Dlaczego woda nie jest ciepła, czy tak się nie da",
        "Bu köprü ne kadar eski ve neden kapalı", "Где мой кот", "قطتي تحب السمك",
        "我的猫喜欢鱼", "고양이가 자고 있다",
        # Short ones, without two small words.
        "La casa de papel", "Der Untergang", "Große Hoffnungen", "Mein Fahrrad", "Joyeux Noël", "Buenos días",
        "Feliz cumpleaños", "La dolce vita", "Dzień dobry", "Günaydın arkadaşlar",
        "Tack så mycket", "Viva México", "Mi perro", "Ça marche", "Je t'aime",
    ],
)  # fmt: skip
def test_titles_of_other_languages_are_recognised(title: str) -> None:
    assert not is_english(title)


@pytest.mark.slow
def test_of_42000_real_english_titles_nearly_none_is_taken_for_another_language_and_none_that_has_a_score(
    shared_data: Path,
) -> None:
    with gzip.open(shared_data / "real_posts_2013.ndjson.gz", "rt", encoding="utf-8") as lines:
        titles = [html.unescape(json.loads(line)["title"]) for line in lines]
    others = [title for title in titles if not is_english(title)]
    assert len(titles) == 42_283
    assert len(others) <= 20, others
    assert not [title for title in others if polarity_scores(title)["compound"]]


_SMALL = st.sampled_from(sorted(word for words in function_words().values() for word in words))
_KNOWN = st.sampled_from(["ferry's", "l'ferry", "grave", "brücke", "xyzzy", "grue's", "ok", "die", "boats"])
_WORDS = st.lists(
    _SMALL
    | _KNOWN
    | st.text(max_size=6)
    | st.sampled_from(["猫", "Ferry", "’s", "don’t", "isn´t", "l`été", "‘a‘", "ñ"]),
    max_size=12,
)


@given(_WORDS.map(" ".join))
def test_the_oracle_decides_the_same(title: str) -> None:
    assert figures.is_english(title) == is_english(title)


@given(st.text("aé1_ `´ʻʼ‘’‛′＇'Ʌ猫ʰ", max_size=12))
def test_the_oracle_folds_the_same_apostrophes(title: str) -> None:
    score, _ = figures.sentiment(f"not{title}t good", "folded_apostrophes")
    assert score == polarity_scores(plain_apostrophes(f"not{title}t good"))["compound"]
    assert figures._plain(title) == plain_apostrophes(title)
