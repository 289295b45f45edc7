"""The planner with a source that answers no ids and few requests, as Reddit's feeds."""

from collections import Counter
from collections.abc import Callable

import pytest

from signalflow.domain.fetch import Fetch
from signalflow.domain.fetches import ProbeFetch
from signalflow.domain.known import Seen
from signalflow.domain.planner import Planner, listing_share
from signalflow.domain.subreddits import Subreddit
from tests.unit.domain.listing_world import START, Harness, World, fast

MINUTE = 60.0


class SlowHarness(Harness):
    """One request a minute, or another `spacing` in seconds."""

    spacing = MINUTE

    def round(
        self, sent: Callable[[str], bool] = lambda id_: True, works: Callable[[Fetch], bool] = lambda fetch: True
    ) -> Fetch | None:
        fetch = self.planner.next(self.world.now, self.spacing)
        if fetch is not None:
            self.fetches.append(fetch)
            if works(fetch):
                self._take(fetch, sent)
            else:
                fetch.unanswered(self.world.now)
            self.write_ledger()
        return fetch

    def turns(self, count: int, posts: int = 10, subreddit: str = "a") -> list[str]:
        """The kinds of the next fetches, with so many new posts before each."""
        kinds = []
        for _ in range(count):
            self.world.add(posts, subreddit)
            fetch = self.round()
            kinds.append("nothing" if fetch is None else fetch.kind)
            self.world.now += self.spacing
        return kinds


def harness(*subreddits: Subreddit, per_minute: float = 1.0) -> SlowHarness:
    planner = Planner(listing_per_minute=per_minute, refresh_ids_per_minute=210, answers_ids=False)
    planner.start(subreddits or fast("a"), (), (), START)
    return SlowHarness(World(), planner)


@pytest.mark.parametrize(("per_minute", "listings"), [(0.5, 0.5), (1, 1), (2, 1), (10, 4), (60, 24)])
def test_listings_leave_room_where_there_is_some(per_minute: float, listings: float) -> None:
    assert listing_share(per_minute) == listings


def test_where_ids_are_not_answered_nothing_is_refreshed() -> None:
    run = harness()
    assert set(run.turns(200)) == {"listing"}


def test_a_subreddit_that_comes_back_is_not_read_by_itself() -> None:
    run = harness(*fast("a", "b"), per_minute=listing_share(10))
    run.spacing = 6.0
    run.world.add(1, "b")
    run.turns(40)
    run.world.add(1, "b")
    run.turns(10)
    assert "reappearance" not in {fetch.kind for fetch in run.fetches}
    assert {post.id for post in run.world.posts if post.subreddit == "b"} <= set(run.new_ids())


def test_pages_of_a_gap_and_listings_take_turns() -> None:
    run = harness()
    run.turns(5)
    flood = run.world.add(350)
    kinds = run.turns(9)
    # The second page shows that the flood is over.
    assert kinds[:8] == ["listing", "listing", "gap", "listing", "gap", "listing", "gap", "listing"]
    assert set(flood) <= set(run.new_ids())
    assert run.gaps[0] == "open"
    assert run.gaps[-1] == "close proven"
    assert max(Counter(run.new_ids()).values()) == 1


def test_a_listing_gives_no_turn_away_when_its_page_would_not_reach_back() -> None:
    run = harness()
    run.turns(10, posts=50)
    run.world.add(200)
    assert set(run.turns(6, posts=50)) == {"listing"}


def test_a_silent_subreddit_is_asked_alone_in_every_tenth_turn_at_most() -> None:
    run = harness(*fast("a", "misspelt"))
    kinds = run.turns(60)
    assert kinds.count("silence") == 6
    assert {fetch.names for fetch in run.fetches if fetch.kind == "silence"} == {("misspelt",)}
    before = kinds.index("silence")
    assert kinds[before + 1 : before + 11] == ["listing"] * 9 + ["silence"]


def test_with_more_requests_gaps_and_silent_subreddits_are_asked_between_listings() -> None:
    run = harness(*fast("a", "misspelt"), per_minute=listing_share(10))
    run.spacing = 6.0
    kinds = run.turns(100, posts=1)
    # Every 15 s, at the next multiple of 6 s.
    assert kinds.count("listing") == pytest.approx(40, abs=8)
    assert kinds.count("silence") == pytest.approx(600 / 300, abs=1)


def test_the_probe_is_a_listing_that_publishes_nothing() -> None:
    run = harness()
    probe = run.planner.probe()
    assert isinstance(probe, ProbeFetch)
    assert probe.names == ()
    findings = run.planner.judge(probe, [Seen("x", "popular", START, None, None)], "t3_x", START)
    assert findings.decisions == []
    assert not run.planner.confirm(findings, [], START)
    probe.failed(START)


def test_a_group_without_an_answer_is_halved_once_a_listing_shows_that_reddit_answers() -> None:
    run = harness(*fast("a", "b"))
    run.turns(3)
    for _ in range(12):
        run.round(works=lambda fetch: "b" not in fetch.names)
        run.world.now += MINUTE
    assert "probe" in {fetch.kind for fetch in run.fetches}
    assert ("a",) in {fetch.names for fetch in run.fetches}
    assert run.planner.subreddits_set_aside == {"b"}
