"""The steps by which the mood of a discussion is shown."""

from datetime import timedelta

import pytest

from signalflow.domain.mood import step_for


@pytest.mark.parametrize(
    ("span", "step"),
    [
        (timedelta(0), timedelta(minutes=1)),
        (timedelta(minutes=99), timedelta(minutes=1)),
        (timedelta(minutes=99, seconds=1), timedelta(minutes=5)),
        (timedelta(hours=24), timedelta(minutes=15)),
        (timedelta(days=4), timedelta(hours=1)),
        (timedelta(days=90), timedelta(days=1)),
        (timedelta(days=400_000), timedelta(days=365)),
    ],
)
def test_the_step_is_the_shortest_that_gives_at_most_a_hundred_stretches(span: timedelta, step: timedelta) -> None:
    assert step_for(span) == step
