"""docker/prometheus/rules.yml: each alert fires under its fault, and not without it, as Prometheus's own tool says."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.prometheus import program, series_of
from tests.unit.docker.compose import DOCKER, ROOT
from tests.unit.docker.monitoring import OF_EXPORTERS, OF_PROMETHEUS, RULES, alerts, anchors, declared, panels

ALERTS = {alert.name: alert for alert in alerts()}
OPERATIONS = ROOT / "docs" / "operations.md"
each_alert = pytest.mark.parametrize("name", ALERTS)

# A sample a minute. Everything is well for 80 minutes, then the fault lasts for 80 minutes.
BEFORE, AFTER = 80, 80


def steady(value: float) -> tuple[str, str]:
    """A gauge that stays as it is."""
    return f"{value}+0x{BEFORE - 1}", f"{value}+0x{AFTER}"


def rising(step: float) -> tuple[str, str]:
    """A counter that rises at each sample."""
    return f"0+{step}x{BEFORE - 1}", f"{BEFORE * step}+{step}x{AFTER}"


# An installation that is well, with two workers and two API processes: what each series is before, and later.
HEALTHY: dict[str, tuple[str, str]] = {
    'up{job="worker", instance="w1"}': steady(1),
    'up{job="worker", instance="w2"}': steady(1),
    'up{job="api", instance="a1"}': steady(1),
    'up{job="api", instance="a2"}': steady(1),
    'signalflow_http_requests_total{route="/posts/", status="200"}': rising(100),
    'signalflow_http_requests_total{route="/posts/", status="503"}': steady(0),
    'signalflow_live_stale{instance="a1"}': steady(0),
    'signalflow_live_comments_stale{instance="a1"}': steady(0),
    'signalflow_disk_free_bytes{instance="w1"}': steady(5e10),
    'signalflow_is_poller{instance="w1"}': steady(1),
    'signalflow_is_poller{instance="w2"}': steady(0),
    "signalflow_posts_discovered_total": rising(5),
    'signalflow_reddit_requests_last_minute{instance="w1"}': steady(30),
    'signalflow_reddit_requests_per_minute_allowed{instance="w1"}': steady(60),
    'signalflow_reddit_requests_total{kind="listing", outcome="ok"}': rising(10),
    'signalflow_reddit_requests_total{kind="listing", outcome="rate_limited"}': steady(0),
    'signalflow_listing_gaps_closed_total{outcome="proven"}': rising(1),
    'signalflow_listing_gaps_closed_total{outcome="given_up"}': steady(0),
    'signalflow_listing_gaps_closed_total{outcome="unreachable"}': steady(2),
    'signalflow_coverage_share{time="covered", instance="w1"}': steady(0.8),
    'signalflow_coverage_share{time="missing", instance="w1"}': steady(0.007),
    'signalflow_coverage_share{time="unknown", instance="w1"}': steady(0.193),
    'signalflow_discovery_seconds_bucket{le="10"}': rising(9),
    'signalflow_discovery_seconds_bucket{le="60"}': rising(10),
    'signalflow_discovery_seconds_bucket{le="300"}': rising(10),
    'signalflow_discovery_seconds_bucket{le="+Inf"}': rising(10),
    'signalflow_consumer_lag{topic="raw", instance="w1"}': steady(40),
    'signalflow_consumer_lag{topic="raw", instance="w2"}': steady(2000),
    'signalflow_oldest_unprocessed_seconds{topic="raw", instance="w1"}': steady(2),
    'signalflow_partitions_unread{topic="raw", instance="w1"}': steady(0),
    'signalflow_partitions_standing_still{topic="raw", instance="w1"}': steady(0),
    'signalflow_dead_letters_total{stage="decode"}': steady(3),
    'signalflow_dead_letter_limit_used{topic="raw"}': steady(0.1),
    'signalflow_dead_letters_stored_total{outcome="new"}': rising(1),
    'signalflow_dead_letters_stored_total{outcome="refused"}': steady(0),
    'signalflow_records_expired_unprocessed_total{topic="raw"}': steady(0),
    'signalflow_rewinds_total{topic="raw", reason="log_cut"}': steady(0),
    'signalflow_commits_beyond_end{topic="raw"}': steady(0),
    'signalflow_topics_made_anew_total{topic="raw"}': steady(0),
    'kafka_topic_partition_under_replicated_partition{topic="raw", partition="0"}': steady(0),
    'signalflow_commit_retries_total{agent="sink"}': steady(0),
    'signalflow_commit_retries_total{agent="enrich"}': rising(1),
    'signalflow_visible_seconds_bucket{le="1"}': rising(99.5),
    'signalflow_visible_seconds_bucket{le="60"}': rising(100),
    'signalflow_visible_seconds_bucket{le="+Inf"}': rising(100),
    'signalflow_replica_not_in_use{instance="a1"}': steady(0),
    'signalflow_replica_not_in_use{instance="a2"}': steady(0),
    'pg_stat_replication_pg_wal_lsn_diff{application_name="standby"}': steady(1e6),
    'pg_replication_slot_slot_is_active{slot_name="standby"}': steady(1),
    'signalflow_rollup_waiting_seconds{instance="w1"}': steady(60),
    'signalflow_rollup_waiting_seconds{instance="w2"}': steady(0),
    'signalflow_job_runs_total{kind="rollup", outcome="ok"}': rising(1),
    'signalflow_job_runs_total{kind="rollup", outcome="failed"}': rising(0.01),
    'signalflow_job_runs_total{kind="retention", outcome="ok"}': rising(1 / 60),
    'signalflow_job_runs_total{kind="retention", outcome="failed"}': steady(0),
    'signalflow_alerts_waiting_seconds{instance="w1"}': steady(30),
    'signalflow_alert_deliveries_total{outcome="done"}': rising(1),
    'signalflow_alert_deliveries_total{outcome="given_up"}': steady(0),
    "signalflow_alert_targets_disabled_total": steady(0),
    'signalflow_alert_rules_unreadable{instance="w1"}': steady(0),
}


def becomes(value: float, step: float = 0) -> str:
    return f"{value}+{step}x{AFTER}"


@dataclass(frozen=True)
class Fault:
    """What some series become. `also`: other alerts that must fire with it."""

    series: dict[str, str]
    also: frozenset[str] = field(default_factory=frozenset)


def stands_still(series: str, step: float) -> dict[str, str]:
    """A counter that rose by this at each sample rises no more."""
    return {series: becomes(BEFORE * step)}


FAULTS: dict[str, Fault] = {
    "WorkerDown": Fault({'up{job="worker", instance="w2"}': becomes(0)}),
    "NoWorker": Fault(
        {'up{job="worker", instance="w1"}': becomes(0), 'up{job="worker", instance="w2"}': becomes(0)},
        frozenset({"WorkerDown"}),
    ),
    "ApiDown": Fault({'up{job="api", instance="a1"}': becomes(0)}),
    "ApiFails": Fault({'signalflow_http_requests_total{route="/posts/", status="503"}': becomes(0, 10)}),
    "LiveStreamStale": Fault({'signalflow_live_comments_stale{instance="a1"}': becomes(1)}),
    "DiskAlmostFull": Fault({'signalflow_disk_free_bytes{instance="w1"}': becomes(2.1e9)}),
    "NobodyPolls": Fault({'signalflow_is_poller{instance="w1"}': becomes(0)}),
    "TwoPoll": Fault({'signalflow_is_poller{instance="w2"}': becomes(1)}),
    "RedditAnswersNothing": Fault(
        {'signalflow_reddit_unanswered_since_seconds{reason="status_403", instance="w1"}': becomes(BEFORE * 60)}
    ),
    "NoNewPosts": Fault(stands_still("signalflow_posts_discovered_total", 5)),
    "BudgetUsedUp": Fault({'signalflow_reddit_requests_last_minute{instance="w1"}': becomes(58)}),
    "RedditLimitsUs": Fault({'signalflow_reddit_requests_total{kind="listing", outcome="rate_limited"}': becomes(1)}),
    "PostsMayBeMissing": Fault({'signalflow_listing_gaps_closed_total{outcome="unreachable"}': becomes(3)}),
    "PostsFoundLate": Fault(
        stands_still('signalflow_discovery_seconds_bucket{le="10"}', 9)
        | stands_still('signalflow_discovery_seconds_bucket{le="60"}', 10)
    ),
    "CoverageLow": Fault({'signalflow_coverage_share{time="missing", instance="w1"}': becomes(0.009)}),
    "LagGrows": Fault({'signalflow_consumer_lag{topic="raw", instance="w1"}': becomes(40, 20)}),
    "CommitsAreOld": Fault({'signalflow_oldest_unprocessed_seconds{topic="raw", instance="w1"}': becomes(2, 30)}),
    "PartitionsUnread": Fault({'signalflow_partitions_unread{topic="raw", instance="w1"}': becomes(4)}),
    "PartitionsStandStill": Fault({'signalflow_partitions_standing_still{topic="raw", instance="w1"}': becomes(1)}),
    "DeadLetters": Fault({'signalflow_dead_letters_total{stage="decode"}': becomes(4)}),
    "DeadLetterLimitNear": Fault({'signalflow_dead_letter_limit_used{topic="raw"}': becomes(0.6)}),
    "DeadLetterRefused": Fault({'signalflow_dead_letters_stored_total{outcome="refused"}': becomes(1)}),
    "RecordsExpired": Fault({'signalflow_records_expired_unprocessed_total{topic="raw"}': becomes(900)}),
    "LogCameBackShorter": Fault({'signalflow_rewinds_total{topic="raw", reason="log_cut"}': becomes(1)}),
    "CommitsBeyondEnd": Fault({'signalflow_commits_beyond_end{topic="raw"}': becomes(12)}),
    "TopicMadeAnew": Fault({'signalflow_topics_made_anew_total{topic="raw"}': becomes(1)}),
    "BrokerLost": Fault(
        {'kafka_topic_partition_under_replicated_partition{topic="raw", partition="0"}': becomes(1)}
    ),
    "DatabaseFails": Fault({'signalflow_commit_retries_total{agent="sink"}': becomes(0, 30)}),
    "RowsComeLate": Fault(stands_still('signalflow_visible_seconds_bucket{le="1"}', 99.5)),
    "ReplicaNotInUse": Fault({'signalflow_replica_not_in_use{instance="a2"}': becomes(1)}),
    "ReplicationLag": Fault({'pg_stat_replication_pg_wal_lsn_diff{application_name="standby"}': becomes(2e9)}),
    "StandbyAway": Fault({'pg_replication_slot_slot_is_active{slot_name="standby"}': becomes(0)}),
    "RollupStale": Fault({'signalflow_rollup_waiting_seconds{instance="w1"}': becomes(60, 60)}),
    "RollupStops": Fault(stands_still('signalflow_job_runs_total{kind="rollup", outcome="ok"}', 1),
                         frozenset({"JobFails"})),
    "JobFails": Fault(
        stands_still('signalflow_job_runs_total{kind="retention", outcome="ok"}', 1 / 60)
        | {'signalflow_job_runs_total{kind="retention", outcome="failed"}': becomes(0, 1 / 60)}
    ),
    "AlertsWait": Fault({'signalflow_alerts_waiting_seconds{instance="w1"}': becomes(30, 60)}),
    "AlertsGivenUp": Fault({'signalflow_alert_deliveries_total{outcome="given_up"}': becomes(1)}),
    "AlertTargetDisabled": Fault({"signalflow_alert_targets_disabled_total": becomes(1)}),
    "AlertRulesUnreadable": Fault({'signalflow_alert_rules_unreadable{instance="w1"}': becomes(2)}),
}  # fmt: skip


def told(labels: Mapping[str, str], minutes: int, *conditions: str) -> dict[str, object]:
    """What promtool must find of the alerts that fired in the last so many minutes of the test."""
    alert = ", ".join(['alertstate="firing"', *conditions])
    return {
        "expr": f"group by (alertname) (count_over_time(ALERTS{{{alert}}}[{minutes}m]))",
        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in labels],
    }


@pytest.fixture(scope="session")
def promtool() -> str:
    return program("promtool")


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_rules_and_configuration_are_what_prometheus_understands(promtool: str) -> None:
    run(promtool, "check", "rules", RULES)
    # Alone the syntax, because the files with the passwords are not here.
    run(promtool, "check", "config", "--syntax-only", DOCKER / "prometheus" / "prometheus.yml")


def test_every_alert_has_a_fault() -> None:
    assert list(FAULTS) == list(ALERTS)
    assert len(ALERTS) == len(alerts())


@each_alert
def test_an_alert_fires_under_its_fault_and_not_before(name: str, promtool: str, tmp_path: Path) -> None:
    fault = FAULTS[name]
    firing = {name, *fault.also}
    named = re.findall(r"\$labels\.(\w+)", ALERTS[name].annotations["summary"])
    healthy = {series: " ".join(values) for series, values in HEALTHY.items()}
    faulty = {
        series: f"{HEALTHY[series][0] if series in HEALTHY else f'_x{BEFORE}'} {later}"
        for series, later in fault.series.items()
    }
    end = f"{BEFORE + AFTER}m"
    expected = [
        told({}, BEFORE) | {"eval_time": f"{BEFORE - 1}m"},
        told(dict.fromkeys(sorted(firing), ""), AFTER) | {"eval_time": end},
        # Its sentence names labels that the alert has.
        told({name: ""}, AFTER, f'alertname="{name}"', *(f'{label}!=""' for label in named)) | {"eval_time": end},
    ]
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": each, "values": values} for each, values in (healthy | faulty).items()],
                "promql_expr_test": expected,
            }
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(test))
    run(promtool, "test", "rules", path)


@each_alert
def test_an_alert_is_a_sentence_and_names_a_runbook_that_tells_of_it(name: str) -> None:
    alert = ALERTS[name]
    assert alert.labels.keys() == {"severity"}
    assert alert.labels["severity"] in {"page", "ticket"}
    assert alert.annotations.keys() == {"summary", "runbook"}
    assert re.fullmatch(r"(\{\{|[A-Z]).*\.", alert.annotations["summary"])
    assert not re.search(r"signalflow_|pg_|kafka_", alert.annotations["summary"])
    path, _, anchor = alert.annotations["runbook"].partition("#")
    assert ROOT / path == OPERATIONS
    assert anchor in anchors(OPERATIONS)
    heading = anchor.replace("-", " ").capitalize()
    (section,) = re.findall(rf"^### {heading}\n(.*?)^#", OPERATIONS.read_text(), flags=re.MULTILINE | re.DOTALL | re.I)
    assert f"`{name}`" in section


def test_rules_and_panels_name_series_that_exist() -> None:
    expressions = [alert.expression for alert in alerts()] + [query for panel in panels() for query in panel.queries]
    named = {series.partition("{")[0] for expression in expressions for series in series_of(expression)}
    assert named - declared() - OF_PROMETHEUS == OF_EXPORTERS


@pytest.mark.parametrize(
    ("expression", "series"),
    [
        ("sum by (topic) (rate(a_total{x=~\"1|2\"}[5m])) / 2 > 0.5", {'a_total{x=~"1|2"}'}),
        ("a == 1 or on (b) c unless d offset 5m", {"a", "c", "d"}),
        ("absent(up{job=\"worker\"} == 1)", {'up{job="worker"}'}),
        ("histogram_quantile(0.5, sum by (le) (rate(a_bucket[15m]))) > 2 * 2^30", {"a_bucket"}),
        ("time() - min by (reason) (a_seconds) > 1e3", {"a_seconds"}),
    ],
)  # fmt: skip
def test_the_series_of_an_expression_are_found(expression: str, series: set[str]) -> None:
    assert series_of(expression) == series
