"""Reports on subreddits, and the clock that follows Reddit's."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from signalflow.domain.subreddits import Subreddit
from signalflow.errors import Retryable
from signalflow.reddit.reddit_clock import RedditClock
from signalflow.reddit.reports import Reports

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Config:
    """Keeps the reports. It refuses them while `is_away`."""

    def __init__(self) -> None:
        self.reports: list[tuple[dict[str, datetime], dict[str, str]]] = []
        self.comments: list[dict[str, datetime]] = []
        self.is_away = False

    async def subreddits(self) -> Sequence[Subreddit]:
        return []

    async def report(
        self, polled: Mapping[str, datetime], states: Mapping[str, str], comments_polled: Mapping[str, datetime]
    ) -> None:
        if self.is_away:
            raise Retryable("the database is away")
        self.reports.append((dict(polled), dict(states)))
        self.comments.append(dict(comments_polled))


async def test_a_report_that_failed_is_sent_again_and_a_sent_one_is_not() -> None:
    config = Config()
    reports = Reports(config)
    reports.answered(["python"], [], NOON, is_complete=True)
    config.is_away = True
    with pytest.raises(Retryable):
        await reports.send(with_polls=True, with_comment_polls=True)
    config.is_away = False
    await reports.send(with_polls=True, with_comment_polls=True)
    await reports.send(with_polls=True, with_comment_polls=True)
    assert config.reports == [({"python": NOON}, {"python": "ok"}), ({}, {})]


async def test_a_poll_is_reported_only_when_the_gaps_are_recorded() -> None:
    config = Config()
    reports = Reports(config)
    reports.answered(["python"], [], NOON, is_complete=True)
    await reports.send(with_polls=False, with_comment_polls=True)
    await reports.send(with_polls=True, with_comment_polls=True)
    assert config.reports == [({}, {"python": "ok"}), ({"python": NOON}, {})]


async def test_polls_of_comments_are_reported_when_gaps_between_comments_are_recorded_and_again_after_an_error() -> (
    None
):
    config = Config()
    reports = Reports(config)
    reports.answered_comments(["python", "rust"], NOON)
    await reports.send(with_polls=True, with_comment_polls=False)
    config.is_away = True
    with pytest.raises(Retryable):
        await reports.send(with_polls=False, with_comment_polls=True)
    config.is_away = False
    reports.answered_comments(["rust"], NOON + timedelta(minutes=1))
    await reports.send(with_polls=False, with_comment_polls=True)
    await reports.send(with_polls=False, with_comment_polls=True)
    assert config.comments == [{}, {"python": NOON, "rust": NOON + timedelta(minutes=1)}, {}]


async def test_an_empty_combined_listing_does_not_show_that_its_subreddits_are_readable() -> None:
    config = Config()
    reports = Reports(config)
    reports.refused(["a", "b"], "forbidden")
    reports.answered(["a", "b"], [], NOON, is_complete=False)
    reports.refused(["a"], "private")
    await reports.send(with_polls=True, with_comment_polls=True)
    assert config.reports == [({}, {"a": "private"})]


async def test_the_clock_follows_reddit_by_two_seconds_an_answer() -> None:
    clock = RedditClock()
    clock.set(NOON)
    clock.follow(NOON + timedelta(seconds=1.5))
    assert clock.now() == pytest.approx(NOON.timestamp(), abs=1.0), "the time that an answer travels"
    clock.follow(NOON + timedelta(hours=1))
    assert clock.now() == pytest.approx(NOON.timestamp() + 2, abs=1.0)
    clock.follow(NOON - timedelta(hours=1))
    assert clock.now() == pytest.approx(NOON.timestamp(), abs=1.0)
