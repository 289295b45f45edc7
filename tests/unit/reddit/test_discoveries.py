"""What the poller reports of r/popular: posts of subreddits that nobody watches, once, also after an outage."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from signalflow.domain.budget import UNKNOWN_LIMIT
from signalflow.domain.discovery import PopularSubreddit, RisingPost
from signalflow.domain.fetch import Findings
from signalflow.domain.ranked_fetches import PopularFetch, PopularSubredditsFetch, RankedFetch
from signalflow.domain.ranked_listings import RankedListing, RankedListings
from signalflow.errors import Retryable
from signalflow.events import Post
from signalflow.reddit import discoveries
from signalflow.reddit.discoveries import Discoveries
from signalflow.reddit.observations import seen
from signalflow.reddit.protocol import FoundSubreddit, SubredditPage

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LISTINGS = RankedListings(600.0)


class Sink:
    def __init__(self) -> None:
        self.told: list[RisingPost] = []
        self.popular: list[tuple[datetime, list[PopularSubreddit]]] = []
        self.is_away = False

    async def note_rising(self, posts: Sequence[RisingPost]) -> None:
        if self.is_away:
            raise Retryable("away")
        self.told += posts

    async def note_popular(self, subreddits: Sequence[PopularSubreddit], seen_at: datetime) -> None:
        if self.is_away:
            raise Retryable("away")
        self.popular.append((seen_at, list(subreddits)))


def post(id_: str, subreddit: str) -> Post:
    return Post(id=id_, subreddit=subreddit, author=None, title="t", created_utc=NOON, score=None, num_comments=None)


def take(found: Discoveries, posts: list[Post], minute: int = 0, kind: type[RankedFetch] = PopularFetch) -> None:
    fetch = kind(RankedListing("rising", ("popular",), 0.0), LISTINGS)
    items: list[Any] = [seen(each) for each in posts]
    findings = Findings(fetch, items, None, 0.0, places=fetch.places(items))
    found.take(fetch, findings, posts, NOON + timedelta(minutes=minute))


async def test_posts_of_other_subreddits_are_reported_with_their_ranks_once() -> None:
    sink = Sink()
    found = Discoveries(sink, {"python"}.__contains__)
    take(found, [post("a", "Rust"), post("b", "Python"), post("c", "go")])
    await found.send()
    await found.send()
    assert sink.told == [RisingPost("a", "Rust", "rising", 1, NOON), RisingPost("c", "go", "rising", 3, NOON)]


async def test_a_listing_of_a_watched_subreddit_discovers_none() -> None:
    sink = Sink()
    found = Discoveries(sink, lambda name: False)
    take(found, [post("a", "rust")], kind=RankedFetch)
    await found.send()
    assert sink.told == []


async def test_what_was_seen_during_an_outage_is_reported_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discoveries, "MOST_WAITING", 2)
    sink = Sink()
    sink.is_away = True
    found = Discoveries(sink, lambda name: False)
    for minute, id_ in enumerate("abca"):
        take(found, [post(id_, "rust")], minute)
        with pytest.raises(Retryable):
            await found.send()
    sink.is_away = False
    await found.send()
    assert [(each.id, each.seen_at) for each in sink.told] == [
        ("c", NOON + timedelta(minutes=2)), ("a", NOON + timedelta(minutes=3)),
    ]  # fmt: skip


def test_a_look_at_popular_is_a_job_that_is_over_with_its_answer() -> None:
    def look() -> PopularFetch:
        return PopularFetch(RankedListing("rising", ("popular",), 0.0), LISTINGS)

    read, unsent, unanswered, refused = (look() for _ in range(4))
    assert read.job == ("discovery", "rising of r/popular", None)
    read.confirm(Findings(read, [], None, 0.0, confirmed=[True]), new=0, is_complete=True, now=0.0)
    unsent.confirm(Findings(unsent, [], None, 0.0, confirmed=[True, False]), new=0, is_complete=False, now=0.0)
    unanswered.failed(0.0)
    refused.refused(0.0)
    outcomes = [fetch.job and fetch.job.outcome for fetch in (read, unsent, unanswered, refused)]
    assert outcomes == ["ok", "partly", "failed", "failed"]


def popular(found: Discoveries, *names: str, minute: int = 0) -> PopularSubredditsFetch:
    """An answer with these subreddits. Those whose names are in capitals are for adults."""
    fetch = PopularSubredditsFetch(RankedListing("subreddits", ("popular",), 0.0), LISTINGS)
    subreddits = tuple(FoundSubreddit(name, over_18=name.isupper()) for name in names)
    page = SubredditPage(subreddits, None, NOON + timedelta(minutes=minute), UNKNOWN_LIMIT)
    findings = found.take_popular(fetch, page, 0.0)
    assert (findings.fetch, findings.published, findings.is_proven) == (fetch, 0, True)
    return fetch


async def test_the_newest_list_of_popular_subreddits_is_reported_once_without_those_for_adults() -> None:
    sink = Sink()
    found = Discoveries(sink, {"python"}.__contains__)
    fetch = popular(found, "Home", "ADULTS", "Python")
    assert fetch.job == ("discovery", "popular subreddits", "ok")
    sink.is_away = True
    with pytest.raises(Retryable):
        await found.send()
    sink.is_away = False
    popular(found, "AskReddit", "Home", minute=1)
    await found.send()
    await found.send()
    assert sink.popular == [
        (NOON + timedelta(minutes=1), [PopularSubreddit("AskReddit", 1), PopularSubreddit("Home", 2)])
    ]
    popular(found, "Home", "ADULTS", "Python", minute=2)
    await found.send()
    # A subreddit that is watched now need not be watched tomorrow.
    assert sink.popular[1][1] == [PopularSubreddit("Home", 1), PopularSubreddit("Python", 3)]
    assert sink.told == []


async def test_an_empty_list_of_popular_subreddits_tells_nothing() -> None:
    sink = Sink()
    found = Discoveries(sink, lambda name: False)
    popular(found)
    await found.send()
    assert sink.popular == []
