"""The operations endpoint shows the metrics of workers."""

from datetime import UTC, datetime
from typing import Any

import pytest

from signalflow.storage.workers import WorkerRow
from web.api.operations import schemas
from web.api.operations.collect import flow, shown, spent
from web.worker_client import Scraped
from web.worker_metrics import Scrape, parsed, rates, visible_seconds

# As prometheus_client writes it; the lag has one sample for each topic.
EXPOSITION = """# HELP signalflow_reddit_requests_total Requests to Reddit.
# TYPE signalflow_reddit_requests_total counter
signalflow_reddit_requests_total{kind="listing",outcome="ok"} 350.0
signalflow_reddit_requests_total{kind="refresh",outcome="ok"} 33.0
signalflow_reddit_requests_total{kind="refresh",outcome="429"} 2.0
# HELP signalflow_reddit_requests_last_minute Requests to Reddit in the last 60 s.
# TYPE signalflow_reddit_requests_last_minute gauge
signalflow_reddit_requests_last_minute 22.0
# TYPE signalflow_reddit_unanswered_since_seconds gauge
signalflow_reddit_unanswered_since_seconds{reason="status_403"} 1767225600.0
# HELP signalflow_records_total Records.
# TYPE signalflow_records_total counter
signalflow_records_total{agent="enrich"} 1000.0
signalflow_records_total{agent="sink"} 900.0
# TYPE signalflow_commits_beyond_end gauge
signalflow_commits_beyond_end{topic="reddit.posts.enriched"} 30.0
signalflow_commits_beyond_end{topic="reddit.posts.raw"} 4.0
# TYPE signalflow_oldest_unprocessed_seconds gauge
signalflow_oldest_unprocessed_seconds{topic="reddit.posts.enriched"} 2.5
signalflow_oldest_unprocessed_seconds{topic="reddit.posts.raw"} 1.5
# TYPE signalflow_partitions_standing_still gauge
signalflow_partitions_standing_still{topic="reddit.posts.raw"} 1.0
# TYPE signalflow_rewinds counter
signalflow_rewinds_total{reason="log_cut",topic="reddit.posts.raw"} 2.0
signalflow_rewinds_total{reason="database_behind",topic="reddit.posts.raw"} 1.0
# HELP signalflow_consumer_lag Records not committed yet.
# TYPE signalflow_consumer_lag gauge
signalflow_consumer_lag{topic="reddit.posts.enriched"} 9.0
signalflow_consumer_lag{topic="reddit.posts.raw"} 3.0
# HELP signalflow_visible_seconds Visible.
# TYPE signalflow_visible_seconds histogram
signalflow_visible_seconds_bucket{le="+Inf"} 100.0
signalflow_visible_seconds_count 100.0
signalflow_visible_seconds_sum 50.0
"""
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def worker(**changes: Any) -> WorkerRow:
    """A running worker with a fresh heartbeat."""
    fields = {
        "name": "worker-1",
        "pid": 1,
        "web_url": "http://127.0.0.1:1",
        "state": "running",
        "is_poller": False,
        "is_leader": False,
        "started_at": NOW,
        "heartbeat_at": NOW,
        "heartbeat_age": 1.0,
    }
    return WorkerRow(**{**fields, **changes})


def scrape(moment: float, enrich: float, **changes: Any) -> Scrape:
    """A scrape of a worker whose agent `enrich` has processed this many records."""
    fields: dict[str, Any] = {
        "lag": {"reddit.posts.raw": 5},
        "requests": {},
        "budget_used": 0.0,
        "visible_count": 0.0,
        "visible_sum": 0.0,
    }
    return Scrape(moment=moment, records={"enrich": enrich}, **{**fields, **changes})


def test_metrics_are_read_by_their_labels() -> None:
    found = parsed(EXPOSITION, 7.0)
    assert found.lag == {"reddit.posts.enriched": 9, "reddit.posts.raw": 3}
    assert found.records == {"enrich": 1000.0, "sink": 900.0}
    assert found.requests == {"ok": 383.0, "429": 2.0}
    assert found.budget_used == 22.0
    assert found.unanswered_since == {"status_403": NOW.timestamp()}
    assert (found.beyond_end, found.oldest, found.standing_still, found.rewinds) == (34, 2.5, 1, 3)
    assert (found.visible_count, found.visible_sum) == (100.0, 50.0)


def test_text_that_is_no_exposition_is_a_value_error() -> None:
    with pytest.raises(ValueError):
        parsed("<html>not metrics</html>", 0.0)


def test_throughput_is_the_difference_of_two_scrapes() -> None:
    assert rates(scrape(10.0, 100), scrape(14.0, 300)) == {"enrich": 50.0}


def test_throughput_is_unknown_at_the_first_scrape_and_after_a_restart() -> None:
    assert rates(None, scrape(10.0, 100)) is None
    assert rates(scrape(10.0, 5000), scrape(14.0, 3)) is None


def test_the_time_until_visible_is_the_mean_of_the_newest_rows() -> None:
    before, after = scrape(1.0, 0, visible_count=10, visible_sum=100), scrape(2.0, 0, visible_count=14, visible_sum=102)
    assert visible_seconds(before, after) == 0.5
    assert visible_seconds(None, after) == pytest.approx(102 / 14)
    assert visible_seconds(after, after) is None


def test_lag_and_throughput_are_the_sum_of_all_workers() -> None:
    items = [
        shown(worker(name="a"), Scraped(scrape(2.0, 30), scrape(1.0, 10))),
        shown(worker(name="b"), Scraped(scrape(2.0, 15), scrape(1.0, 10))),
    ]
    added = flow(schemas.Workers(available=True, items=items))
    assert added.lag == {"reddit.posts.raw": 10}
    assert added.records_per_second == {"enrich": 25.0}
    assert added.complete


def test_what_does_not_fit_the_log_is_shown_for_all_workers() -> None:
    items = [
        shown(worker(name="a"), Scraped(scrape(2.0, 0, oldest=3.0, beyond_end=30, standing_still=1, rewinds=2), None)),
        shown(worker(name="b"), Scraped(scrape(2.0, 0, oldest=7.0, beyond_end=4), None)),
    ]
    added = flow(schemas.Workers(available=True, items=items))
    assert (added.oldest_unprocessed_seconds, added.commits_beyond_end) == (7.0, 34)
    assert (added.partitions_standing_still, added.rewinds) == (1, 2)


def test_a_lag_without_one_of_the_living_workers_is_called_incomplete() -> None:
    items = [
        shown(worker(name="a"), Scraped(scrape(2.0, 30), None)),
        shown(worker(name="b"), Scraped("does not answer", None)),
    ]
    assert not flow(schemas.Workers(available=True, items=items)).complete


def test_a_worker_without_heartbeats_is_silent_and_does_not_poll() -> None:
    out = shown(worker(heartbeat_age=16.0, is_poller=True, state="running"), Scraped("no heartbeat", None))
    assert (out.status, out.is_poller, out.metrics.available) == ("silent", False, False)


def test_the_budget_is_counted_by_the_poller() -> None:
    limit = schemas.Budget(available=False, limit=60)
    newest = scrape(2.0, 30, budget_used=22.0, requests={"ok": 9.0})
    items = [
        shown(worker(name="a"), Scraped(scrape(2.0, 1), None)),
        shown(worker(name="b", pid=2, is_poller=True), Scraped(newest, None)),
    ]
    budget = spent(limit, schemas.Workers(available=True, items=items), {("b", 2): newest})
    assert (budget.available, budget.poller, budget.used, budget.limit) == (True, "b", 22.0, 60)
    nobody = spent(limit, schemas.Workers(available=True, items=items[:1]), {})
    assert not nobody.available
    assert nobody.reason


@pytest.mark.parametrize("reason", ["status_403", "no_answer", "unauthorized"])
def test_the_budget_says_since_when_reddit_answers_nothing_and_what_to_do(reason: str) -> None:
    poller = shown(worker(is_poller=True), Scraped(scrape(1.0, 10), None))
    limit, workers = schemas.Budget(available=False, limit=60.0), schemas.Workers(available=True, items=[poller])
    silent = scrape(2.0, 10, unanswered_since={reason: NOW.timestamp()})
    budget = spent(limit, workers, {("worker-1", 1): silent})
    assert (budget.available, budget.unanswered_since, budget.unanswered_reason) == (True, NOW, reason)
    assert budget.what_to_do
    well = spent(limit, workers, {("worker-1", 1): scrape(2.0, 10)})
    assert (well.unanswered_since, well.unanswered_reason, well.what_to_do) == (None, None, None)
