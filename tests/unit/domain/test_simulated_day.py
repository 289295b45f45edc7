"""A day of 115 subreddits: no post is missed, posts are found within seconds, and rising ones noticed within minutes.

The refreshes cost no more than at fixed ages.
"""

from statistics import median

import pytest

from tests.unit.domain.reddit_day import fixed_cadence, make_model, run_day

pytestmark = pytest.mark.slow


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def test_a_day_of_115_subreddits_is_complete_quick_and_within_budget() -> None:
    model = make_model(seed=7)
    report = run_day(model, listing_per_minute=20, refresh_ids_per_minute=210)
    fixed_ids, fixed_notice = fixed_cadence(model)
    print(
        f"\n{len(model.subreddits)} subreddits, {len(report.discovery)} posts, requests {report.requests}, "
        f"missed {report.missed}"
        f"\ndiscovery: median {median(report.discovery):.1f} s, p99 {percentile(report.discovery, 0.99):.1f} s"
        f"\nscore above 200 noticed, planner at {report.refreshed_ids / 1440:.0f} ids/min: "
        f"median {median(report.notice) / 60:.1f} min, p90 {percentile(report.notice, 0.9) / 60:.0f} min"
        f"\nscore above 200 noticed, fixed 5/30/120 min at {fixed_ids / 1440:.0f} ids/min: "
        f"median {median(fixed_notice) / 60:.1f} min, p90 {percentile(fixed_notice, 0.9) / 60:.0f} min"
    )
    assert len(report.discovery) > 20_000
    assert report.missed == 0
    assert median(report.discovery) <= 3.5
    assert percentile(report.discovery, 0.99) <= 30
    assert report.requests["listing"] <= 20 * 1440
    assert report.requests["reappearance"] <= 2 * 1440
    assert sum(report.requests.values()) <= 60 * 1440
    assert report.closest_starts >= 1.0 - 1e-6
    assert len(report.notice) > 200
    assert report.refreshed_ids <= fixed_ids
    assert median(report.notice) <= 5 * 60
    assert 40 * 60 <= median(fixed_notice) <= 80 * 60


def test_listings_by_rank_of_all_115_subreddits_cost_discovery_nothing() -> None:
    model = make_model(seed=7)
    sorts = ("new", "hot", "rising", "top:day")
    minutes = 3 * 60
    report = run_day(model, listing_per_minute=20, refresh_ids_per_minute=210, post_sorts=sorts, seconds=60.0 * minutes)
    print(
        f"\nrequests {report.requests}, missed {report.missed}"
        f"\ndiscovery: median {median(report.discovery):.1f} s, p99 {percentile(report.discovery, 0.99):.1f} s"
    )
    assert report.missed == 0
    assert median(report.discovery) <= 3.5
    assert percentile(report.discovery, 0.99) <= 30
    assert report.closest_starts >= 1.0 - 1e-6
    assert report.requests["ranked"] > minutes
    assert sum(report.requests.values()) <= 60 * minutes
