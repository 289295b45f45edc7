"""The listing of subreddits that Reddit's API gives: names in Reddit's order, and which are for adults."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from signalflow.reddit.answers import Answer, subreddit_page_of
from signalflow.reddit.protocol import FoundSubreddit, Unavailable

ANSWER = Answer(200, {"x-ratelimit-remaining": "217.0"}, datetime(2026, 1, 1, tzinfo=UTC))


def listing(*children: Any) -> dict[str, Any]:
    return {"kind": "Listing", "data": {"after": "t5_x", "children": list(children)}}


def subreddit(name: object, *, over_18: object = False) -> dict[str, Any]:
    return {"kind": "t5", "data": {"id": "2qh16", "display_name": name, "over18": over_18, "subscribers": 3}}


def test_a_recorded_answer_of_reddit_is_read_in_its_order(shared_data: Path) -> None:
    recorded = json.loads(gzip.decompress((shared_data / "recorded" / "subreddits_popular.json.gz").read_bytes()))
    page = subreddit_page_of(recorded["body"], ANSWER)
    assert [found.name for found in page.subreddits[:4]] == ["Home", "AskReddit", "PublicFreakout", "pics"]
    assert (len(page.subreddits), {found.over_18 for found in page.subreddits}) == (15, {False})
    assert (page.after, page.rejections, page.observed_at) == ("t5_2r8qf", (), ANSWER.arrived)
    assert page.rate_limit.remaining == 217


def test_what_is_no_subreddit_or_does_not_say_whether_it_is_for_adults_is_left_out() -> None:
    page = subreddit_page_of(
        listing(
            subreddit("adults", over_18=True),
            subreddit("python"),
            subreddit("not a name"),
            subreddit("unknown", over_18=None),
            {"kind": "t3", "data": {"id": "abc"}},
        ),
        ANSWER,
    )
    assert page.subreddits == (FoundSubreddit("adults", over_18=True), FoundSubreddit("python", over_18=False))
    assert [rejection.reason for rejection in page.rejections] == ["display_name", "over18", "kind"]


def test_an_answer_that_is_no_listing_is_none() -> None:
    with pytest.raises(Unavailable, match="not a listing"):
        subreddit_page_of({}, ANSWER)
