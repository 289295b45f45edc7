"""What docker/ has for Prometheus and Grafana, and the series that may stand there."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from signalflow.metrics import API_REGISTRY, REGISTRY
from tests.unit.docker.compose import DOCKER

RULES = DOCKER / "prometheus" / "rules.yml"
DASHBOARDS = sorted((DOCKER / "grafana" / "dashboards").glob("*.json"))

# What the exporters of the compose file give, by the source of their versions: kafka_exporter 1.9.0 and
# postgres_exporter 0.17.1.
OF_EXPORTERS = frozenset({
    "kafka_brokers", "kafka_topic_partition_current_offset", "kafka_topic_partition_under_replicated_partition",
    "pg_database_size_bytes", "pg_replication_slot_slot_is_active", "pg_stat_activity_count",
    "pg_stat_database_blks_hit", "pg_stat_database_blks_read", "pg_stat_database_xact_commit",
    "pg_stat_database_xact_rollback", "pg_stat_replication_pg_wal_lsn_diff", "pg_stat_user_tables_n_dead_tup",
    "pg_stat_user_tables_n_live_tup", "pg_up",
})  # fmt: skip
# What Prometheus itself makes.
OF_PROMETHEUS = frozenset({"up", "ALERTS"})


@dataclass(frozen=True)
class Alert:
    """An alert rule; `annotations` are templates."""

    name: str
    expression: str
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass(frozen=True)
class Panel:
    """A panel of a dashboard, with its queries."""

    dashboard: str
    title: str
    description: str
    queries: tuple[str, ...]


def alerts() -> list[Alert]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [
        Alert(rule["alert"], rule["expr"], rule["labels"], rule["annotations"])
        for group in groups
        for rule in group["rules"]
    ]


def dashboards() -> dict[str, dict[str, Any]]:
    """Each dashboard by the name of its file."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS}


def panels() -> list[Panel]:
    return [
        Panel(name, panel["title"], panel["description"], tuple(target["expr"] for target in panel["targets"]))
        for name, dashboard in dashboards().items()
        for panel in dashboard["panels"]
    ]


def declared() -> frozenset[str]:
    """The names of the series that workers and API processes give."""
    suffixes = {"counter": ["_total"], "info": ["_info"], "histogram": ["_bucket", "_count", "_sum"]}
    return frozenset(
        family.name + suffix
        for registry in (REGISTRY, API_REGISTRY)
        for family in registry.collect()
        for suffix in suffixes.get(family.type, [""])
    )


def anchors(document: Path) -> set[str]:
    """The anchors of the headings of a document, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
