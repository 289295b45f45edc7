"""Bursts of terms."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from math import exp, factorial, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalflow.domain.signals.burst_codec import decode, encode
from signalflow.domain.signals.bursts import (
    HOUR_US,
    LIFETIME_US,
    MOST_POSTS,
    MOST_RECENT,
    RULE,
    Change,
    Expectation,
    Mention,
    TermState,
    chance,
    closed_by,
    expectation,
    expired,
    level_for,
    step,
    tail,
)
from tests.unit.domain.signals.batch_bursts import bursts_of

MINUTE = 60_000_000
START = 1_700_000_000_000_000
# The watch began a month before.
SINCE = START - 720 * HOUR_US


def mention(minute: float, post: str | None = None, subreddit: str = "news", delay: float = 0.1) -> Mention:
    """A post that is created so many minutes after START and seen `delay` minutes later."""
    at = START + round(minute * MINUTE)
    return Mention(post or f"p{minute:g}", subreddit, at, at + round(delay * MINUTE))


def follow(
    mentions: Iterable[Mention], state: TermState | None = None, since: int = SINCE
) -> tuple[TermState, list[Change]]:
    """The state after all mentions, and all changes."""
    changes = []
    for one in mentions:
        state, changed = step(state, one, since)
        changes += changed
    assert state is not None
    return state, changes


def kinds(changes: Iterable[Change]) -> list[str]:
    return [change.kind for change in changes]


# Four posts of a term that was in no post for a month are a burst.
STORY = [mention(minute) for minute in (0, 4, 9, 15)]


@pytest.mark.parametrize(
    ("least", "mean", "expected"),
    [(6, 2.0, 0.016563608), (4, 0.5, 0.001751623), (11, 5.0, 0.013695269), (20, 10.0, 0.003454342)],
)
def test_with_a_large_shape_the_tail_is_that_of_poissons_tables(least: int, mean: float, expected: float) -> None:
    assert tail(least, Expectation(mean, 1e9)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("least", [1, 3, 40])
def test_with_shape_1_the_tail_is_that_of_a_geometric_distribution(least: int) -> None:
    assert tail(least, Expectation(0.25, 1.0)) == pytest.approx(0.2**least)


@pytest.mark.parametrize("least", [1, 2, 7, 30])
def test_with_shape_2_the_tail_has_its_closed_form(least: int) -> None:
    share = 3.0 / 5.0
    assert tail(least, Expectation(3.0, 2.0)) == pytest.approx(share**least * (1 + least * (1 - share)))


def test_a_tiny_tail_is_as_precise_as_a_large_one() -> None:
    first = exp(-0.01) * 0.01**12 / factorial(12)
    assert tail(12, Expectation(0.01, 1e9)) == pytest.approx(first, rel=1e-3)


def test_the_post_that_makes_the_test_does_not_count_against_chance() -> None:
    assert chance(1, Expectation(0.001, 0.5)) == 1.0
    assert chance(5, Expectation(0.25, 1.0)) == pytest.approx(0.2**4)


def test_the_expectation_is_that_of_a_gamma_prior_of_half_a_post_in_an_hour() -> None:
    assert expectation(0.0, 0.0) == (0.5, 0.5)
    assert expectation(3.0, 69.0) == (0.05, 3.5)


def test_the_variance_of_the_rate_is_at_least_a_fifth_of_its_square() -> None:
    assert expectation(1000.0, 99.0).shape == 5.0


def test_a_burst_starts_with_its_first_post_and_says_what_was_observed_and_expected() -> None:
    _, changes = follow(STORY)
    assert kinds(changes) == ["start"]
    burst = changes[0].burst
    assert (burst.start_us, burst.noticed_us) == (START, STORY[3].observed_us)
    assert (burst.observed, burst.posts, burst.subreddits) == (4, ("p0", "p4", "p9", "p15"), ("news",))
    weeks = 72 / log(2) * (1 - 2 ** -((720 + 0.25 - 2) / 72))
    assert burst.expected == pytest.approx(0.5 / (weeks + 1), rel=1e-5)
    assert burst.strength == pytest.approx(4 / burst.expected)
    assert burst.rule == RULE


def test_the_chance_of_a_burst_can_be_computed_from_what_it_stores() -> None:
    burst = follow(STORY)[1][0].burst
    share = burst.expected / (burst.expected + 0.5)
    # The first term of the tail, Gamma(3.5) / Gamma(0.5) / 3! * share^3 * (1 - share)^0.5, is nearly all of it.
    assert burst.chance == pytest.approx(2.5 * 1.5 * 0.5 / 6 * share**3, rel=0.02)


def test_ten_false_alarms_a_day_are_allowed_whatever_the_number_of_terms() -> None:
    assert level_for(100_000) * 100_000 == pytest.approx(10)
    assert level_for(6_000_000) * 6_000_000 == pytest.approx(10)
    assert level_for(100) == level_for(100_000)


def test_with_a_lower_level_more_posts_are_needed() -> None:
    state = None
    for one in STORY:
        state, changes = step(state, one, SINCE, level=1e-7)
        assert changes == ()
    _, changes = step(state, mention(16), SINCE, level=1e-7)
    assert kinds(changes) == ["start"]


def test_three_posts_are_no_burst() -> None:
    assert follow(STORY[:3])[1] == []


def test_four_posts_in_more_than_an_hour_are_no_burst() -> None:
    assert follow([*STORY[:3], mention(60)])[1] == []


def test_the_same_four_posts_are_no_burst_when_the_watch_has_just_begun() -> None:
    assert follow(STORY, since=START)[1] == []


def test_a_term_that_is_told_ten_times_an_hour_needs_more_than_twice_as_many() -> None:
    usual = [mention(6 * number - 6 * 24 * 60, f"u{number}") for number in range(24 * 60)]
    state, changes = follow(usual, since=START - 144 * HOUR_US)
    assert changes == []
    assert follow([mention(minute / 2) for minute in range(12)], state)[1] == []
    assert kinds(follow([mention(minute / 2) for minute in range(60)], state)[1])[0] == "start"


def test_a_higher_peak_is_told_with_the_posts_that_made_it() -> None:
    _, changes = follow([*STORY, mention(20, "more", "worldnews")])
    assert kinds(changes) == ["start", "peak"]
    burst = changes[1].burst
    assert (burst.peak, burst.peak_us, burst.count) == (5, START + 20 * MINUTE, 5)
    assert burst.posts[-1] == "more"
    assert burst.subreddits == ("news", "worldnews")
    assert burst.observed == 4


def test_a_burst_names_its_first_posts_and_counts_all() -> None:
    burst = follow(mention(minute) for minute in range(50))[1][-1].burst
    assert burst.posts == tuple(f"p{minute}" for minute in range(MOST_POSTS))
    assert burst.count == burst.peak == 50


def test_a_burst_ends_when_the_hour_has_a_single_post() -> None:
    state, _ = follow(STORY)
    # The last but one was created in minute 9.
    assert closed_by(state, START + 69 * MINUTE - 1) is None
    ended = closed_by(state, START + 69 * MINUTE)
    assert ended is not None
    assert ended.end_us == START + 69 * MINUTE


def test_a_mention_after_the_end_tells_the_same_end_as_the_log_time() -> None:
    state, _ = follow(STORY)
    _, changes = follow([mention(300)], state)
    assert changes == [Change("end", closed_by(state, START + 300 * MINUTE))]


def test_it_goes_on_while_two_posts_are_in_the_hour() -> None:
    _, changes = follow([*STORY, mention(60), mention(74), mention(119), mention(300)])
    assert kinds(changes) == ["start", "end"]
    assert changes[1].burst.end_us == START + 134 * MINUTE
    assert changes[1].burst.count == 7


def test_no_other_burst_starts_until_two_hours_after_the_end() -> None:
    again = [mention(69 + 60 + minute / 4) for minute in range(20)]
    state, changes = follow([*STORY, *again])
    assert kinds(changes) == ["start", "end"]
    later = [mention(69 + 121 + minute / 4, f"later{minute}") for minute in range(20)]
    assert kinds(follow(later, state)[1])[0] == "start"


def test_a_late_post_from_before_the_hour_starts_nothing() -> None:
    during_rest = [mention(170 + minute) for minute in range(10)]
    state, changes = follow([*STORY, *during_rest])
    assert kinds(changes) == ["start", "end"]
    assert follow([mention(100, delay=90)], state)[1] == []
    assert kinds(follow([mention(180, delay=10)], state)[1]) == ["start"]


def test_a_late_post_from_before_the_burst_is_no_part_of_it() -> None:
    state, changes = follow([*STORY, mention(-50, delay=70)])
    assert kinds(changes) == ["start"]
    assert state.burst == changes[0].burst


def test_a_burst_does_not_end_before_its_peak() -> None:
    """In the first hours of a watch the expectation grows quickly, as soon as the burst belongs to the past."""
    burst = [mention(minute) for minute in range(30)]
    later = [mention(minute) for minute in (60, 88, 117, 146, 150, 155)]
    _, changes = follow([*burst, *later], since=START)
    assert changes[-1].kind == "end"
    assert changes[-1].burst.end_us == changes[-1].burst.peak_us == START + 29 * MINUTE


def test_a_post_that_is_seen_again_does_not_count_twice() -> None:
    again = [replace_time(STORY[0], minute) for minute in (1, 2, 3)]
    state, changes = follow([STORY[0], *again, STORY[1], STORY[2]])
    assert changes == []
    assert len(state.recent) == 3


def replace_time(one: Mention, minute: float) -> Mention:
    return one._replace(observed_us=START + round(minute * MINUTE))


def test_posts_that_are_found_hours_after_their_creation_change_nothing() -> None:
    old = [mention(-130 - minute, delay=130 + 2 * minute) for minute in range(20)]
    before, _ = follow([mention(0)])
    after, changes = follow(old, before)
    assert changes == []
    assert (after.recent, after.past.posts) == (before.recent, before.past.posts)


def test_a_term_of_which_only_old_posts_are_known_has_no_state() -> None:
    assert step(None, mention(-130, delay=130), SINCE) == (None, ())


def test_posts_from_before_the_watch_do_not_count() -> None:
    assert step(None, mention(-1, delay=2), START) == (None, ())


def test_posts_that_arrive_at_once_after_an_outage_are_no_burst() -> None:
    """A term that is told every 20 minutes."""
    usual = [mention(20 * number - 6 * 24 * 60, f"u{number}") for number in range(6 * 72)]
    state, _ = follow(usual)
    missed = [mention(20 * number, f"m{number}", delay=120 - 20 * number) for number in range(6)]
    assert follow(missed, state)[1] == []


def test_the_order_of_posts_within_the_reach_does_not_matter_for_the_past() -> None:
    late = [mention(minute, delay=20 - minute) for minute in (3, 1, 2)]
    in_order = [mention(minute, delay=20 - minute) for minute in (1, 2, 3)]
    end = [mention(600)]
    assert follow([*late, *end])[0] == follow([*in_order, *end])[0]


def test_a_gap_of_three_days_halves_the_past() -> None:
    three_days = 72 * 60
    first, _ = follow([mention(0), mention(1), mention(180, "next")])
    later, _ = follow([mention(180 + three_days, "last")], first)
    assert later.past.posts == pytest.approx(first.past.posts / 2 + 2 ** -((72 - 2) / 72), rel=1e-3)


def test_more_posts_than_a_state_holds_do_not_count() -> None:
    many = [mention(number / 60, f"p{number}") for number in range(MOST_RECENT + 5)]
    state, _ = follow(many)
    assert len(state.recent) == MOST_RECENT
    assert state.burst is not None
    assert state.burst.peak == MOST_RECENT


def test_a_term_is_forgotten_a_week_after_its_last_mention() -> None:
    state, _ = follow(STORY)
    assert not expired(state, state.now_us + LIFETIME_US)
    assert expired(state, state.now_us + LIFETIME_US + 1)


# Minutes between two posts: mostly few, sometimes hours or days. A seldom post is seen late, or again.
GAPS = st.one_of(st.integers(0, 15), st.integers(0, 15), st.integers(0, 300), st.integers(0, 6000))
DELAYS = st.one_of(st.just(0), st.integers(0, 30), st.integers(0, 200))


@st.composite
def logs(draw: st.DrawFn) -> list[Mention]:
    """Mentions of a term in the order of a log: disordered, some late, some repeated."""
    minute, mentions = 0, []
    for number, (gap, delay, repeat) in enumerate(
        draw(st.lists(st.tuples(GAPS, DELAYS, st.integers(0, 9)), min_size=1, max_size=60))
    ):
        minute += gap
        mentions.append(mention(minute, f"p{number}", delay=delay))
        if repeat == 0:
            mentions.append(mentions[number // 2]._replace(observed_us=START + (minute + 1) * MINUTE))
    return sorted(mentions, key=lambda one: one.observed_us // (7 * MINUTE))


@pytest.mark.slow
@settings(max_examples=300)
@given(logs(), st.sampled_from([SINCE, START, START + 60 * MINUTE]))
def test_one_mention_at_a_time_finds_the_bursts_of_a_batch(log_: list[Mention], since: int) -> None:
    state: TermState | None = None
    found: dict[int, Change] = {}
    for one in log_:
        state, changes = step(state, one, since)
        for change in changes:
            found[change.burst.start_us] = change
    expected = bursts_of(log_, since)
    assert list(found) == [burst.start for burst in expected]
    for change, burst in zip(found.values(), expected, strict=True):
        told = change.burst
        assert (told.noticed_us, told.observed, told.end_us) == (burst.noticed, burst.observed, burst.end)
        assert (told.peak, told.peak_us) == (burst.peak, burst.peak_at)
        assert told.expected == pytest.approx(burst.expected)
        assert told.posts == tuple(burst.members[: len(told.posts)])


@settings(max_examples=25)
@given(logs())
def test_a_log_that_is_read_again_from_any_place_fires_nothing_anew(log_: list[Mention]) -> None:
    log_ = [mention(0, "first"), *log_]
    state, _ = follow(log_, since=START)
    again, changes = follow([one._replace(observed_us=state.now_us) for one in log_], state, START)
    # A burst that was over when late posts told of it ends with the next mention, whichever that is.
    over = closed_by(state, state.now_us)
    assert [(change.kind, change.burst) for change in changes] == ([] if over is None else [("end", over)])
    assert over is not None or again == state


@settings(max_examples=25)
@given(logs())
def test_bytes_give_the_state_back(log_: list[Mention]) -> None:
    state: TermState | None = None
    for one in log_:
        state, _ = step(state, one, SINCE)
        assert state is None or decode(encode(state)) == state


def test_names_of_any_script_come_back_from_bytes() -> None:
    state, _ = follow(one._replace(post=f"пост-{one.post}", subreddit="日本") for one in STORY)
    assert state.burst is not None
    assert decode(encode(state)) == state


def test_a_state_has_a_bounded_size() -> None:
    state, _ = follow(mention(number / 60, f"1kxyz{number:02x}", "a" * 21) for number in range(MOST_RECENT))
    assert len(encode(state)) < 50_000


@pytest.mark.parametrize("value", [b"", b"\x02" + bytes(60)])
def test_a_state_of_another_version_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="version"):
        decode(value)


def test_every_field_of_a_burst_is_in_the_bytes() -> None:
    state, _ = follow(STORY)
    assert state.burst is not None
    other = replace(
        state.burst, noticed_us=1, observed=2, past_posts=3.5, past_hours=4.5, peak_us=5, peak=6, count=7, rule=9
    )
    back = decode(encode(replace(state, burst=other))).burst
    assert back is not None
    assert asdict(back) == asdict(other)


def test_a_story_of_four_posts_is_found_although_the_term_was_in_bursts_on_the_days_before() -> None:
    day = 24 * 60
    before = [mention(days * day + minute) for days in (0, 1) for minute in range(0, 24, 4)]
    _, changes = follow([*before, *(mention(2 * day + minute) for minute in range(0, 40, 10))])
    assert [change.burst.start_us for change in changes if change.kind == "start"] == [
        START + days * day * MINUTE for days in range(3)
    ]
    # Each of the twelve posts weighs a quarter, and what half-lives have left of it.
    *_, last = changes
    now = 2 * day + 30 - 119.9
    weights = [0.25 * 2 ** (-(now - days * day - minute) / 60 / 72) for days in (0, 1) for minute in range(0, 24, 4)]
    assert last.burst.past_posts == pytest.approx(sum(weights))


def test_a_term_that_becomes_usual_is_learnt_and_its_burst_ends() -> None:
    mentions = [mention(10 * number) for number in range(10 * 24 * 6)]
    _, changes = follow(mentions)
    assert [change.kind for change in changes if change.kind != "peak"] == ["start", "end"]
    end_us = changes[-1].burst.end_us
    assert end_us is not None
    assert end_us - START < 120 * HOUR_US
