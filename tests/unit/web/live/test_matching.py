"""Filters."""

from typing import Any

import msgspec
import pytest
from starlette.datastructures import QueryParams

from signalflow.errors import Invalid
from signalflow.events import TextFeatures
from tests.unit.web.live.records import record
from web.api.live.subscription import filter_in
from web.live.matching import Matcher
from web.live.protocol import Filter, decode_filter

POST = record(
    0,
    0,
    "abc",
    subreddit="MachineLearning",
    title="He said Straße:  C++ and  GPT-5 are out",
    current_score=10,
    is_trending=False,
    nlp=TextFeatures(sentiment_score=0, sentiment_label="neutral", keywords=["language model"]),
)


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({}, True),
        ({"subreddits": ["machinelearning", "python"]}, True),
        ({"subreddits": ["learning"]}, False),
        ({"trending": True}, False),
        ({"min_score": 10}, True),
        ({"min_score": 11}, False),
        ({"ids": ["abc", "abd"]}, True),
        ({"ids": ["abd"]}, False),
        ({"keywords": ["ai"]}, False),
        ({"keywords": ["ai", "SAID"]}, True),
        ({"keywords": ["strasse"]}, True),
        ({"keywords": ["c++"]}, True),
        ({"keywords": ["gpt"]}, True),
        ({"keywords": ["and gpt-5"]}, True),
        ({"keywords": ["Language  Model"]}, True),
        ({"keywords": ["model he"]}, False),
        ({"keywords": [".*"]}, False),
        ({"keywords": ["said"], "min_score": 11}, False),
    ],
)
def test_a_filter_lets_through_what_meets_all_conditions(filter_: dict[str, Any], expected: bool) -> None:
    assert Matcher(Filter(**filter_))(POST) is expected


def test_equal_filters_share_a_group_however_they_are_written() -> None:
    first = Matcher(Filter(subreddits=["Python", "rust"], keywords=["a  B"]))
    second = Matcher(Filter(subreddits=["rust", "python", "rust"], keywords=["A b"]))
    assert first.key == second.key
    assert first.key != Matcher(Filter(subreddits=["rust", "python"])).key


def test_query_parameters_become_a_filter() -> None:
    query = QueryParams(
        "subreddits=Python,rust&subreddits=golang&trending=true&min_score=-5&keywords=gpt+5&ids=abc,&other=1"
    )
    assert filter_in(query) == Filter(
        subreddits=["Python", "rust", "golang"], trending=True, min_score=-5, keywords=["gpt 5"], ids=["abc"]
    )


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("trending=perhaps", "trending"),
        ("min_score=many", "min_score"),
        ("min_score=9999999999", "min_score"),
        ("subreddits=a%20b", "subreddits"),
        ("ids=ABC", "ids"),
        (f"keywords={'x' * 101}", "keywords"),
        (f"ids={','.join(['a'] * 501)}", "ids"),
    ],
)
def test_a_bad_parameter_is_named(query: str, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        filter_in(QueryParams(query))
    assert caught.value.field == field


@pytest.mark.parametrize(
    "message",
    [
        "",
        "nonsense",
        "[]",
        "{}x",
        '{"type":"posts"}',
        '{"type":"filter","min_skore":1}',
        '{"type":"filter","ids":["A"]}',
        "[" * 5000,
    ],
)
def test_a_message_that_is_no_filter_is_invalid(message: str) -> None:
    with pytest.raises(Invalid):
        decode_filter(message)


def test_a_filter_message_round_trips() -> None:
    filter_ = Filter(subreddits=["python"], trending=True)
    assert decode_filter(msgspec.json.encode(filter_)) == filter_
