"""Runs that were asked for: taken once, reported as they go on, and not lost while the database is away."""

from collections.abc import Sequence

import pytest

from signalflow.domain.once import OnceResult, OnceRun
from signalflow.domain.once_comments import OnceComments
from signalflow.domain.ranked_listings import RankedListings
from signalflow.errors import Retryable
from signalflow.reddit.once import OnceRuns


class Source:
    def __init__(self, *runs: OnceRun) -> None:
        self.runs = list(runs)
        self.told: list[dict[str, OnceResult]] = []
        self.told_of_comments: list[dict[str, OnceResult]] = []
        self.is_away = False

    async def runs_waiting(self) -> Sequence[OnceRun]:
        return [OnceRun(run.id, run.post_sort, run.subreddits, run.posts, run.comments) for run in self.runs]

    async def report_run(self, run: OnceRun) -> None:
        if self.is_away:
            raise Retryable("away")
        self.told.append(dict(run.results))
        self.told_of_comments.append(dict(run.comment_results))
        if run.is_done:
            self.runs = [other for other in self.runs if other.id != run.id]


def read(listings: RankedListings, result: OnceResult) -> bool:
    listing = listings.take(0.0, lambda name: True)
    if listing is not None:
        listings.end(listing, result)
    return listing is not None


async def test_a_run_is_taken_once_and_each_result_is_reported_when_it_is_there() -> None:
    listings, source = RankedListings(), Source(OnceRun(1, "hot", ["rust", "go"], 10))
    runs = OnceRuns(source, listings)
    await runs.step()
    await runs.step()
    assert source.told == []
    assert read(listings, OnceResult(published=3))
    await runs.step()
    assert read(listings, OnceResult(error="refused"))
    assert not read(listings, OnceResult())
    await runs.step()
    await runs.step()
    assert source.told == [
        {"rust": OnceResult(published=3)},
        {"rust": OnceResult(published=3), "go": OnceResult(error="refused")},
    ]
    assert source.runs == []


async def test_results_of_an_outage_are_reported_after_it() -> None:
    listings, source = RankedListings(), Source(OnceRun(1, "hot", ["rust"], 10))
    runs = OnceRuns(source, listings)
    await runs.step()
    read(listings, OnceResult(known=1))
    source.is_away = True
    for _ in range(2):
        with pytest.raises(Retryable):
            await runs.step()
    source.is_away = False
    await runs.step()
    assert source.told == [{"rust": OnceResult(known=1)}]
    assert not read(listings, OnceResult()), "the run is not begun again"


async def test_a_run_with_comments_is_done_when_posts_and_comments_were_read() -> None:
    listings, once, source = RankedListings(), OnceComments(), Source(OnceRun(1, "hot", ["rust"], 10, comments=5))
    runs = OnceRuns(source, listings, once)
    await runs.step()
    read(listings, OnceResult(published=3))
    await runs.step()
    fetch = once.next(0.0)
    assert fetch is not None
    once.end(fetch.wanted, OnceResult(published=5))
    await runs.step()
    await runs.step()
    assert source.told == [{"rust": OnceResult(published=3)}] * 2
    assert source.told_of_comments == [{}, {"rust": OnceResult(published=5)}]
    assert source.runs == []
