"""What a subreddit's posts from before it was observed teach, and what may begin soon afterwards."""

from collections.abc import Iterator
from dataclasses import replace
from math import exp
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalflow.domain.signals.curve import log_score
from signalflow.domain.signals.posts import LEAST_KNOWN
from signalflow.domain.signals.priors import shipped
from signalflow.domain.signals.subreddit import Seen, SubredditState, follow, is_listed
from signalflow.domain.signals.volume import usual
from tests.unit.domain.signals.observed import (
    ARCHIVED,
    DAY,
    HOUR,
    MINUTE,
    MONDAY,
    SECOND,
    discovered,
    followed,
    looked_back,
    observed,
)

# When the subreddit is polled for the first time: a Tuesday at noon.
FIRST = MONDAY + DAY + 12 * HOUR


def arrivals(start: int, end: int, per_minute: float, seed: int) -> Iterator[int]:
    """Times of creation, as many in each hour as the shipped activity says."""
    rng, at = Random(seed), start
    most = max(shipped().activity)
    while (at := at + int(rng.expovariate(per_minute * most) * MINUTE)) < end:
        if rng.random() * most < shipped().activity[at // HOUR % 24]:
            yield at


def score_at(rise: float, age: int) -> int:
    """As the simulator's scores rise."""
    return 1 + int(rise * (1 - exp(-age / (9_000 * SECOND))))


def look_back(per_minute: float, hours: int = 24, seed: int = 1, factor: float = 1.0) -> list[Seen]:
    """The first page of polling and then the pages of the first look back, newest first, a page a second."""
    rng = Random(seed)
    found: list[Seen] = []
    for number, created in enumerate(reversed(list(arrivals(FIRST - hours * HOUR, FIRST, per_minute, seed)))):
        at = FIRST + number // 100 * SECOND
        score = score_at(factor * exp(rng.gauss(1.6, 1.9)), at - created)
        make = discovered if number < 5 else looked_back
        found.append(make(f"b{number}", at, age=at - created, score=score))
    return found


def live(start: int, end: int, per_minute: float, seed: int = 2) -> list[Seen]:
    """Posts that polling finds, a few seconds old."""
    return [
        discovered(f"n{created // SECOND}", created + 5 * SECOND, age=5 * SECOND)
        for created in arrivals(start, end, per_minute, seed)
    ]


def mean_at(state: SubredditState, at: int) -> float:
    return usual(state.volume, at // MINUTE).mean


@pytest.mark.parametrize("per_minute", [0.05, 0.37, 2.0])
def test_a_look_back_tells_how_many_posts_are_usual(per_minute: float) -> None:
    state, changes = followed(look_back(per_minute))
    assert changes == []
    for hour in (0, 6, 13):
        expected = 15 * per_minute * shipped().activity[(12 + hour) % 24]
        # Three standard errors of a count of the hour's posts.
        assert mean_at(state, FIRST + hour * HOUR) == pytest.approx(expected, rel=3 / (4 * expected) ** 0.5)


def test_the_oldest_post_only_says_since_when_the_others_were_counted() -> None:
    """Three posts in the nine and a half hours after it, until half an hour before the first observation."""
    state, _ = followed(looked_back(f"b{age}", FIRST, age=age * MINUTE) for age in (60, 240, 420, 600))
    activity = sum(shipped().activity[hour] for hour in range(2, 12)) - shipped().activity[11] / 2
    level = 3 / (4 * activity)
    assert mean_at(state, FIRST + 12 * HOUR) == pytest.approx(level * shipped().activity[0], rel=0.01)


def test_a_look_back_that_covers_three_hours_tells_the_level_of_the_day() -> None:
    """A busy subreddit, of which a listing shows no more: its level is that of these hours."""
    state, _ = followed(look_back(5.0, hours=7))
    assert mean_at(state, FIRST + 9 * HOUR) == pytest.approx(75 * shipped().activity[21], rel=0.1)


def test_a_busy_subreddit_whose_day_is_another_is_known_by_its_look_back() -> None:
    """It has most posts when others have fewest."""
    per_hour = [60 * shipped().activity[(hour + 12) % 24] for hour in range(24)]
    times = [
        start + int(number * HOUR / count)
        for start in range(FIRST - DAY, FIRST, HOUR)
        for count in (round(per_hour[start // HOUR % 24]),)
        for number in range(count)
    ]
    state, _ = followed(looked_back(f"b{at}", FIRST, age=FIRST - at) for at in reversed(times))
    for hour in (0, 6, 12):
        expected = per_hour[(12 + hour) % 24] / 4
        by_level = 15 * shipped().activity[(12 + hour) % 24]
        found = mean_at(state, FIRST + hour * HOUR)
        assert abs(found - expected) <= 0.4 * abs(by_level - expected) + 0.1 * expected


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_look_back_teaches_the_same_in_any_order(random: Random) -> None:
    pages = look_back(0.2)
    # The subreddit is first observed by the first page of polling.
    mixed = [*pages[:1], *random.sample(pages[1:], len(pages) - 1)]
    (one, _), (other, _) = followed(pages), followed(mixed)
    assert other.volume == one.volume
    assert other.newest == one.newest
    assert other.curve.posts == one.curve.posts
    # Followed quantiles take each post in turn: another order is within the error that so few posts have anyway.
    assert other.curve.medians == pytest.approx(one.curve.medians, abs=0.1)
    assert other.curve.tenths == pytest.approx(one.curve.tenths, abs=0.1)


def test_each_post_of_a_look_back_counts_once_also_when_it_is_refreshed_and_at_its_marks() -> None:
    pages = look_back(0.1)
    state, _ = followed(pages)
    # The table of posts does not know posts of mode backfill: their first refresh is a discovery.
    again = [
        replace(one, observed_us=FIRST + 10 * MINUTE, is_discovery=True, is_backfill=False, is_listed=False)
        for one in pages
    ]
    day_old = [
        observed(one.post_id, one.created_us + DAY + SECOND, age=DAY + SECOND, score=one.score) for one in pages[-20:]
    ]
    later, _ = followed([*again, *day_old], state)
    assert later.curve == replace(state.curve, counted=())
    assert later.volume.back == state.volume.back
    old = sum(FIRST - one.created_us > 2 * HOUR + 10 * MINUTE for one in pages)
    assert state.curve.posts == (old, old)
    assert sum(state.volume.back.posts) == sum(FIRST - one.created_us > 30 * MINUTE for one in pages)


def test_a_burst_in_the_first_hour_of_a_new_installation_is_told() -> None:
    quiet = live(FIRST + MINUTE, FIRST + 30 * MINUTE, 0.2)
    state, changes = followed([*look_back(0.2), *quiet])
    assert changes == []
    _, changes = followed(live(FIRST + 30 * MINUTE, FIRST + 50 * MINUTE, 1.6, seed=4), state)
    assert (changes[0].kind, changes[0].subject_kind) == ("unusual_here", "subreddit")
    assert changes[0].started_us < FIRST + 45 * MINUTE
    assert changes[0].expected == pytest.approx(3.0 * shipped().activity[12], rel=0.3)
    quarters = changes[0].inputs["quarters_known"]
    assert quarters is not None
    assert 90 < quarters <= 97


def test_a_burst_that_is_under_way_at_the_first_look_is_told_by_the_next_post() -> None:
    burst = [discovered(f"u{number}", FIRST, age=(1 + number) * 15 * SECOND) for number in range(39)]
    _, changes = followed([*burst, *look_back(0.2)[5:], *live(FIRST + 3 * MINUTE, FIRST + 9 * MINUTE, 1.0)])
    assert changes[0].subject_kind == "subreddit"
    assert changes[0].observed > 30


@pytest.mark.parametrize("per_minute", [0.02, 0.2, 1.0])
def test_a_quiet_new_subreddit_gives_no_signal(per_minute: float) -> None:
    """Ten of them in their first twelve hours."""
    for seed in range(10):
        seen = [
            *look_back(per_minute, seed=seed),
            *live(FIRST + MINUTE, FIRST + 12 * HOUR, per_minute, seed=100 + seed),
        ]
        assert followed(seen)[1] == []


def test_a_look_back_of_an_hour_is_not_enough() -> None:
    """A burst of fifty times the usual."""
    burst = live(FIRST + 5 * MINUTE, FIRST + 20 * MINUTE, 10.0)
    assert followed([*look_back(0.2, hours=2), *burst])[1] == []
    assert followed([*look_back(0.2, hours=4), *burst])[1] != []


def test_nothing_begins_while_a_look_back_is_being_read() -> None:
    """Partitions are read in turn, so the oldest posts may come before most of the others."""
    pages = look_back(1.0)
    some = [*pages[:30], *pages[-30:]]
    burst = live(FIRST + SECOND, FIRST + 20 * SECOND, 200.0)
    state, changes = followed([*some, *burst])
    assert (changes, len(burst) > 30) == ([], True)
    assert mean_at(state, FIRST) < 3.0
    rest = [replace(one, observed_us=FIRST + MINUTE) for one in pages[30:-30]]
    assert mean_at(followed(rest, state)[0], FIRST) > 15.0


def test_an_archive_teaches_nothing_and_does_not_begin_the_time_of_a_subreddit() -> None:
    archive = [
        replace(
            one,
            post_id=f"a{one.post_id}",
            created_us=one.created_us - 2 * DAY,
            observed_us=one.observed_us - 2 * DAY,
            **ARCHIVED,
        )
        for one in look_back(3.0)
    ]
    state, changes = followed(archive)
    assert (changes, sum(state.volume.back.posts), state.curve.posts) == ([], 0, (0, 0))
    fresh, _ = followed(look_back(0.2))
    after, _ = followed(look_back(0.2), state)
    assert (after.volume.back, after.curve) == (fresh.volume.back, fresh.curve)
    assert followed(archive, fresh)[0].volume.back == fresh.volume.back


def test_a_post_that_another_listing_showed_says_nothing_of_the_time_since() -> None:
    """r/popular shows a post of twenty hours: what came after it was not seen."""
    state, _ = followed([discovered("hot", FIRST, age=20 * HOUR, is_listed=False), *look_back(0.2, hours=1)])
    assert state.volume.quarters_known < 5
    assert state.curve.posts == (0, 0)


def test_what_waited_is_taken_for_an_archive() -> None:
    assert is_listed("backfill", 5 * SECOND)
    assert not is_listed("backfill", DAY)
    assert is_listed("new", DAY)
    assert not any(is_listed(mode, 0) for mode in ("hot", "refresh", "rising"))  # type: ignore[arg-type]


def taking_off(age_at_first: int) -> list[Seen]:
    """A post with 40,000 points in the end, seen at the first look and every two minutes."""
    created = FIRST - age_at_first
    seen = [
        observed("hot", at, age=at - created, score=score_at(40_000.0, at - created), score_velocity=1.0)
        for at in range(FIRST + 2 * MINUTE, FIRST + HOUR, 2 * MINUTE)
    ]
    return [discovered("hot", FIRST, age=age_at_first, score=score_at(40_000.0, age_at_first)), *seen]


@pytest.mark.parametrize(("age", "told"), [(20 * MINUTE, 2), (3 * HOUR, 0)])
def test_of_what_was_there_before_only_what_is_young_is_told(age: int, told: int) -> None:
    first, *later = taking_off(age)
    _, changes = followed([first, *look_back(0.2), *later])
    assert len({(change.kind, change.started_us) for change in changes}) == told


def test_a_subreddit_whose_posts_all_have_many_points_has_no_unusual_ones_at_first() -> None:
    """Two hundred times the usual scores: its first 400 posts must teach that before usual ones are judged."""
    pages = look_back(0.35, factor=200.0)
    rng = Random(9)
    later = [
        observed(f"l{number}", FIRST + HOUR + number * SECOND, age=HOUR, score=score_at(rise, HOUR), score_velocity=0.0)
        for number in range(100)
        for rise in (200.0 * exp(rng.gauss(1.6, 1.9)),)
    ]
    state, changes = followed([*pages, *later])
    assert len({change.subject for change in changes}) <= 2
    middle = shipped().curve.normal_of(log_score(score_at(200.0 * exp(1.6), 4 * HOUR)), 4 * 3_600.0)
    level, spread = state.curve.level_and_spread(4 * 3_600.0)
    assert level == pytest.approx(middle, abs=0.5)
    assert spread == pytest.approx(1.0, abs=0.5)


def test_what_few_posts_teach_is_not_enough_to_tell_of_others() -> None:
    pages = [one for one in look_back(0.2) if FIRST - one.created_us > 2 * HOUR + 10 * MINUTE]
    for count, told in ((LEAST_KNOWN - 1, False), (LEAST_KNOWN, True)):
        state, _ = followed(pages[:count])
        found = follow(state, "pics", replace(taking_off(20 * MINUTE)[1], created_us=FIRST - 20 * MINUTE))[1]
        assert bool(found) == told
