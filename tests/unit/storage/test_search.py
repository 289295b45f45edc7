"""A search as PostgreSQL's parser gets it: characters of scripts without spaces are words, and runs are phrases."""

import pytest

from signalflow.storage.search import spaced


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("rocket launch", "rocket launch"),
        ("猫", ' "猫" '),
        ("小さな駅", ' "小 さ な 駅" '),
        ("-猫 駅", '-"猫"   "駅" '),
        ('"駅で猫" map', '" 駅 で 猫 " map'),
        ("tokyo東京", 'tokyo "東 京" '),
        ("Pokémon “ＧＯ”", 'pokemon "go"'),
        ('an "open 猫', 'an "open  猫 '),
    ],
)
def test_runs_of_characters_become_phrases(words: str, wanted: str) -> None:
    assert spaced(words) == wanted
