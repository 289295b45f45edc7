"""The one policy of retries."""

from signalflow.domain.backoff import Backoff


def test_waits_double_up_to_the_longest() -> None:
    assert [Backoff(1.0, 30.0).after(failures) for failures in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


def test_no_number_of_failures_is_too_large() -> None:
    assert Backoff(0.2, 2.0).after(10**9) == 2.0
