"""A search as PostgreSQL's parser gets it: characters of scripts without spaces are words, and runs are phrases."""

import pytest

from signalflow.storage.search import web_search


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("rocket launch", "rocket launch"),
        ("猫", "猫"),
        ("小さな駅", '"小 さ な 駅"'),
        ("-猫 駅", "-猫 駅"),
        ('"駅で猫" map', '"駅 で 猫" map'),
        ("tokyo東京", '"tokyo 東 京"'),
        ("-tokyo東京 map", '-"tokyo 東 京" map'),
        ('an "open 猫', 'an "open 猫"'),
        ("Pokémon “ＧＯ”", 'pokemon "go"'),
        ("Ferry - a timetable", "ferry a timetable"),
        ("--rocket (toy)", "-rocket toy"),
        ("-(-(-(rocket", "-rocket"),
        ("mars or or moon", "mars or moon"),
        ("or mars or", "mars"),
        ("OR or", '"or"'),
        ("-or mars", '-"or" mars'),
        ("gpt-5 v1.2.3 c++ .net", '"gpt 5" "v1 2 3" c net'),
        ('"" "-" - ++', ""),
        ("-" * 200, ""),
    ],
)
def test_a_search_is_written_for_the_parser_of_postgresql(words: str, wanted: str) -> None:
    assert web_search(words) == wanted
