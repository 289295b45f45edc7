"""Short names of SQL statements for metrics: there are few of them, and none has a value in it. Pure."""

import re
from functools import lru_cache

# Every table of the schema (tests/integration/test_statement_names.py).
TABLES = frozenset({
    "alert_attempts", "alert_deliveries", "alert_matches", "alert_rule_targets", "alert_rules", "alert_rules_version",
    "alert_targets",
    "api_keys", "audit_log", "comment_erasures", "comment_runs", "comment_sweep", "comments", "deletion_sweep",
    "dlq_events", "dlq_replays",
    "erased_authors", "erasures", "ingest_runs", "listing_gaps", "log_breaks", "polling_lease", "popular_subreddits",
    "post_metrics_history", "post_metrics_hourly", "post_nlp_features", "post_ranks", "post_words", "posts",
    "published_positions", "refresh_tokens", "rising_posts", "rollup_touched", "runs", "schema_info", "sessions",
    "sign_in_links", "signals", "stored_positions", "subreddit_config", "topic_clusters", "topic_clusters_version",
    "topic_departures", "topics_read", "users", "workers",
})  # fmt: skip
# The end of a transaction is where the server waits for its disk.
_WHOLE = {"COMMIT": "commit", "ROLLBACK": "rollback"}
OTHER = "other"
_WRITES = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)")
_READS = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)|,\s+(\w+)\s+AS\s")


@lru_cache(1_000)
def name_of(sql: str) -> str:
    """The verb and the first table that is written, or else read, such as `insert posts`; `other` without one."""
    whole = _WHOLE.get(sql.strip().rstrip(";"))
    if whole:
        return whole
    for verb, table in _WRITES.findall(sql):
        if table in TABLES:
            return f"{verb.split()[0].lower()} {table}"
    return next((f"select {table}" for found in _READS.findall(sql) for table in found if table in TABLES), OTHER)
