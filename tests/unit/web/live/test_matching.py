"""Filters."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from starlette.datastructures import QueryParams

from signalflow.errors import Invalid
from signalflow.events import TextFeatures
from tests.unit.web.live.records import record
from web.api.live.subscription import filter_in
from web.api.post_filters import PostFilters
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
        ({"subreddit": ["machinelearning", "python"]}, True),
        ({"subreddit": ["learning"]}, False),
        ({"trending": True}, False),
        ({"min_score": 10}, True),
        ({"min_score": 11}, False),
        ({"id": ["abc", "abd"]}, True),
        ({"id": ["abd"]}, False),
        ({"keyword": ["ai"]}, False),
        ({"keyword": ["ai", "SAID"]}, True),
        ({"keyword": ["strasse"]}, True),
        ({"keyword": ["c++"]}, True),
        ({"keyword": ["gpt"]}, True),
        ({"keyword": ["and gpt-5"]}, True),
        ({"keyword": ["Language  Model"]}, True),
        ({"keyword": ["model he"]}, False),
        ({"keyword": [".*"]}, False),
        ({"keyword": ["said"], "min_score": 11}, False),
        ({"trending": False}, True),
        ({"author": "SOMEONE"}, True),
        ({"author": "u/Someone"}, True),
        ({"author": "/user/someone/"}, True),
        ({"author": "https://www.reddit.com/user/someone/"}, True),
        ({"author": "@someone"}, True),
        ({"author": "r/someone"}, False),
        ({"author": "someone_else"}, False),
        ({"q": "strasse gpt"}, True),
        ({"q": "strasse -gpt"}, False),
        ({"q": "language"}, False),
        ({"q": "said", "min_score": 11}, False),
        ({"shown": True}, True),
        ({"shown": False}, False),
        ({"over_18": False}, True),
        ({"over_18": True}, False),
        ({"min_sentiment": 0.0, "max_sentiment": 0.0}, True),
        ({"min_sentiment": 0.1}, False),
        ({"max_sentiment": -0.1}, False),
        ({"created_from": POST.post.created_utc}, True),
        ({"created_from": POST.post.created_utc + timedelta(seconds=1)}, False),
        ({"created_to": POST.post.created_utc}, False),
        ({"created_to": POST.post.created_utc + timedelta(seconds=1)}, True),
    ],
)
def test_a_filter_lets_through_what_meets_all_conditions(filter_: dict[str, Any], expected: bool) -> None:
    assert Matcher(Filter(**filter_))(POST) is expected


def test_an_unknown_score_passes_no_limit() -> None:
    unknown = record(0, 0, "abc", current_score=None)
    assert Matcher(Filter())(unknown)
    assert not Matcher(Filter(min_score=-(2**31)))(unknown)


def test_equal_filters_share_a_group_however_they_are_written() -> None:
    first = Matcher(Filter(subreddit=["Python", "rust"], keyword=["a  B"]))
    second = Matcher(Filter(subreddit=["rust", "python", "rust"], keyword=["A b"]))
    assert first.key == second.key
    assert first.key != Matcher(Filter(subreddit=["rust", "python"])).key
    assert Matcher(Filter(q="Mars or  moon")).key == Matcher(Filter(q="mars or MOON")).key
    others = (Filter(q="mars"), Filter(q="moon"), Filter(author="mars"), Filter(keyword=["mars"]), Filter(shown=False))
    assert len({Matcher(other).key for other in others}) == len(others)


def test_the_live_stream_has_every_filter_of_the_post_list() -> None:
    assert set(PostFilters.model_fields) <= set(Filter.__struct_fields__)


@pytest.mark.parametrize(("written", "name"), [("u/Mira", "Mira"), ("reddit.com/u/Mira/", "Mira"), ("u/", "u/")])
def test_an_author_is_found_however_the_name_is_written(written: str, name: str) -> None:
    assert PostFilters(author=written).filters.author == name


def test_query_parameters_become_a_filter() -> None:
    query = QueryParams(
        "subreddit=Python,rust&subreddit=golang&trending=true&min_score=-5&keyword=gpt+5&id=abc,&since=token"
    )
    assert filter_in(query) == Filter(
        subreddit=["Python", "rust", "golang"], trending=True, min_score=-5, keyword=["gpt 5"], id=["abc"]
    )


def test_the_least_and_the_most_of_a_range_may_be_equal() -> None:
    query = QueryParams("min_sentiment=0.5&max_sentiment=0.5")
    assert filter_in(query) == Filter(min_sentiment=0.5, max_sentiment=0.5)


def test_the_names_of_earlier_versions_are_understood() -> None:
    wanted = Filter(subreddit=["rust"], keyword=["gpt"], id=["abc"])
    assert filter_in(QueryParams("subreddits=rust&keywords=gpt&ids=abc")) == wanted
    assert decode_filter('{"type":"filter","subreddits":["rust"],"keywords":["gpt"],"ids":["abc"]}') == wanted


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("autor=x", "autor"),
        ("window=24h", "window"),
        ("q=", "q"),
        (f"q={'x' * 501}", "q"),
        ("q=a%00b", "q"),
        ("shown=perhaps", "shown"),
        ("author=", "author"),
        ("max_sentiment=2", "max_sentiment"),
        ("created_from=yesterday", "created_from"),
        ("created_from=2026-01-02T00:00:00", "created_from"),
        ("created_from=2026-01-02T00:00:00Z&created_to=2026-01-01T00:00:00Z", "created_to"),
        ("trending=perhaps", "trending"),
        ("min_score=many", "min_score"),
        ("min_score=9999999999", "min_score"),
        ("subreddit=a%20b", "subreddit"),
        ("subreddit=", "subreddit"),
        ("keyword=%20,", "keyword"),
        ("keyword=a%00b", "keyword"),
        ("author=a%00b", "author"),
        ("author=a&author=b", "author"),
        ("since=a&since=b", "since"),
        ("subreddits=rust&subreddit=python", "subreddits"),
        ("min_sentiment=0.5&max_sentiment=0.4", "max_sentiment"),
        ("id=ABC", "id"),
        (f"keyword={'x' * 101}", "keyword"),
        (f"id={','.join(['a'] * 501)}", "id"),
    ],
)
def test_a_bad_parameter_is_named(query: str, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        filter_in(QueryParams(query))
    assert caught.value.field == field
    assert "regex" not in str(caught.value)


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
        '{"type":"filter","ids":["a"],"id":["a"]}',
        '{"type":"filter","keyword":[" "]}',
        '{"type":"filter","min_sentiment":0,"max_sentiment":-0.5}',
        "[" * 5000,
    ],
)
def test_a_message_that_is_no_filter_is_invalid(message: str) -> None:
    with pytest.raises(Invalid):
        decode_filter(message)


def test_a_filter_message_round_trips() -> None:
    filter_ = Filter(subreddit=["python"], trending=True)
    assert decode_filter(msgspec.json.encode(filter_)) == filter_
