"""The checks of old posts for deletion: every post in each round, within a share of the budget."""

from itertools import pairwise

import pytest

from signalflow.domain.fetch import CommentsByIdRequest
from signalflow.domain.known import Seen
from signalflow.domain.planner import Planner
from signalflow.domain.suspicion import LastAnswers
from signalflow.domain.sweep import CommentSweepFetch, PostSweepFetch, StoredText, Sweep, SweepFetch
from tests.unit.domain.listing_world import START, Harness, World, fast

STANDS = (None, None, True)
GONE = ("deleted", None, False)


def texts(first: int, end: int) -> list[StoredText]:
    return [StoredText(f"p{number:04}", STANDS) for number in range(first, end)]


def item(id_: str, state: object) -> Seen:
    return Seen(id_, "a", START - 200_000.0, 5, 0, state, 1)


def next_of(sweep: Sweep, now: float) -> SweepFetch:
    fetch = sweep.next(now)
    assert fetch is not None
    return fetch


def answered(sweep: Sweep, fetch: SweepFetch, sent: bool = True) -> list[str]:
    """Every post of the check stands but those with a 7 at the end; returns what was published."""
    items = [item(post.id, GONE if post.id.endswith("7") else STANDS) for post in reversed(fetch.texts)]
    findings = sweep.judge(fetch, items, START)
    assert all(decision.with_body and not decision.is_new for decision in findings.decisions)
    sweep.confirm(findings, [sent] * len(findings.decisions))
    return [items[decision.item].id for decision in findings.decisions]


def test_each_post_of_a_round_is_checked_once_and_only_what_changed_is_published() -> None:
    sweep = Sweep(PostSweepFetch, 100.0, LastAnswers())
    sweep.add(texts(0, 250))
    published, checked, now = [], [], START
    while not sweep.is_through:
        fetch = next_of(sweep, now)
        checked += [post.id for post in fetch.texts]
        published += answered(sweep, fetch)
        now += 60.0
    assert checked == [post.id for post in texts(0, 250)]
    assert sorted(published) == [id_ for id_ in checked if id_.endswith("7")]
    assert (sweep.reached, sweep.read_to) == ("p0249", "p0249")
    sweep.begin_round()
    assert (sweep.reached, sweep.read_to, sweep.is_through) == ("", "", False)


@pytest.mark.parametrize(("ids_per_minute", "requests"), [(100.0, 10), (50.0, 5), (0.0, 0)])
def test_no_more_than_its_share_is_asked_however_late_it_is(ids_per_minute: float, requests: int) -> None:
    sweep = Sweep(PostSweepFetch, ids_per_minute, LastAnswers())
    assert sweep.wants_texts == (requests > 0)
    if not requests:
        return
    sweep.add(texts(0, 5_000))
    made = 0
    for second in range(600):
        # For two minutes others take the whole budget.
        if not 120 <= second < 240 and (fetch := sweep.next(START + second)):
            made += 1
            answered(sweep, fetch)
    assert made == requests - 120 * ids_per_minute / 6_000
    assert sweep.is_overdue(START + 800)


def test_a_check_that_failed_or_was_not_published_is_made_again_first() -> None:
    sweep = Sweep(PostSweepFetch, 6_000.0, LastAnswers())
    sweep.add(texts(0, 200))
    first = next_of(sweep, START)
    first.failed(START)
    again = next_of(sweep, START + 10)
    assert again.texts == first.texts
    assert answered(sweep, again, sent=False)
    assert sweep.reached == ""
    third = next_of(sweep, START + 20)
    assert third.texts == first.texts
    answered(sweep, third)
    assert sweep.reached == "p0099"
    assert not sweep.is_through
    assert next_of(sweep, START + 30).texts == tuple(texts(100, 200))


def test_posts_that_reddit_does_not_answer_for_stop_no_round() -> None:
    answers = LastAnswers()
    sweep = Sweep(PostSweepFetch, 6_000.0, answers)
    sweep.start("p0000")
    sweep.add(texts(1, 201))
    next_of(sweep, START).unanswered(START)
    assert sweep.reached == "p0000", "Reddit may be out of order"
    answers.note("posts", START + 5)
    next_of(sweep, START + 10).unanswered(START + 10)
    assert sweep.reached == "p0100", "Reddit has answered others"
    assert not sweep.is_through
    answered(sweep, next_of(sweep, START + 20))
    assert sweep.is_through


def test_an_outage_skips_no_posts() -> None:
    answers = LastAnswers()
    sweep = Sweep(PostSweepFetch, 6_000.0, answers)
    sweep.add(texts(0, 100))
    for turn in range(20):
        next_of(sweep, START + 10 * turn).unanswered(START + 10 * turn)
    assert sweep.reached == ""
    assert len(answered(sweep, next_of(sweep, START + 300))) == 10
    assert sweep.is_through


def test_without_other_requests_for_posts_answers_of_listings_end_the_wait_for_a_batch() -> None:
    answers = LastAnswers()
    sweep = Sweep(PostSweepFetch, 6_000.0, answers)
    sweep.add(texts(0, 200))
    reached = []
    for turn in range(3):
        answers.note("listing", START + 10 * turn - 5)
        next_of(sweep, START + 10 * turn).unanswered(START + 10 * turn)
        reached.append(sweep.reached)
    assert reached == ["", "", "p0099"]


def test_a_sweep_of_comments_asks_for_comments_and_answers_for_comments_tell_of_its_failures() -> None:
    answers = LastAnswers()
    sweep = Sweep(CommentSweepFetch, 6_000.0, answers)
    sweep.add(texts(0, 200))
    first = next_of(sweep, START)
    assert first.request == CommentsByIdRequest(tuple(text.id for text in texts(0, 100)))
    first.unanswered(START)
    answers.note("posts", START + 5)
    next_of(sweep, START + 10).unanswered(START + 10)
    assert sweep.reached == "", "an answer for posts says nothing of comments"
    answers.note("comments_by_id", START + 15)
    next_of(sweep, START + 20).unanswered(START + 20)
    assert sweep.reached == "p0099"


def test_posts_in_flight_are_not_read_again() -> None:
    sweep = Sweep(PostSweepFetch, 6_000.0, LastAnswers())
    sweep.add(texts(0, 100))
    fetch = next_of(sweep, START)
    assert (sweep.wants_texts, sweep.read_to, sweep.is_through) == (True, "p0099", False)
    answered(sweep, fetch)
    assert sweep.is_through


@pytest.mark.parametrize("sweeps", [False, True])
def test_over_hours_the_budget_holds_and_no_listing_is_later_for_the_sweep(sweeps: bool) -> None:
    """Six virtual hours at 60 requests a minute, of which 50 are for listings: they take nearly all of the budget."""
    planner = Planner(listing_per_minute=50.0, refresh_ids_per_minute=100.0)
    sweep = Sweep(PostSweepFetch, 100.0 if sweeps else 0.0, planner.answers)
    world = World()
    planner.start(fast("a", "b", "c", interval=20), [], [], world.now)
    harness = Harness(world, planner)
    sweep.add(texts(0, 50_000) if sweeps else [])
    polls, checks, requests = [], 0, 0
    hours = 6
    end = START + hours * 3600.0
    while world.now < end:
        fetch = None
        if sweep.is_overdue(world.now):
            fetch = sweep.next(world.now)
        made = harness.round() if fetch is None else None
        if made is None and fetch is None and planner.has_room(world.now, 1.0):
            fetch = sweep.next(world.now)
        if fetch is not None:
            answered(sweep, fetch)
            checks += 1
        elif made is not None and made.kind == "listing":
            polls.append(world.now)
        requests += made is not None or fetch is not None
        # A request takes a second of the budget; nothing to do is asked again soon.
        world.now += 1.0 if made is not None or fetch is not None else 0.1
    assert requests <= hours * 60 * 60
    assert checks == (pytest.approx(hours * 60, rel=0.02) if sweeps else 0)
    longest = max(later - earlier for earlier, later in pairwise(polls))
    assert len(polls) >= hours * 60 * 50 * 0.97
    assert longest <= 3.0
