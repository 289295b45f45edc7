"""Every metric, declared once. This is the list an operator reads.

Names follow Prometheus: base units, `_total` for counters. Workers and API serve their own at `/metrics`: REGISTRY
holds those of a worker, API_REGISTRY those of an API process.
"""

from collections.abc import Sequence
from importlib.metadata import version
from platform import python_version
from typing import NamedTuple, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from signalflow.domain.gaps import Outcome
from signalflow.domain.positions import Break
from signalflow.domain.words import SignalKind, Stage

# Every counter would have a second time series that says when the process began.
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
API_REGISTRY = CollectorRegistry()

# --- ingest: from Reddit to the raw topic
REDDIT_REQUESTS = Counter("signalflow_reddit_requests", "Requests to Reddit.", ["kind", "outcome"], registry=REGISTRY)
REDDIT_BUDGET_USED = Gauge(
    "signalflow_reddit_requests_last_minute", "Requests to Reddit in the last 60 s.", registry=REGISTRY
)
REDDIT_BUDGET = Gauge(
    "signalflow_reddit_requests_per_minute_allowed",
    "Requests to Reddit a minute that the budget allows; it is 0 before the first one.",
    registry=REGISTRY,
)
POSTS_DISCOVERED = Counter("signalflow_posts_discovered", "New posts published.", registry=REGISTRY)
POSTS_FOUND_LATE = Counter(
    "signalflow_posts_found_late",
    "New posts that Reddit showed late, further down than its newest posts: approved after a filter held them back.",
    registry=REGISTRY,
)
COMMENTS_DISCOVERED = Counter(
    "signalflow_comments_discovered", "Comments published for the first time by this poller.", registry=REGISTRY
)
COMMENTS_NOT_FOLLOWED = Counter(
    "signalflow_comments_not_followed",
    "Comments that the tree of a post left out, and that were not asked for: a post has only so many.",
    registry=REGISTRY,
)
POSTS_SWEPT = Counter("signalflow_posts_swept", "Posts older than two days that were checked.", registry=REGISTRY)
COMMENTS_SWEPT = Counter("signalflow_comments_swept", "Comments older than a day that were checked.", registry=REGISTRY)
POSTS_REFRESHED = Counter("signalflow_posts_refreshed", "Known posts published again.", registry=REGISTRY)
DISCOVERY_SECONDS = Histogram(
    "signalflow_discovery_seconds",
    "From a post's creation to its first observation.",
    buckets=(1, 2, 5, 10, 20, 30, 60, 120, 300, 900, 3600),
    registry=REGISTRY,
)
LISTING_GAPS = Counter(
    "signalflow_listing_gaps", "Stretches of a listing that could not be proven complete at once.", registry=REGISTRY
)
LISTING_GAPS_CLOSED = Counter(
    "signalflow_listing_gaps_closed",
    "Gaps that are no longer read, by how that ended. After given_up and unreachable posts may be missing.",
    ["outcome"],
    registry=REGISTRY,
)
REDDIT_UNANSWERED_SINCE = Gauge(
    "signalflow_reddit_unanswered_since_seconds",
    "Since when Reddit has answered no request, in epoch seconds, by what it does instead. None while it answers.",
    ["reason"],
    registry=REGISTRY,
)
REDDIT_ITEMS_REJECTED = Counter(
    "signalflow_reddit_items_rejected",
    "Items of Reddit's answers that were left out: the field at fault, kind, promoted or not_asked. Each counts once.",
    ["reason"],
    registry=REGISTRY,
)
SUBREDDITS_SET_ASIDE = Gauge(
    "signalflow_subreddits_set_aside",
    "Subreddits whose listings Reddit refuses or does not answer; each is tried again by itself.",
    registry=REGISTRY,
)
POSTS_SET_ASIDE = Gauge(
    "signalflow_posts_set_aside",
    "Posts that are not refreshed, because Reddit answers no request that names them.",
    registry=REGISTRY,
)
POSTS_NOT_SHOWN = Gauge(
    "signalflow_posts_not_shown",
    "Posts of the last two days that Reddit's answers leave out.",
    registry=REGISTRY,
)
IS_POLLER = Gauge("signalflow_is_poller", "1 on the worker that polls Reddit.", registry=REGISTRY)

# --- streams: the unit of work
RECORDS = Counter(
    "signalflow_records", "Records taken through a unit of work and acknowledged.", ["agent"], registry=REGISTRY
)
DEAD_LETTERS = Counter(
    "signalflow_dead_letters", "Records sent to the dead-letter topic.", ["stage"], registry=REGISTRY
)
DEAD_LETTER_LIMIT_USED = Gauge(
    "signalflow_dead_letter_limit_used",
    "Share of the dead-letter limit that the worst partition had used at the last letter; the worker stops above 1.",
    ["topic"],
    registry=REGISTRY,
)
DEAD_LETTERS_STORED = Counter(
    "signalflow_dead_letters_stored", "Dead letters taken into the database.", ["outcome"], registry=REGISTRY
)
HOLES = Counter(
    "signalflow_offset_holes",
    "Skipped offsets found by the contiguity guard; each stopped its worker.",
    registry=REGISTRY,
)
EXPIRED_BY_RETENTION = Counter(
    "signalflow_records_expired_unprocessed",
    "Records that retention removed before they were processed.",
    ["topic"],
    registry=REGISTRY,
)
REWINDS = Counter(
    "signalflow_rewinds",
    "Breaks of logs that were found, and partitions that were read again because the database lacked rows.",
    ["topic", "reason"],
    registry=REGISTRY,
)
GIVEN_BACK = Counter(
    "signalflow_records_given_back",
    "Records given back unprocessed at a rebalance or a stop.",
    ["agent"],
    registry=REGISTRY,
)
COMMIT_RETRIES = Counter(
    "signalflow_commit_retries",
    "Units of work tried again because brokers or database were away.",
    ["agent"],
    registry=REGISTRY,
)
CHANGELOG_JUMPS = Counter(
    "signalflow_changelog_jumps", "Changelog offsets written by another worker in between.", registry=REGISTRY
)
UNIT_SECONDS = Histogram(
    "signalflow_unit_of_work_seconds",
    "Duration of one unit of work.",
    ["agent"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
UNIT_STEP_SECONDS = Histogram(
    "signalflow_unit_of_work_step_seconds",
    "Duration of a step of a unit of work. The commits of enrich and signals have outputs, changelog and store as "
    "steps of their own; the last two are also those of states that expire.",
    ["agent", "step"],
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10),
    registry=REGISTRY,
)
TABLE_RESTORE_SECONDS = Gauge(
    "signalflow_table_restore_seconds",
    "How long the last recovery of this worker's tables took, from its assignment until records were read again.",
    registry=REGISTRY,
)
TABLE_RESTORED = Counter(
    "signalflow_table_records_restored", "Records of changelogs that recoveries applied.", registry=REGISTRY
)
TABLE_ENTRIES = Gauge(
    "signalflow_table_entries",
    "Entries of the tables in this worker's local state, by the estimate of RocksDB.",
    ["table"],
    registry=REGISTRY,
)

CONSUMER_LAG = Gauge(
    "signalflow_consumer_lag",
    "Records not committed yet, for the partitions of this worker.",
    ["topic"],
    registry=REGISTRY,
)
PARTITIONS_UNREAD = Gauge(
    "signalflow_partitions_unread",
    "Partitions on the brokers that no worker is assigned, as the group's coordinator says; the same on every worker.",
    ["topic"],
    registry=REGISTRY,
)
TOPICS_MADE_ANEW = Counter(
    "signalflow_topics_made_anew",
    "Topics that were deleted and made anew under this worker.",
    ["topic"],
    registry=REGISTRY,
)
LOCAL_STATE_WIPED = Counter(
    "signalflow_local_state_wiped",
    "Stores of this worker that did not fit their changelog or could not be read, and were restored from it.",
    registry=REGISTRY,
)
COMMITS_BEYOND_END = Gauge(
    "signalflow_commits_beyond_end",
    "Records by which commits are beyond the end of the log, for the partitions of this worker.",
    ["topic"],
    registry=REGISTRY,
)
PARTITIONS_STANDING_STILL = Gauge(
    "signalflow_partitions_standing_still",
    "Partitions that this worker has and does not read.",
    ["topic"],
    registry=REGISTRY,
)
OLDEST_UNPROCESSED = Gauge(
    "signalflow_oldest_unprocessed_seconds",
    "Age of the oldest record that is not committed yet, for the partitions of this worker; 0 without one.",
    ["topic"],
    registry=REGISTRY,
)
RECORDS_HELD = Gauge(
    "signalflow_records_held",
    "Records that this worker has read and not committed yet; its queues bound them.",
    ["topic"],
    registry=REGISTRY,
)

# --- sink: into the database
ROWS_WRITTEN = Counter("signalflow_rows_written", "Rows of observations stored.", registry=REGISTRY)
COMMENTS_WRITTEN = Counter("signalflow_comments_written", "Observations of comments stored.", registry=REGISTRY)
VISIBLE_SECONDS = Histogram(
    "signalflow_visible_seconds",
    "From the envelope's emission to its row being committed.",
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300),
    registry=REGISTRY,
)
END_TO_END_SECONDS = Histogram(
    "signalflow_end_to_end_seconds",
    "From Reddit's answer to the committed row of what it told; without what came from files.",
    ["kind"],
    buckets=(0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600),
    registry=REGISTRY,
)

# --- signals
SIGNAL_INPUTS_REFUSED = Counter(
    "signalflow_signal_inputs_refused",
    "Observations of posts that signals did without, because the topic of their inputs does not take the record.",
    registry=REGISTRY,
)
SIGNAL_CHANGES = Counter(
    "signalflow_signal_changes",
    "Records of signals sent: each says that one began, grew or ended.",
    ["kind"],
    registry=REGISTRY,
)
SIGNALS_WRITTEN = Counter("signalflow_signals_written", "Records of signals stored.", registry=REGISTRY)
SIGNAL_SECONDS = Histogram(
    "signalflow_signal_seconds",
    "From the observation that changed a signal to its committed row.",
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 300, 3600),
    registry=REGISTRY,
)

# --- alerts
ALERT_MATCHES = Counter(
    "signalflow_alert_matches",
    "Posts, comments and signals that rules of alerts met; those of a transaction that fails count too.",
    ["kind"],
    registry=REGISTRY,
)
ALERT_RULES_UNREADABLE = Gauge(
    "signalflow_alert_rules_unreadable",
    "Rules of alerts whose query this worker cannot read; they meet nothing.",
    registry=REGISTRY,
)
ALERT_DELIVERIES = Counter(
    "signalflow_alert_deliveries",
    "Tries to deliver an alert, by what became of it: done, later or given_up.",
    ["outcome"],
    registry=REGISTRY,
)
ALERTS_WAITING = Gauge(
    "signalflow_alerts_waiting_seconds",
    "Seconds since the oldest alert that waits was due for its first try; 0 without one.",
    registry=REGISTRY,
)
ALERT_TARGETS_DISABLED = Counter(
    "signalflow_alert_targets_disabled",
    "Targets of alerts that answered for an hour that nobody is there.",
    registry=REGISTRY,
)

# --- the database, as every process asks it
DATABASE_WAIT_SECONDS = Histogram(
    "signalflow_database_wait_seconds",
    "From asking the pool for a connection to having it, or to giving up.",
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 2, 5, 15),
    registry=None,
)
DATABASE_STATEMENT_SECONDS = Histogram(
    "signalflow_database_statement_seconds",
    "Duration of a statement, as its client sees it, by its verb and the first table that it writes or else reads.",
    ["statement"],
    buckets=(0.005, 0.025, 0.1, 0.5, 2, 10),
    registry=None,
)

# --- what the database has: coverage on the leader, the rollup on every worker, with the same number
COVERAGE = Gauge(
    "signalflow_coverage_share",
    "Share of the last 24 h of all polled subreddits that is covered, missing or unknown; none without a subreddit.",
    ["time"],
    registry=REGISTRY,
)
ROLLUP_WAITING = Gauge(
    "signalflow_rollup_waiting_seconds",
    "Seconds since the end of the oldest hour that got rows and is not in the hourly rollup yet; 0 without one.",
    registry=REGISTRY,
)

# --- upkeep: the leader's jobs on the database, and this worker's disk
JOB_RUNS = Counter(
    "signalflow_job_runs", "Runs of the leader's jobs that ended, by outcome.", ["kind", "outcome"], registry=REGISTRY
)
DISK_FREE = Gauge("signalflow_disk_free_bytes", "Room on the disk of this worker's local state.", registry=REGISTRY)

# --- reads of the API
REPLICA_NOT_IN_USE = Gauge(
    "signalflow_replica_not_in_use",
    "1 while reads go to the primary because the replica is away or too far behind; 0 without a replica.",
    registry=API_REGISTRY,
)

CACHE_ANSWERS = Counter(
    "signalflow_cache_answers",
    "Answers asked of the caches: kept ones, those computed, and those that waited for the computation of another.",
    ["outcome"],
    registry=API_REGISTRY,
)

# --- live stream: from the enriched topic to clients
LIVE_CLIENTS = Gauge("signalflow_live_clients", "Clients of the live stream in this process.", registry=API_REGISTRY)
LIVE_ENDED = Counter(
    "signalflow_live_ended", "Live connections that this process ended, by reason.", ["code"], registry=API_REGISTRY
)


class LiveMeters(NamedTuple):
    """What one kind of the live stream counts."""

    records: Counter
    sent: Counter
    coalesced: Counter
    lag: Gauge
    stale: Gauge


LIVE_POSTS = LiveMeters(
    Counter("signalflow_live_records", "Observations read for the live stream.", registry=API_REGISTRY),
    Counter("signalflow_live_posts_sent", "Observations sent, summed over clients.", registry=API_REGISTRY),
    Counter(
        "signalflow_live_posts_coalesced",
        "Observations that a newer one of the post replaced while they waited for a slow client, summed over clients.",
        registry=API_REGISTRY,
    ),
    Gauge(
        "signalflow_live_lag",
        "Enriched records that the live stream of this process has not read yet, when it last asked the brokers.",
        registry=API_REGISTRY,
    ),
    Gauge("signalflow_live_stale", "1 while the live stream cannot read Kafka.", registry=API_REGISTRY),
)
LIVE_COMMENTS = LiveMeters(
    Counter("signalflow_live_comment_records", "Comments read for the live stream.", registry=API_REGISTRY),
    Counter("signalflow_live_comments_sent", "Comments sent, summed over clients.", registry=API_REGISTRY),
    Counter(
        "signalflow_live_comments_coalesced",
        "Comments that a newer observation replaced while they waited for a slow client, summed over clients.",
        registry=API_REGISTRY,
    ),
    Gauge(
        "signalflow_live_comments_lag",
        "Comments that the live stream of this process has not read yet, when it last asked the brokers.",
        registry=API_REGISTRY,
    ),
    Gauge("signalflow_live_comments_stale", "1 while the live stream cannot read comments.", registry=API_REGISTRY),
)
LIVE_SIGNALS = LiveMeters(
    Counter("signalflow_live_signal_records", "Signals read for the live stream.", registry=API_REGISTRY),
    Counter("signalflow_live_signals_sent", "Signals sent, summed over clients.", registry=API_REGISTRY),
    Counter(
        "signalflow_live_signals_coalesced",
        "Signals that a newer state replaced while they waited for a slow client, summed over clients.",
        registry=API_REGISTRY,
    ),
    Gauge(
        "signalflow_live_signals_lag",
        "Signals that the live stream of this process has not read yet, when it last asked the brokers.",
        registry=API_REGISTRY,
    ),
    Gauge("signalflow_live_signals_stale", "1 while the live stream cannot read signals.", registry=API_REGISTRY),
)

# --- the API's answers
HTTP_REQUESTS = Counter(
    "signalflow_http_requests", "Requests to the API, answered.", ["method", "route", "status"], registry=API_REGISTRY
)
HTTP_SECONDS = Histogram(
    "signalflow_http_seconds",
    "From a request to the beginning of its response.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=API_REGISTRY,
)

# --- every process
for each in (REGISTRY, API_REGISTRY):
    ProcessCollector(registry=each)
    each.register(DATABASE_WAIT_SECONDS)
    each.register(DATABASE_STATEMENT_SECONDS)
    Info("signalflow_build", "Versions of this process.", registry=each).info(
        {"version": version("signalflow"), "python": python_version()}
    )

# --- series that exist before their first event
# A series that appears with its first event has no increase then, so an alert would miss that event.
AGENTS = ("enrich", "sink", "comments", "signals", "signal_sink", "dlq")
JOBS = ("partitions", "rollup", "erasure", "trending", "retention", "resolved_letters", "compression")
REDDIT_REQUEST_KINDS = (
    "listing", "gap", "deep", "reappearance", "silence", "refresh", "ranked", "popular", "popular_subreddits",
    "once", "probe", "comments", "once_comments", "comments_gap", "comments_refresh", "first_look", "tree",
    "more_comments", "sweep", "comments_sweep",
)  # fmt: skip
REDDIT_REQUEST_OUTCOMES = (
    "ok", "empty", "refused", "blocked", "rate_limited", "unauthorized", "unavailable", "cancelled", "broken",
)  # fmt: skip
for agent in AGENTS:
    for of_agent in (RECORDS, GIVEN_BACK, COMMIT_RETRIES):
        of_agent.labels(agent=agent)
for job in JOBS:
    for outcome in ("ok", "failed", "stopped"):
        JOB_RUNS.labels(kind=job, outcome=outcome)
for outcome in get_args(Outcome):
    LISTING_GAPS_CLOSED.labels(outcome=outcome)
for kind in get_args(SignalKind):
    SIGNAL_CHANGES.labels(kind=kind)
for kind in ("post", "comment", "signal"):
    ALERT_MATCHES.labels(kind=kind)
for outcome in ("done", "later", "given_up"):
    ALERT_DELIVERIES.labels(outcome=outcome)
for stage in get_args(Stage):
    DEAD_LETTERS.labels(stage=stage)
for outcome in ("new", "known", "refused"):
    DEAD_LETTERS_STORED.labels(outcome=outcome)
for kind in REDDIT_REQUEST_KINDS:
    for outcome in REDDIT_REQUEST_OUTCOMES:
        REDDIT_REQUESTS.labels(kind=kind, outcome=outcome)
for reason in ("kind", "promoted", "not_asked"):
    REDDIT_ITEMS_REJECTED.labels(reason=reason)
for outcome in ("kept", "computed", "joined"):
    CACHE_ANSWERS.labels(outcome=outcome)
for code in ("restart", "slow"):
    LIVE_ENDED.labels(code=code)


def begin_topics(read: Sequence[str], others: Sequence[str]) -> None:
    """Let the counters exist that have a topic: of the topics that agents `read`, and of the `others`."""
    for topic in (*read, *others):
        TOPICS_MADE_ANEW.labels(topic=topic)
    for topic in read:
        EXPIRED_BY_RETENTION.labels(topic=topic)
        for reason in (*Break, "database_behind"):
            REWINDS.labels(topic=topic, reason=reason)
