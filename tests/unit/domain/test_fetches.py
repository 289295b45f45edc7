"""The kinds of requests. A new kind is one more class: planner and poller use only the methods of `Fetch`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from signalflow.domain.fetch import (
    CommentsByIdRequest,
    Fetch,
    Findings,
    ListingRequest,
    PopularSubredditsRequest,
    PostCommentsRequest,
    PostsRequest,
    Request,
)
from signalflow.domain.fetches import GapFetch, ListingFetch, RefreshFetch
from signalflow.domain.gaps import OpenGaps
from signalflow.domain.known import HORIZON, Seen, first_seen, note_observation
from signalflow.domain.overlap import Anchor
from signalflow.domain.planner import Planner
from signalflow.domain.refresh import RefreshQueue
from signalflow.domain.suspicion import LastAnswers
from signalflow.domain.watchlist import Watchlist
from tests.unit.domain.listing_world import START, fast


@dataclass(slots=True, eq=False)
class HotFetch(Fetch):
    """The page `hot` of one subreddit, as somebody might add it."""

    kind = "hot"
    mode_of_known = "hot"

    name: str

    @property
    def request(self) -> Request:
        return ListingRequest((self.name,), sort="hot")

    def new_since(self, now: float) -> float:
        return -math.inf

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        return False

    def failed(self, now: float) -> None:
        """Nothing remembers the page."""


class Client:
    """Writes down what it is asked."""

    async def listing(
        self,
        names: Sequence[str],
        *,
        sort: str = "new",
        period: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> object:
        return "listing", tuple(names), sort, period, after, *(() if limit == 100 else (limit,))

    async def info(self, ids: Sequence[str]) -> object:
        return "info", tuple(ids)

    async def post_comments(self, post: str, *, limit: int) -> object:
        return "post_comments", post, limit

    async def comments_by_id(self, ids: Sequence[str]) -> object:
        return "comments_by_id", tuple(ids)

    async def popular_subreddits(self, *, limit: int) -> object:
        return "popular_subreddits", limit


async def test_a_request_asks_the_client() -> None:
    assert await HotFetch("a").request.ask(Client()) == ("listing", ("a",), "hot", None, None)
    assert await ListingRequest(("a", "b"), "t3_x").ask(Client()) == ("listing", ("a", "b"), "new", None, "t3_x")
    assert await ListingRequest(("a",), sort="top", period="week").ask(Client()) == (
        "listing", ("a",), "top", "week", None,
    )  # fmt: skip
    assert await ListingRequest(("a",), sort="hot", limit=10).ask(Client()) == (
        "listing", ("a",), "hot", None, None, 10,
    )  # fmt: skip
    assert await PostsRequest(("x",)).ask(Client()) == ("info", ("x",))
    assert await PostCommentsRequest("x", 20).ask(Client()) == ("post_comments", "x", 20)
    assert await CommentsByIdRequest(("x",)).ask(Client()) == ("comments_by_id", ("x",))
    assert await PopularSubredditsRequest().ask(Client()) == ("popular_subreddits", 100)


def test_a_hot_listing_needs_nothing_of_the_planner() -> None:
    planner = Planner(listing_per_minute=60, refresh_ids_per_minute=60)
    planner.start(fast("a"), [], [], START)
    item, fetch = Seen("p1", "a", START - 30, 1, 0, None, 1), HotFetch("a")

    def judged(now: float) -> list[str]:
        findings = planner.judge(fetch, [item], None, now)
        planner.confirm(findings, [True] * len(findings.decisions), now)
        return [fetch.mode(is_new=decision.is_new) for decision in findings.decisions]

    assert judged(START) == ["new"]
    assert judged(START) == []
    item = item._replace(score=500)
    assert judged(START + 60) == ["hot"]


# --- listings


def listing(*names: str, page_before: Sequence[Seen] = ()) -> ListingFetch:
    """A fetch of a group's newest page. `page_before` was answered 30 s before START."""
    watch = Watchlist(20)
    watch.configure(fast(*(names or ("a",))), START)
    (group,) = watch.groups
    if page_before:
        group.anchors = (Anchor.of_page(page_before, START - 30),)
    return ListingFetch(group, watch, OpenGaps({}.get))


def page(*ids: str) -> list[Seen]:
    return [Seen(id_, "a", START - 60, 1, 0, None, 1) for id_ in ids]


def confirm(fetch: Fetch, items: Sequence[Seen], *, after: str | None = None, is_complete: bool = True) -> bool:
    """Judge an answer at START and record that its posts were published a second later."""
    findings = Findings(fetch, items, after, START)
    findings.is_proven = fetch.check_overlap(items, is_whole=after is None, now=START)
    return fetch.confirm(findings, new=len(items), is_complete=is_complete, now=START + 1)


KNOWN = page("k1", "k2", "k3")


def test_a_page_that_overlaps_is_the_anchor_of_the_next_one() -> None:
    fetch = listing(page_before=KNOWN)
    shown = [*page("n1"), *KNOWN]
    assert confirm(fetch, shown, after="t3_k3")
    assert fetch.group.anchors == (Anchor.of_page(shown, START),)
    assert (len(fetch.gaps), fetch.group.is_answered) == (0, True)


def test_a_page_without_overlap_opens_a_gap_that_begins_below_it() -> None:
    fetch = listing("a", "b", page_before=KNOWN)
    before = fetch.group.anchors
    assert confirm(fetch, page("n1", "n2"), after="t3_n2")
    fetch.gaps.recorded(1)
    gap = fetch.gaps.next(START)
    assert gap is not None
    assert (gap.subreddits, gap.anchors, gap.after, gap.opened_at) == (("a", "b"), before, "t3_n2", START)
    assert (fetch.group.gap, fetch.group.anchors) == (None, (Anchor.of_page(page("n1", "n2"), START),))


def test_a_page_that_was_not_published_in_full_is_no_anchor_and_its_gap_waits_for_the_next() -> None:
    fetch = listing(page_before=KNOWN)
    before = fetch.group.anchors
    assert not confirm(fetch, page("n1", "n2"), after="t3_n2", is_complete=False)
    gap = fetch.group.gap
    assert gap is not None
    fetch.gaps.recorded(1)
    assert (fetch.gaps.next(START), fetch.group.anchors, fetch.group.is_answered) == (None, before, False)
    assert confirm(fetch, page("m1", "n1", "n2"), after="t3_n2")
    assert (fetch.gaps.next(START), gap.after, len(fetch.gaps)) == (gap, "t3_n2", 1), "still the same gap"


def test_a_gap_is_closed_when_the_next_page_proves_that_nothing_is_missing() -> None:
    fetch = listing(page_before=KNOWN)
    confirm(fetch, page("n1"), is_complete=False)
    assert confirm(fetch, [*page("n1"), *KNOWN])
    changes = []
    while change := fetch.gaps.change:
        changes.append((change.kind, change.outcome))
        fetch.gaps.recorded(1)
    assert (changes, fetch.group.gap) == ([("open", None), ("close", "proven")], None)


@pytest.mark.parametrize(("after", "gaps"), [(None, 0), ("t3_k2", 1)])
def test_a_quiet_listing_proves_an_anchor_of_two_posts_only_if_it_ends_with_the_page(
    after: str | None, gaps: int
) -> None:
    fetch = listing()
    # Its posts are younger than the time until which the page before is complete.
    fetch.group.anchors = (Anchor(frozenset({"k1", "k2"}), START - 600),)
    confirm(fetch, [*page("n1"), *KNOWN[:2]], after=after)
    assert len(fetch.gaps) == gaps


def test_an_empty_page_replaces_no_anchor_and_a_new_listing_gets_its_first_one() -> None:
    fetch = listing(page_before=KNOWN)
    before = fetch.group.anchors
    assert not confirm(fetch, [])
    assert (fetch.group.anchors, len(fetch.gaps), fetch.group.is_answered) == (before, 0, True)
    fresh = listing()
    assert not confirm(fresh, [])
    assert fresh.group.anchors == (Anchor(frozenset(), START - 120),)


def test_the_gap_of_a_group_that_was_dissolved_while_its_page_was_in_flight_is_handed_on() -> None:
    fetch = listing(page_before=KNOWN)
    watch = fetch.watchlist
    watch.configure(fast("a", "b"), START)
    confirm(fetch, page("n1"), after="t3_n1")
    assert [gap.subreddits for gap in watch.detached_gaps] == [("a",)]
    assert fetch.group.gap is None
    (present,) = watch.groups
    present.gap = fetch.gaps.open(present.names, (), START, has_upper_end=False)
    confirm(ListingFetch(present, watch, fetch.gaps), page("n1"), is_complete=False)
    assert len(watch.detached_gaps) == 1


def test_new_posts_and_overflows_count_for_the_rate_of_the_group() -> None:
    fetch = listing(page_before=KNOWN)
    fetch.group.count(0, START - 99, overflowed=False)
    confirm(fetch, page(*(f"n{number}" for number in range(50))), after="t3_n49")
    assert fetch.group.rate == 0.5


def test_a_failed_listing_is_repeated_and_a_refused_group_is_halved() -> None:
    fetch = listing("a", "b")
    fetch.failed(START)
    assert (fetch.group.failures, fetch.group.due) == (1, START + fetch.group.interval)
    fetch.refused(START)
    assert [group.names for group in fetch.watchlist.groups] == [("a",), ("b",)]
    assert [group.due for group in fetch.watchlist.groups] == [START, START]


@pytest.mark.parametrize(("since", "expected"), [(START - 60, START - HORIZON), (START - 9e5, START - 9e5)])
def test_posts_are_new_for_48_hours_or_since_an_older_anchor(since: float, expected: float) -> None:
    fetch = listing()
    assert fetch.new_since(START) == START - HORIZON
    fetch.group.anchors = (Anchor(frozenset(), since), Anchor(frozenset(), START))
    assert fetch.new_since(START) == expected
    gap = fetch.gaps.open(("a",), fetch.group.anchors, START, has_upper_end=True)
    assert GapFetch(gap, fetch.gaps, LastAnswers()).new_since(START) == expected


# --- gaps


def open_gap() -> GapFetch:
    gaps = OpenGaps({}.get)
    gap = gaps.open(("a",), (Anchor.of_page(KNOWN, START - 30),), START, has_upper_end=True)
    gaps.recorded(1)
    return GapFetch(gap, gaps, LastAnswers())


def test_a_page_of_a_gap_is_followed_by_the_next_and_ends_no_listing() -> None:
    fetch = open_gap()
    assert not confirm(fetch, page("n1"), after="t3_n1")
    assert (fetch.gap.after, fetch.gap.pages, fetch.gap.not_before) == ("t3_n1", 1, START + 1)


def test_a_page_of_a_gap_that_failed_or_was_not_published_in_full_is_requested_again_later() -> None:
    fetch = open_gap()
    assert not confirm(fetch, page("n1"), after="t3_n1", is_complete=False)
    assert (fetch.gap.pages, fetch.gap.after, fetch.gap.not_before) == (0, None, START + 6)
    fetch.failed(START + 10)
    assert fetch.gap.not_before == START + 15
    fetch.refused(START + 20)
    assert fetch.gap.not_before == START + 3620


# --- refreshes


def refresh(*ids: str) -> RefreshFetch:
    posts = {id_: first_seen(Seen(id_, "a", START - 1800, 1, 0), START - 300) for id_ in ("p1", "p2")}
    return RefreshFetch(ids, posts, RefreshQueue(6000))


def test_a_refresh_counts_for_every_post_and_one_that_reddit_leaves_out_waits_for_its_next_checkpoint() -> None:
    fetch = refresh("p1", "p2", "forgotten")
    shown, left_out = fetch.posts["p1"], fetch.posts["p2"]
    assert not confirm(fetch, [Seen("p1", "a", START - 1800, 1, 0)])
    assert (shown.refreshes, left_out.refreshes) == (1, 1)
    assert (shown.seen_at, shown.checkpoint) == (START - 300, START)
    assert (left_out.seen_at, left_out.checkpoint) == (START + 1, START + 5400)
    assert fetch.queue.take(dict(fetch.posts), START + 1, lambda known: True) == ["p1"]
    assert left_out.due > START + 1


def test_a_post_that_three_answers_leave_out_is_no_longer_shown_since_the_first_of_them() -> None:
    fetch = refresh("p1", "p2")
    gone = fetch.posts["p2"]
    waits = []
    for _ in range(9):
        confirm(fetch, [Seen("p1", "a", START - 1800, 1, 0)])
        waits.append(gone.due - gone.seen_at)
        assert (gone.not_shown_since is not None) == (len(waits) >= 3)
    assert gone.not_shown_since == START + 1
    # It is asked for again later and later, at last every twelve hours.
    assert waits == [180, 360, 720, 1440, 2880, 5760, 11_520, 23_040, 43_200]
    assert fetch.posts["p1"].not_shown_since is None


@pytest.mark.parametrize("reads", ["shown", "rejected"])
def test_a_post_that_is_shown_in_between_counts_anew_but_an_item_that_cannot_be_read_counts_nothing(reads: str) -> None:
    fetch = refresh("p1", "p2")
    post, other = fetch.posts["p2"], Seen("p1", "a", START - 1800, 1, 0)
    for absences in (1, 2):
        confirm(fetch, [other])
        assert post.absences == absences
    if reads == "shown":
        note_observation(post, Seen("p2", "a", START - 1800, 1, 0), START + 2)
    else:
        findings = Findings(fetch, [other], None, START, frozenset({"p2"}))
        fetch.confirm(findings, new=0, is_complete=True, now=START + 2)
    confirm(fetch, [other])
    assert (post.not_shown_since is None) == (reads == "shown")
    assert post.absences == {"shown": 1, "rejected": 3}[reads]


@pytest.mark.parametrize(("subreddits", "counted"), [("aa", 1), ("ab", 0)])
def test_an_empty_answer_is_a_ban_of_one_subreddit_but_a_mistake_for_several(subreddits: str, counted: int) -> None:
    fetch = refresh("p1", "p2")
    for post, name in zip(fetch.posts.values(), subreddits, strict=True):
        post.subreddit = name
    confirm(fetch, [])
    assert [post.absences for post in fetch.posts.values()] == [counted, counted]
    assert [post.seen_at for post in fetch.posts.values()] == [START + 1, START + 1]


def test_the_posts_of_a_failed_refresh_wait_again() -> None:
    fetch = refresh("p1", "p2", "forgotten")
    fetch.failed(START)
    assert fetch.queue.take(dict(fetch.posts), START, lambda known: True) == ["p1", "p2"]
    assert [known.refreshes for known in fetch.posts.values()] == [0, 0]


def test_every_refresh_of_a_post_counts() -> None:
    fetch = refresh("p1")
    for _ in range(2):
        confirm(fetch, [])
    assert fetch.posts["p1"].refreshes == 2


def test_a_refresh_discovers_no_post_and_opens_no_gap() -> None:
    assert refresh("p1").new_since(START) == math.inf
    assert refresh("p1").check_overlap([], is_whole=False, now=START)


def test_a_kind_of_request_that_reddit_refuses_is_repeated_as_after_a_failure() -> None:
    fetch = refresh("p1")
    fetch.refused(START)
    assert fetch.queue.take(dict(fetch.posts), START, lambda known: True) == ["p1"]
