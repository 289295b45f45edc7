"""Two hours of the default subreddits with everything switched on: discovery stays as quick beside all else."""

import pytest

from tests.bench.week import week

pytestmark = pytest.mark.slow


def test_discovery_stays_quick_beside_comments_ranks_checks_and_discovery_of_subreddits() -> None:
    found = week(2 / 24, activity=1.0, progress=lambda _: None)
    assert found["posts"] > 2_500
    assert found["coverage"] == dict.fromkeys(found["coverage"], 0), "nothing is missed, and no gap is reported"
    assert found["delay_s"]["median"] <= 3.5
    assert found["delay_s"]["p99"] <= 30.0
    used = found["requests_per_minute"]
    assert used["listing"] <= 20.0
    assert {
        "comments",
        "comments_refresh",
        "deep",
        "first_look",
        "popular",
        "ranked",
        "refresh",
        "silence",
        "tree",
    } <= {kind for kind, rate in used.items() if rate > 0}
    assert found["most_in_a_minute"] <= found["budget_per_minute"]
