"""The rate limit: fixed windows per client."""

from signalflow.simulator.limiter import Limiter


def test_a_full_burst_at_the_end_and_another_at_the_start_of_a_window_both_pass() -> None:
    """Windows are fixed; a sliding window would refuse the second burst."""
    limiter = Limiter(300, 600.0)
    assert all(limiter.take("a", 1_199.0).allowed for _ in range(300))
    assert not limiter.take("a", 1_199.9).allowed
    assert all(limiter.take("a", 1_200.0).allowed for _ in range(300))


def test_clients_are_counted_apart_and_refused_requests_count() -> None:
    limiter = Limiter(2, 600.0)
    assert [limiter.take("a", 0.0).used for _ in range(4)] == [1, 2, 3, 4]
    assert limiter.take("b", 0.0).allowed


def test_numbers_are_written_as_reddit_writes_them() -> None:
    """Recorded: used "1", remaining "995.0", reset "576"."""
    limit = Limiter(996, 600.0).take("a", 600.0 + 23.6)
    assert limit.headers() == {
        "x-ratelimit-used": "1",
        "x-ratelimit-remaining": "995.0",
        "x-ratelimit-reset": "576",
    }
