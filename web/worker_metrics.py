"""Reads the metrics of a worker from the text of its /metrics. Pure."""

from collections import defaultdict
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

LAG = "signalflow_consumer_lag"
BEYOND_END = "signalflow_commits_beyond_end"
STANDING_STILL = "signalflow_partitions_standing_still"
OLDEST = "signalflow_oldest_unprocessed_seconds"
REWINDS = "signalflow_rewinds_total"
RECORDS = "signalflow_records_total"
BUDGET_USED = "signalflow_reddit_requests_last_minute"
REQUESTS = "signalflow_reddit_requests_total"
VISIBLE = "signalflow_visible_seconds"
UNANSWERED_SINCE = "signalflow_reddit_unanswered_since_seconds"


@dataclass(frozen=True)
class Scrape:
    """The metrics at one `moment` (monotonic seconds): lag by topic, records by agent, requests by outcome.

    `oldest`: seconds since the oldest unprocessed record was published. `beyond_end`: records by which commits are
    beyond the end of the log. `standing_still`: partitions that are not read. `rewinds`: partitions that were read
    again. `unanswered_since`: since when Reddit has answered no request, in epoch seconds, by what it does instead.
    """

    moment: float
    lag: dict[str, int]
    records: dict[str, float]
    requests: dict[str, float]
    budget_used: float
    visible_count: float
    visible_sum: float
    oldest: float = 0.0
    beyond_end: int = 0
    standing_still: int = 0
    rewinds: int = 0
    unanswered_since: dict[str, float] = field(default_factory=dict)


def parsed(text: str, moment: float) -> Scrape:
    """Raises ValueError when the text is not an exposition of metrics."""
    found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            label = next(
                (sample.labels[name] for name in ("topic", "agent", "outcome", "reason") if name in sample.labels), ""
            )
            found[sample.name][label] += sample.value
    return Scrape(
        moment=moment,
        lag={topic: int(records) for topic, records in found[LAG].items()},
        records=dict(found[RECORDS]),
        requests={outcome: number for outcome, number in found[REQUESTS].items() if number},
        budget_used=sum(found[BUDGET_USED].values()),
        visible_count=sum(found[f"{VISIBLE}_count"].values()),
        visible_sum=sum(found[f"{VISIBLE}_sum"].values()),
        oldest=max(found[OLDEST].values(), default=0.0),
        beyond_end=int(sum(found[BEYOND_END].values())),
        standing_still=int(sum(found[STANDING_STILL].values())),
        rewinds=int(sum(found[REWINDS].values())),
        unanswered_since=dict(found[UNANSWERED_SINCE]),
    )


def rates(before: Scrape | None, after: Scrape) -> dict[str, float] | None:
    """Records per second of each agent between two scrapes; None without an earlier one, or after a restart."""
    if before is None or after.moment <= before.moment:
        return None
    if any(after.records.get(agent, 0.0) < records for agent, records in before.records.items()):
        return None
    seconds = after.moment - before.moment
    return {agent: (records - before.records.get(agent, 0.0)) / seconds for agent, records in after.records.items()}


def visible_seconds(before: Scrape | None, after: Scrape) -> float | None:
    """Mean time from publication to a committed row, of the rows between two scrapes; None without rows."""
    count, total = after.visible_count, after.visible_sum
    if before is not None and count >= before.visible_count:
        count, total = count - before.visible_count, total - before.visible_sum
    return total / count if count else None
