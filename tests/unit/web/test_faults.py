"""What is said of a wrong parameter."""

import re
from typing import Any

import httpx

from web.faults import in_words

CASES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("/api/posts/", {"page_size": "500"}, "page_size: must be at most 200, not '500'"),
    ("/api/posts/", {"page_size": "many"}, "page_size: must be a whole number, not 'many'"),
    ("/api/posts/", {"min_sentiment": "good"}, "min_sentiment: must be a number, not 'good'"),
    ("/api/posts/", {"trending": "perhaps"}, "trending: must be true or false, not 'perhaps'"),
    ("/api/posts/", {"q": "x" * 600}, "q: must have at most 500 characters, not 600"),
    ("/api/posts/", {"author": ""}, "author: must not be empty"),
    ("/api/posts/", {"subreddit": ["a"] * 60}, "subreddit: may be given at most 50 times, not 60"),
    (
        "/api/posts/",
        {"subreddit": "r/python"},
        "subreddit.0: must be a subreddit's name without r/, not 'r/python'",
    ),
    ("/api/posts/", {"order": "best"}, "order: must be 'newest'"),
    ("/api/posts/", {"window": "1y", "order": "momentum"}, "window: must be a number of hours or days"),
    ("/api/posts/", {"created_from": "yesterday"}, "created_from: must be a time with a time zone, such as 2026-"),
    ("/api/posts/", {"created_from": "2026-01-31T12:00:00"}, "created_from: must name a time zone"),
    (
        "/api/posts/",
        {"created_from": "2026-01-02T00:00:00Z", "created_to": "2026-01-01T00:00:00Z"},
        "created_to: must not be before created_from",
    ),
    ("/api/posts/", {"autor": "x"}, "autor: is unknown here; GET /docs lists the parameters of each address"),
    (
        "/api/posts/",
        {"min_sentiment": "0.5", "max_sentiment": "0.4"},
        "max_sentiment: must not be below min_sentiment",
    ),
    ("/api/posts/", {"author": ["a", "b"]}, "author: may be given once, not 2 times"),
    ("/api/posts/", {"author": ["a", "b"], "autor": "c"}, "author: may be given once, not 2 times; autor: is unknown"),
    ("/api/posts/1abc/", {"order": "newest"}, "order: is unknown here"),
    ("/api/stats/", {"window": ["1h", "2h"]}, "window: may be given once, not 2 times"),
    ("/api/operations/", {"subreddit": "rust"}, "subreddit: is unknown here"),
    ("/api/audit/", {"user": "ada"}, "user: is unknown here"),
    ("/api/subreddits/", {"priority": ["fast", "slow"]}, "priority: may be given once, not 2 times"),
    ("/api/subreddits.csv", {"search": "rust"}, "search: is unknown here"),
    ("/dlq/", {"until_": "x"}, "until_: is unknown here"),
    ("/dlq/", {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "until: must be after since"),
    ("/health", {"a": "b"}, "a: is unknown here"),
    ("/api/posts/t3_ABC/", {}, "id: must be Reddit's id of a post without t3_"),
    ("/api/stream", {"subreddit": "a b"}, "subreddit: must be at most 500 names of subreddits, without r/"),
    ("/api/stream", {"window": "24h"}, "window: is unknown here; GET /docs lists the parameters"),
    ("/api/stream", {"subreddits": "rust", "subreddit": "rust"}, "subreddits: is the former name of subreddit"),
    ("/api/stream", {"trending": ["true", "false"]}, "trending: may be given once, not 2 times"),
    ("/api/stream", {"q": "x" * 600}, "q: must be a search of 1 to 500 characters"),
)


async def test_a_message_speaks_of_what_was_given(client: httpx.AsyncClient) -> None:
    for path, parameters, message in CASES:
        answer = await client.get(path, params=parameters)
        assert answer.status_code == 422, message
        detail = answer.json()["detail"]
        assert detail.startswith(message)
        assert not re.search(r"items|pattern|regex|\^|Input", detail)


def test_what_was_given_is_not_told_of_a_password() -> None:
    assert in_words({"type": "string_too_short", "loc": ("password",), "msg": "too short"}) == "too short"


def test_a_long_value_is_cut() -> None:
    error = {"type": "int_parsing", "input": "9" * 500, "ctx": {}, "msg": ""}
    assert len(in_words(error)) < 100
