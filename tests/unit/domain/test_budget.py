"""The gate for requests: pacing, 429s with every kind of header, and the breaker."""

import math
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalflow.domain.budget import (
    BREAKER_SECONDS,
    LONGEST_WAIT,
    LONGEST_WINDOW,
    AddressBlock,
    Budget,
    Handover,
    RateLimit,
)
from signalflow.reddit.answers import Answer

NONSENSE = ["", "soon", "-1", "nan", "inf", "1e999", "2 s", "\x00"]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
header = st.one_of(
    st.floats().map(str), st.text(max_size=8), st.sampled_from(NONSENSE), st.integers(-10, 10_000).map(str)
)
headers = st.dictionaries(
    st.sampled_from(["Retry-After", "x-ratelimit-used", "x-ratelimit-remaining", "x-ratelimit-reset"]), header
)


def start_when_allowed(budget: Budget, now: float) -> float:
    now += budget.wait(now)
    budget.start(now)
    return now


@pytest.mark.parametrize(("per_minute", "spacing"), [(60, 1.0), (30, 2.0), (95, 60 / 95)])
def test_a_backlog_does_not_become_a_burst(per_minute: float, spacing: float) -> None:
    budget, now, starts = Budget(per_minute), 1000.0, []
    now += 3600  # an hour of silence saves nothing up
    for _ in range(50):
        now = start_when_allowed(budget, now)
        starts.append(now)
        budget.succeeded(now)
    gaps = [after - before for before, after in pairwise(starts)]
    assert min(gaps) == pytest.approx(spacing)
    assert max(gaps) == pytest.approx(spacing)


@pytest.mark.parametrize("per_minute", [0, -1, 96, math.nan])
def test_a_target_above_what_reddit_allows_is_refused(per_minute: float) -> None:
    with pytest.raises(ValueError):
        Budget(per_minute)


def test_no_second_request_starts_while_one_is_in_flight() -> None:
    budget = Budget(60)
    budget.start(0.0)
    assert budget.wait(100.0) == math.inf
    with pytest.raises(ValueError):
        budget.start(100.0)


@pytest.mark.parametrize(
    ("retry_after", "reset", "expected"),
    [
        (2, None, 2.0),
        (2, 576, 576.0),
        (600, 30, 600.0),
        (7200, None, 7200.0),
        (None, 30, 30.0),
        (0, None, 1.0),
        (9_999_999, None, LONGEST_WAIT),
    ],
)
def test_a_429_stops_everything_until_the_later_of_the_times_it_names(
    retry_after: float | None, reset: float | None, expected: float
) -> None:
    budget = Budget(60)
    budget.start(0.0)
    assert budget.rate_limited(0.5, retry_after, RateLimit(reset=reset)) == expected
    assert budget.wait(0.5) == expected
    assert budget.wait(0.5 + expected) == 0.0


def test_429s_that_name_no_time_back_off_longer_each_time() -> None:
    budget, now, waits = Budget(60), 0.0, []
    for _ in range(9):
        now = start_when_allowed(budget, now)
        waits.append(budget.rate_limited(now))
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600, 600]
    now = start_when_allowed(budget, now)
    budget.succeeded(now)
    now = start_when_allowed(budget, now)
    assert budget.rate_limited(now) == 10


def test_a_429_after_an_exhausted_window_waits_for_its_end() -> None:
    budget = Budget(60)
    budget.start(0.0)
    budget.succeeded(0.0, RateLimit(used=1000, remaining=0, reset=300))
    assert budget.wait(0.0) == 300.0
    budget.start(300.0)
    budget.succeeded(300.0, RateLimit(used=999, remaining=0.5, reset=40))
    budget.start(340.0)
    assert budget.rate_limited(340.0, 2) == 2.0


def test_a_window_that_others_used_up_is_stretched_to_its_end() -> None:
    budget = Budget(60)
    budget.start(0.0)
    budget.succeeded(0.0, RateLimit(used=900, remaining=96, reset=288))
    assert budget.wait(0.0) == pytest.approx(3.0)


def test_remaining_is_worked_out_from_used_when_it_is_absent() -> None:
    budget = Budget(60)
    budget.start(0.0)
    budget.succeeded(0.0, RateLimit(used=900, reset=300))
    assert budget.wait(0.0) == pytest.approx(3.0)


def test_a_5xx_opens_the_breaker_for_30_seconds() -> None:
    budget = Budget(60)
    budget.start(0.0)
    budget.broke(16.0)
    assert budget.wait(16.0) == BREAKER_SECONDS == 30.0
    budget.start(46.0)


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 3), headers), max_size=25))
@settings(max_examples=60)
def test_whatever_the_headers_say_pacing_holds_and_polling_goes_on_within_a_day(
    script: list[tuple[float, int, dict[str, str]]],
) -> None:
    budget, now, previous = Budget(60), 0.0, -math.inf
    for idle, kind, given_headers in script:
        answer = Answer(200, given_headers, NOON)
        now += idle
        wait = budget.wait(now)
        assert 0 <= wait <= LONGEST_WAIT + 1e-6
        now += wait
        budget.start(now)
        assert now - previous >= 1.0 - 1e-6
        previous = now
        if kind == 0:
            budget.succeeded(now, answer.rate_limit)
        elif kind == 1:
            stop = budget.rate_limited(now, answer.retry_after, answer.rate_limit)
            assert 1.0 <= stop <= LONGEST_WAIT
            assert budget.wait(now) >= stop - 1e-6
        elif kind == 2:
            budget.broke(now)
        else:
            budget.refused(now, answer.rate_limit)


def test_a_window_of_more_than_an_hour_is_a_wrong_number() -> None:
    budget = Budget(60)
    budget.start(0.0)
    budget.succeeded(0.0, RateLimit(remaining=1, reset=LONGEST_WINDOW + 1))
    assert budget.wait(0.0) == 1.0


@given(st.lists(st.tuples(st.floats(0, 900), st.integers(0, 3), headers), max_size=12), st.floats(0, 1000))
@settings(max_examples=60)
def test_a_budget_that_was_handed_over_lets_a_request_start_no_earlier_than_the_first_would(
    script: list[tuple[float, int, dict[str, str]]], pause: float
) -> None:
    first, now = Budget(30), 0.0
    for idle, kind, given_headers in script:
        answer = Answer(200, given_headers, NOON)
        now = start_when_allowed(first, now + idle)
        if kind == 0:
            first.succeeded(now, answer.rate_limit)
        elif kind == 1:
            first.rate_limited(now, answer.retry_after, answer.rate_limit)
        elif kind == 2:
            first.broke(now)
        else:
            first.refused(now, answer.rate_limit)
    second, elsewhere = Budget(30), 5000.0
    second.take_over(first.hand_over(now + pause), elsewhere)
    assert second.wait(elsewhere) >= first.wait(now + pause) - 1e-6
    assert second.spacing(elsewhere) >= first.spacing(now + pause) - 1e-6


def test_the_backoff_of_429s_without_a_time_goes_on_after_a_handover() -> None:
    first, now = Budget(60), 0.0
    for _ in range(3):
        now = start_when_allowed(first, now)
        first.rate_limited(now)
    second = Budget(60)
    second.take_over(first.hand_over(now), 0.0)
    assert second.wait(0.0) == 40
    second.start(40.0)
    assert second.rate_limited(40.0) == 80


@pytest.mark.parametrize("value", NONSENSE)
def test_nonsense_in_a_header_is_unknown(value: str) -> None:
    answer = Answer(429, {"Retry-After": value, "x-ratelimit-reset": value, "x-ratelimit-used": value}, NOON)
    assert (answer.retry_after, answer.rate_limit) == (None, RateLimit())


def test_every_target_up_to_95_a_minute_is_allowed() -> None:
    for per_minute in (0.01, 95):
        assert Budget(per_minute).wait(0.0) == 0.0
    with pytest.raises(ValueError, match="95"):
        Budget(95.01)


def test_as_many_requests_as_allowed_are_in_flight_and_each_end_makes_room_for_one() -> None:
    budget, now = Budget(60, max_in_flight=4), 0.0
    for in_flight in range(1, 5):
        now = start_when_allowed(budget, now)
        assert budget.in_flight == in_flight
    for end in (budget.succeeded, budget.refused, budget.rate_limited, budget.broke):
        assert budget.wait(now + 10) == math.inf
        end(now)
        assert budget.in_flight == 3
        assert budget.wait(now + 10_000) == 0.0
        now = start_when_allowed(budget, now + 10_000)


def test_a_request_may_start_a_rounding_error_too_early_and_no_earlier() -> None:
    budget = Budget(60, max_in_flight=3)
    budget.start(0.0)
    with pytest.raises(ValueError, match="above the budget"):
        budget.start(1 - 1e-5)
    budget.start(1 - 1e-7)
    assert budget.in_flight == 2


def test_only_a_success_ends_a_row_of_429s() -> None:
    budget, now, waits = Budget(60), 0.0, []
    for end in (budget.refused, budget.broke, budget.succeeded, budget.refused):
        now = start_when_allowed(budget, now)
        waits.append(budget.rate_limited(now))
        now = start_when_allowed(budget, now)
        end(now)
    assert waits == [10, 20, 40, 10]


@pytest.mark.parametrize("ends", ["succeeded", "refused", "rate_limited"])
def test_every_answer_tells_how_the_window_stands(ends: str) -> None:
    budget = Budget(60)
    budget.start(0.0)
    limit = RateLimit(remaining=10, reset=300)
    if ends == "rate_limited":
        budget.rate_limited(0.0, 1.0, limit)
    else:
        getattr(budget, ends)(0.0, limit)
    assert budget.spacing(100.0) == pytest.approx(20.0)
    assert budget.spacing(299.5) == 1.0, "never faster than the target"
    assert budget.spacing(300.0) == 1.0, "the window has ended"


def test_a_window_with_room_does_not_make_requests_faster() -> None:
    budget = Budget(60)
    budget.start(0.0)
    budget.succeeded(0.0, RateLimit(remaining=900, reset=300))
    assert budget.spacing(1.0) == 1.0


def test_used_counts_against_a_thousand_and_never_below_nothing() -> None:
    for used, spacing in ((400, 1.0), (700, 2.0), (998, 300.0), (1200, 600.0)):
        budget = Budget(60)
        budget.start(0.0)
        budget.succeeded(0.0, RateLimit(used=used, reset=600))
        assert budget.spacing(0.0) == pytest.approx(spacing)
    assert budget.blocked_until == 600.0, "a used-up window blocks until its end"


def test_what_is_said_to_remain_counts_more_than_what_is_said_to_be_used() -> None:
    budget = Budget(60)
    budget.start(0.0)
    budget.succeeded(0.0, RateLimit(used=1000, remaining=100, reset=300))
    assert budget.wait(0.0) == pytest.approx(3.0)


@pytest.mark.parametrize("limit", [RateLimit(remaining=0), RateLimit(reset=300), RateLimit(remaining=0, reset=3601)])
def test_a_window_that_is_not_told_whole_or_lasts_too_long_is_not_known(limit: RateLimit) -> None:
    budget = Budget(60)
    budget.start(0.0)
    budget.succeeded(0.0, limit)
    assert budget.wait(0.0) == 1.0
    assert budget.blocked_until == -math.inf


@pytest.mark.parametrize(("remaining", "wait"), [(0, 3600.0), (0.99, 3600.0), (1, 3600.0), (2, 1800.0)])
def test_a_window_of_an_hour_is_still_believed(remaining: float, wait: float) -> None:
    budget = Budget(60)
    budget.start(0.0)
    budget.succeeded(0.0, RateLimit(remaining=remaining, reset=3600))
    assert budget.wait(0.0) == wait
    assert (budget.blocked_until == 3600.0) is (remaining < 1)


def test_a_used_up_window_that_ends_now_blocks_for_a_second() -> None:
    budget = Budget(95)
    budget.start(0.0)
    budget.succeeded(10.0, RateLimit(remaining=0, reset=0))
    assert budget.blocked_until == 11.0


@pytest.mark.parametrize(("remaining", "at", "expected"), [(0.5, 100.0, 200.0), (1, 100.0, 10.0), (0.5, 300.0, 10.0)])
def test_a_429_that_names_no_time_waits_for_the_end_of_a_window_that_is_used_up(
    remaining: float, at: float, expected: float
) -> None:
    budget = Budget(60, max_in_flight=2)
    budget.start(0.0)
    budget.start(1.0)
    budget.succeeded(0.0, RateLimit(remaining=remaining, reset=300))
    assert budget.rate_limited(at) == expected


def test_a_429_never_shortens_a_wait_that_holds() -> None:
    budget = Budget(60, max_in_flight=2)
    budget.start(0.0)
    budget.start(1.0)
    budget.rate_limited(1.0, 600)
    budget.rate_limited(1.0, 5)
    assert budget.blocked_until == 601.0
    assert budget.wait(1.0) == 600.0


def answered(budget: Budget, now: float, limit: RateLimit) -> float:
    """One request as soon as it may start, answered at once; returns its start."""
    at = start_when_allowed(budget, now)
    budget.succeeded(at, limit)
    return at


def test_a_budget_that_learns_asks_as_often_as_answers_allow() -> None:
    budget = Budget(1, learns=True)
    first = answered(budget, 1000.0, RateLimit(used=1, remaining=9, reset=50))
    assert budget.per_minute == pytest.approx(10)
    second = answered(budget, first, RateLimit(used=2, remaining=98, reset=600))
    assert second - first == pytest.approx(6), "ten in a window, which is taken to last a minute"
    assert budget.per_minute == pytest.approx(10), "100 in ten minutes"
    third = answered(budget, second, RateLimit(used=1, remaining=0, reset=42))
    assert budget.per_minute == pytest.approx(1), "one in a window"
    assert budget.wait(third) == pytest.approx(60)


def test_a_budget_that_learns_waits_a_second_more_because_headers_have_whole_seconds() -> None:
    budget = Budget(10, learns=True)
    at = answered(budget, 1000.0, RateLimit(used=10, remaining=0, reset=7))
    assert budget.wait(at) == pytest.approx(8)


@pytest.mark.parametrize(
    "limit",
    [
        RateLimit(),
        RateLimit(used=1, reset=60),
        RateLimit(used=1, remaining=99),
        RateLimit(used=0, remaining=0, reset=60),
        RateLimit(used=1, remaining=99, reset=3601),
    ],
)
def test_what_is_not_told_whole_changes_no_pace(limit: RateLimit) -> None:
    budget = Budget(1, learns=True)
    answered(budget, 1000.0, limit)
    assert budget.per_minute == 1


def test_a_refusal_changes_no_pace_because_refused_requests_count_as_used() -> None:
    budget = Budget(1, learns=True)
    budget.start(1000.0)
    budget.rate_limited(1000.0, None, RateLimit(used=5, remaining=0, reset=30))
    assert budget.per_minute == 1


def test_however_much_is_allowed_the_pace_stays_within_what_we_ask_at_most() -> None:
    budget = Budget(1, learns=True)
    answered(budget, 1000.0, RateLimit(used=1, remaining=1e6, reset=60))
    assert budget.per_minute == 95


def test_the_settings_of_the_api_hold_whatever_answers_allow() -> None:
    budget = Budget(1)
    answered(budget, 1000.0, RateLimit(used=1, remaining=99, reset=60))
    assert budget.per_minute == 1


# --- a blocked address


def blocked(budget: Budget, now: float, *answers: RateLimit) -> list[float]:
    """The waits after a request for each of these answers, made as soon as they may start."""
    waits = []
    for limit in answers:
        at = start_when_allowed(budget, now)
        waits.append(budget.address_blocked(at, "page", limit=limit))
        now = at
        assert budget.wait(now) == pytest.approx(waits[-1])
    return waits


def test_a_block_doubles_its_waits_up_to_an_hour_and_an_answer_ends_it() -> None:
    budget = Budget(1, learns=True)
    assert blocked(budget, 1000.0, *[RateLimit()] * 8) == [120, 240, 480, 960, 1920, 3600, 3600, 3600]
    at = start_when_allowed(budget, 1000.0)
    assert budget.address_block(at) == AddressBlock("page", pytest.approx(at - 1000.0), 8)
    budget.succeeded(at)
    assert budget.address_block(at) is None
    assert blocked(budget, at, RateLimit()) == [120]


def test_a_refused_subreddit_is_an_answer_and_an_outage_is_none() -> None:
    budget = Budget(60)
    blocked(budget, 1000.0, RateLimit(), RateLimit())
    budget.start(at := 1000.0 + 120 + 240)
    budget.failed(at)
    budget.start(at + 30)
    budget.broke(at + 30)
    assert budget.address_block(at + 30) == AddressBlock("page", 390.0, 2)
    budget.start(at + 60)
    budget.refused(at + 60)
    assert budget.address_block(at + 60) is None


def test_a_request_that_its_process_gives_up_ends_no_block_and_is_no_longer_in_flight() -> None:
    budget = Budget(60)
    blocked(budget, 1000.0, RateLimit())
    budget.start(1120.0)
    budget.given_up()
    assert budget.in_flight == 0
    assert blocked(budget, 1121.0, RateLimit()) == [240]


def test_a_longer_wait_that_a_blocked_answer_names_is_kept() -> None:
    assert blocked(Budget(1), 1000.0, RateLimit(reset=900)) == [900]
    budget = Budget(1)
    budget.start(1000.0)
    assert budget.address_blocked(1000.0, "limit", retry_after=1e9) == 86_400


def test_a_successor_keeps_the_pause_of_a_block_and_goes_on_doubling() -> None:
    before, after = Budget(1), Budget(1)
    blocked(before, 1000.0, *[RateLimit()] * 3)
    died_at = before.blocked_until - 300
    after.take_over(before.hand_over(died_at), 50_000.0)
    assert after.wait(50_000.0) == pytest.approx(300)
    assert after.address_block(50_000.0) == before.address_block(died_at)
    assert blocked(after, 50_000.0, RateLimit()) == [960]
    # What it knows itself is newer than what another one says that polled before.
    after.take_over(before.hand_over(died_at), 50_400.0)
    assert after.address_block(50_400.0) == AddressBlock("page", pytest.approx(died_at - 1000.0 + 400), 4)


@pytest.mark.parametrize(
    ("told", "after", "of_the_429", "has_room"),
    [
        (10.0, 0.0, None, True),
        (10.0, 0.0, 10.0, True),
        (10.0, 0.0, 9.0, False),
        (9.0, 0.0, None, False),
        (990.0, 299.0, None, True),
        (990.0, 300.0, None, False),
    ],
)
def test_a_429_contradicts_a_window_that_still_lasts_and_has_ten_requests_left(
    told: float, after: float, of_the_429: float | None, has_room: bool
) -> None:
    budget = Budget(60)
    budget.start(0.0)
    budget.succeeded(0.0, RateLimit(remaining=told, reset=300.0))
    assert budget.has_room(after, RateLimit(remaining=of_the_429)) is has_room


def test_nothing_contradicts_a_429_before_reddit_has_told_its_window() -> None:
    assert not Budget(60).has_room(0.0)


def test_a_handover_tells_times_from_its_own_moment() -> None:
    budget = Budget(60)
    budget.start(1_000.0)
    budget.succeeded(1_001.0, RateLimit(remaining=50, reset=300.0))
    handed = budget.hand_over(1_011.0)
    assert (handed.blocked_for, handed.last_start_ago) == (0.0, 11.0)
    assert (handed.window_remaining, handed.window_ends_in) == (50, 290.0)
    ended = budget.hand_over(1_301.0)
    assert (ended.window_remaining, ended.window_ends_in) == (None, None)


def test_a_successor_waits_for_the_distance_to_the_last_request_of_another() -> None:
    budget = Budget(6)
    budget.take_over(Handover(last_start_ago=4.0), 1_000.0)
    assert budget.wait(1_000.0) == 6.0


def test_of_two_equal_blocks_a_budget_keeps_its_own() -> None:
    budget = Budget(60)
    budget.start(0.0)
    budget.address_blocked(0.0, "page")
    assert budget.address_block(0.0) == AddressBlock("page", 0.0, 1)
    budget.take_over(Handover(address_block=AddressBlock("limit", 50.0, 1)), 100.0)
    assert budget.address_block(100.0) == AddressBlock("page", 100.0, 1)
    budget.take_over(Handover(address_block=AddressBlock("limit", 50.0, 2)), 100.0)
    assert budget.address_block(100.0) == AddressBlock("limit", 50.0, 2)


def test_the_answer_of_a_block_tells_the_window() -> None:
    budget = Budget(60)
    budget.start(0.0)
    budget.address_blocked(0.0, "page", None, RateLimit(remaining=0.0, reset=3_000.0))
    assert budget.wait(0.0) == 3_000.0


def test_a_failure_ends_one_request() -> None:
    budget = Budget(60, max_in_flight=2)
    budget.start(0.0)
    budget.start(1.0)
    budget.failed(1.0)
    assert budget.in_flight == 1


def test_a_budget_that_learns_believes_a_window_of_an_hour() -> None:
    budget = Budget(1, learns=True)
    budget.start(0.0)
    budget.succeeded(0.0, RateLimit(used=1, remaining=119, reset=3_600.0))
    assert budget.per_minute == pytest.approx(2.0)
