"""A run of refusals is told with its beginning, and ends with the first answer."""

from typing import get_args

import pytest

from signalflow.domain.standstill import Standstill, StandstillWatch, advice
from signalflow.reddit.protocol import Block

NOW = 1_000_000.0


@pytest.mark.parametrize("reason", ["status_403", "no_answer", "unauthorized", "private"])
def test_three_failures_in_half_a_minute_are_a_standstill_since_the_first(reason: str) -> None:
    watch = StandstillWatch()
    watch.answered()
    for after in (0, 10, 31):
        assert watch.standstill(NOW + after) is None
        watch.failed(reason, NOW + after)
    assert watch.standstill(NOW + 31) == Standstill(NOW, reason)
    watch.failed("status_500", NOW + 90)
    assert watch.standstill(NOW + 90) == Standstill(NOW, "status_500"), "the beginning stays, the reason is the last"
    watch.answered()
    assert watch.standstill(NOW + 91) is None


def test_failures_between_answers_or_in_a_few_seconds_are_none() -> None:
    watch = StandstillWatch()
    for after in range(100):
        watch.failed("status_500", NOW + after)
        assert watch.standstill(NOW + after) is None
        if after % 2:
            watch.answered()
    quick = StandstillWatch()
    for after in range(5):
        quick.failed("status_500", NOW + after)
    assert quick.standstill(NOW + 5) is None
    assert StandstillWatch().standstill(NOW) is None


def test_a_block_is_a_standstill_at_once_and_until_an_answer() -> None:
    watch = StandstillWatch()
    watch.blocked("page", NOW)
    assert watch.standstill(NOW) == Standstill(NOW, "blocked_page")
    watch.failed("unreachable", NOW + 1)
    assert watch.standstill(NOW + 1) == Standstill(NOW, "unreachable")
    watch.answered()
    watch.failed("unreachable", NOW + 2)
    assert watch.standstill(NOW + 2) is None


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("status_403", "SIGNALFLOW_REDDIT_USER_AGENT"),
        ("unauthorized", "SIGNALFLOW_REDDIT_CLIENT_SECRET"),
        ("unreachable", "proxy"),
        ("status_503", "redditstatus"),
        ("banned", "log"),
        *((f"blocked_{how}", word) for how in get_args(Block) for word in ("SIGNALFLOW_REDDIT_FEED", "by itself")),
    ],
)
def test_each_reason_comes_with_what_to_do(reason: str, word: str) -> None:
    assert word in advice(reason)
