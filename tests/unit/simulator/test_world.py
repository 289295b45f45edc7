"""The world as a function of seed and time."""

import math
import statistics
from collections import Counter
from itertools import pairwise

import pytest

from signalflow.errors import Invalid
from signalflow.simulator.config import DAY, Parameters
from signalflow.simulator.listings import ListingPage
from signalflow.simulator.pages import Pages
from signalflow.simulator.posts import state_of
from signalflow.simulator.subreddits import base36, default_subreddits
from signalflow.simulator.text import Texts
from signalflow.simulator.truth import truth
from signalflow.simulator.world import LISTING_CAP, World

EPOCH = 1_777_990_400.0
# Visible posts a minute of all subreddits of a priority, from the reference (section C1).
PRIORITY_RATES = {"fast": 9.5, "medium": 5.7, "slow": 1.9}


@pytest.fixture(scope="module")
def world() -> World:
    """A day without bursts and stories, so that only the base rates count."""
    return World(Parameters(epoch=EPOCH, burst_probability=0.0, stories_per_hour=0.0))


def facts(world: World, start: float, end: float) -> list[tuple[object, ...]]:
    return [
        (p.id, p.subreddit.name, p.created, p.life, p.title, p.kind, world.state_at(p.id, end))
        for p in world.new_posts_between(start, end)
    ]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_world_whatever_was_asked_before() -> None:
    one, other = (World(Parameters(seed=3, epoch=EPOCH, growth=12.0)) for _ in range(2))
    list(zip(range(50), other.newest(["python"], EPOCH - 1_000), strict=False))
    other.new_posts_between(EPOCH - 100, EPOCH)
    assert facts(one, EPOCH - 3_600, EPOCH) == facts(other, EPOCH - 3_600, EPOCH)


def test_another_seed_gives_another_world() -> None:
    one, other = (World(Parameters(seed=seed, epoch=EPOCH)) for seed in (3, 4))
    assert facts(one, EPOCH - 600, EPOCH) != facts(other, EPOCH - 600, EPOCH)


@pytest.mark.parametrize("seed", range(1, 4))
def test_stories_of_each_kind_are_under_way_at_the_first_start_of_the_demo(seed: int) -> None:
    world = World(Parameters(seed=seed, epoch=EPOCH, history=3_600.0, opening=True, stories_per_hour=0.0, fuzz=0.0))
    stories = {story.id: story for story in world.stories_between(EPOCH - 3_600, EPOCH + 1_800)}
    assert {story.kind for story in stories.values() if story.start < EPOCH} == {"viral", "everywhere", "burst"}
    planted = [post for post in world.new_posts_between(EPOCH - 3_600, EPOCH + 1_800) if post.story]
    assert {post.story for post in planted} == set(stories)
    # A single post that took off has hundreds of points; a burst is half over, in a subreddit with two posts a quarter.
    assert any(post.score_at(EPOCH) > 500 for post in planted if stories[post.story or ""].kind == "viral")
    bursts = Counter(
        post.subreddit.name
        for post in planted
        if stories[post.story or ""].kind == "burst" and EPOCH - 900 < post.created < EPOCH
    )
    assert max(bursts.values()) >= 8
    assert {world.subreddits[name.lower()].priority for name in bursts} == {"medium"}
    usual = World(Parameters(seed=seed, epoch=EPOCH, history=3_600.0, stories_per_hour=0.0))
    assert usual.stories_between(EPOCH - 3_600, EPOCH + 1_800) == []


@pytest.mark.slow
def test_each_priority_has_its_rate_over_a_day_within_poisson_error(world: World) -> None:
    seen = Counter(
        post.subreddit.priority
        for post in world.new_posts_between(EPOCH - DAY, EPOCH)
        if post.removed_by(post.created) is None or any(event.kind == "restored" for event in post.life)
    )
    for priority, rate in PRIORITY_RATES.items():
        expected = rate * 1_440
        assert abs(seen[priority] - expected) < 4 * math.sqrt(expected), priority


def test_arrivals_follow_the_time_of_day(world: World) -> None:
    """1 + 0.6 sin(2 pi (t/day - 0.3)): the peak is at t/day = 0.55, the low at 0.05."""
    midnight = (EPOCH // DAY + 1) * DAY
    peak = len(world.new_posts_between(midnight + 0.5 * DAY, midnight + 0.6 * DAY))
    low = len(world.new_posts_between(midnight, midnight + 0.1 * DAY))
    assert peak / low == pytest.approx(1.6 / 0.4, rel=0.25)


@pytest.mark.slow
def test_ids_grow_in_the_order_of_creation_with_seven_digits(world: World) -> None:
    posts = world.new_posts_between(EPOCH - DAY, EPOCH + 3_600)
    assert [post.id for post in posts] == sorted({post.id for post in posts})
    assert [post.created for post in posts] == sorted(post.created for post in posts)
    assert {len(post.id) for post in posts} == {7}
    assert all(int(post.id, 36) == post.number for post in posts)
    far = World(Parameters(epoch=EPOCH)).new_posts_between(EPOCH + 900 * DAY, EPOCH + 900 * DAY + 60)
    assert {len(post.id) for post in far} == {7}


@pytest.mark.slow
def test_life_events_happen_as_often_as_measured(world: World) -> None:
    """16 % of all posts are flagged at birth. Of the others 19.5 % go within 36 h, 69 % of these by their author."""
    posts = world.new_posts_between(EPOCH - DAY, EPOCH)
    flagged = [p for p in posts if p.life and p.life[0].at == p.created and all(e.kind != "restored" for e in p.life)]
    assert len(flagged) / len(posts) == pytest.approx(0.16, abs=0.01)
    others = list(set(posts) - set(flagged))
    restored = [p for p in others if any(event.kind == "restored" for event in p.life)]
    gone = [p for p in others if p.removed_by(EPOCH + 3 * DAY)]
    edited = [p for p in posts if any(event.kind == "edited" for event in p.life)]
    retitled = [p for p in posts if any(event.kind == "edited_title" for event in p.life)]
    assert len(gone) / len(others) == pytest.approx(0.195, abs=0.015)
    assert len(restored) / len(others) == pytest.approx(0.017, abs=0.005)
    assert len(edited) / len(posts) == pytest.approx(0.036, abs=0.006)
    assert len(retitled) / len(posts) == pytest.approx(0.057, abs=0.007)
    by_author = sum(p.removed_by(EPOCH + 3 * DAY) == "deleted" for p in gone)
    assert by_author / len(gone) == pytest.approx(0.69, abs=0.03)


def test_kinds_have_the_shares_of_reddit(world: World) -> None:
    posts = world.new_posts_between(EPOCH - DAY, EPOCH)
    kinds = Counter(post.kind for post in posts)
    assert kinds["self"] / len(posts) == pytest.approx(0.369, abs=0.03)
    assert kinds["gallery"] / len(posts) == pytest.approx(0.126, abs=0.02)
    assert sum(post.over_18 for post in posts) / len(posts) == pytest.approx(0.457, abs=0.02)


def test_final_scores_are_lognormal(world: World) -> None:
    logs = [math.log(post.rise) for post in world.new_posts_between(EPOCH - DAY, EPOCH)]
    assert statistics.mean(logs) == pytest.approx(1.6, abs=0.05)
    assert statistics.stdev(logs) == pytest.approx(1.9, abs=0.05)


@pytest.mark.slow
def test_a_score_rises_to_its_limit_and_a_comment_time_is_when_the_count_steps_up(world: World) -> None:
    post = max(world.new_posts_between(EPOCH - DAY, EPOCH), key=lambda p: p.talk)
    assert post.score_at(post.created) == 1
    assert post.score_at(post.start + post.tau) == 1 + int(post.rise * (1 - 1 / math.e))
    assert post.score_at(post.start + 60 * post.tau) == pytest.approx(1 + post.rise, abs=1)
    for k in (1, 2, 17, int(post.talk / 2)):
        at = post.comment_time(k)
        assert at is not None
        assert (post.comments_at(at - 0.01), post.comments_at(at + 0.01)) == (k - 1, k)
    assert post.comment_time(int(post.talk) + 1) is None


def test_fuzz_is_noise_of_one_percent_and_none_when_it_is_0(world: World) -> None:
    post = max(world.new_posts_between(EPOCH - DAY, EPOCH - DAY / 2), key=lambda p: p.rise)
    true = post.score_at(EPOCH)
    assert state_of(post, EPOCH, 0.0).score == true
    readings = [state_of(post, EPOCH + n / 1000, 1.0).score for n in range(200)]
    assert state_of(post, EPOCH, 1.0) == state_of(post, EPOCH, 1.0)
    assert len(set(readings)) > 20
    assert max(abs(reading - true) for reading in readings) <= 0.01 * true + 2
    assert any(later < earlier for earlier, later in pairwise(readings))


@pytest.mark.slow
def test_forgotten_posts_are_made_again_with_the_same_values() -> None:
    world = World(Parameters(epoch=EPOCH, history=3_600.0))
    before = facts(world, EPOCH - 600, EPOCH)
    post_id = str(before[0][0])
    list(world.newest(["python"], EPOCH + 10 * DAY))
    assert facts(world, EPOCH - 600, EPOCH) == before
    assert world.state_at(post_id, EPOCH + 10 * DAY) is not None


@pytest.mark.slow
def test_memory_is_bounded_by_two_days() -> None:
    world = World(Parameters(epoch=EPOCH, history=0.0, activity=0.2))
    everything = list(world.subreddits)
    for day in range(5):
        list(world.newest(everything, EPOCH + day * DAY))
    kept = sum(len(posts) for posts in world._by_subreddit.values())
    per_day = len(world.new_posts_between(EPOCH + 3 * DAY, EPOCH + 4 * DAY))
    assert kept < 2.5 * per_day


@pytest.mark.parametrize("post_id", ["", "T3_1", "zzzzzzzzzzzzzzzzz", "1000000", "zzzzzz0", "0", "a b", "é"])
def test_an_unknown_id_has_no_post(world: World, post_id: str) -> None:
    assert world.post(post_id, EPOCH) is None


def test_a_post_does_not_exist_before_its_creation(world: World) -> None:
    post = world.new_posts_between(EPOCH, EPOCH + 600)[-1]
    assert world.post(post.id, post.created - 0.01) is None
    assert world.post(post.id, post.created) is not None


def test_the_default_subreddits_are_115_with_distinct_ids_and_own_words() -> None:
    readable = [sub for sub in default_subreddits() if sub.access == "public"]
    assert len(readable) == 115
    assert Counter(sub.priority for sub in readable) == {"fast": 26, "medium": 45, "slow": 44}
    assert len({sub.id for sub in default_subreddits()}) == 119


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (35, "z"), (36, "10"), (36**6, "1000000"), (2_176_782_335, "zzzzzz")]
)
def test_base_36(number: int, text: str) -> None:
    assert base36(number) == text


@pytest.mark.parametrize("wrong", [{"activity": -1.0}, {"activity": 1e6}, {"growth": 0.0}, {"fuzz": float("nan")}])
def test_a_parameter_out_of_range_is_named(wrong: dict[str, float]) -> None:
    with pytest.raises(Invalid, match=next(iter(wrong))):
        Parameters(**wrong)  # type: ignore[arg-type]


@pytest.mark.slow
def test_comments_are_listed_under_posts_that_the_listing_of_posts_no_longer_reaches() -> None:
    world = World(Parameters(seed=11, epoch=EPOCH, activity=20, growth=1, life=0))
    page = Pages(world, "drop").comments("askreddit", {"limit": "100"}, EPOCH)
    assert isinstance(page, ListingPage)
    reached = {post.id for post in world.newest(["askreddit"], EPOCH)}
    assert len(reached) == LISTING_CAP
    assert {comment.post.id for comment in page.things} - reached
    (oldest,) = page.things[-1:]
    true = truth(world, Texts(), {"comments": "1", "subreddit": "AskReddit"}, EPOCH)["comments"]
    assert {comment.id for comment in page.things} == {row["id"] for row in true if row["created"] >= oldest.created}
