"""The result of a comparison."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

MOST_EXAMPLES = 5

Observation = tuple[str, datetime]
"""Id of a post, and when it was observed."""


@dataclass
class Missing:
    """What is missing: posts, rows of the history, comments, and records of dead letters, by partition and offset.

    `without_letter`: records that must be dead letters and of which nothing has one, by topic, partition and offset.
    """

    posts: set[str] = field(default_factory=set)
    observations: set[Observation] = field(default_factory=set)
    comments: set[str] = field(default_factory=set)
    letters: set[tuple[int, int]] = field(default_factory=set)
    without_letter: set[tuple[str, int, int]] = field(default_factory=set)


@dataclass
class TableReport:
    """The comparison of one table, or of the dead letters, with the log.

    `unchecked`: rows that the log that was read cannot judge. Examples name keys and columns, never a post's text.
    """

    expected: int = 0
    found: int = 0
    missing: int = 0
    extra: int = 0
    duplicated: int = 0
    wrong: int = 0
    unchecked: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def differences(self) -> int:
        """The number of wrong, missing, extra and duplicated rows."""
        return self.missing + self.extra + self.duplicated + self.wrong

    def note(self, kind: str, what: str) -> None:
        """Count a difference of a kind: missing, extra, duplicated or wrong."""
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(f"{kind}: {what}")


@dataclass
class Report:
    """The comparison of all tables with the log.

    `records` were read, and the effect of `records_due` of them must be stored. `start`: the log was read from then on.
    `breaks`: what logs are known to have lost. `missing`: all that is missing, for a repair.
    """

    records: int = 0
    records_due: int = 0
    start: datetime | None = None
    posts: TableReport = field(default_factory=TableReport)
    history: TableReport = field(default_factory=TableReport)
    hourly: TableReport = field(default_factory=TableReport)
    ranks: TableReport = field(default_factory=TableReport)
    features: TableReport = field(default_factory=TableReport)
    topic_clusters: TableReport = field(default_factory=TableReport)
    comments: TableReport | None = None
    signals: TableReport | None = None
    signals_by_rule: TableReport | None = None
    bursts_by_rule: TableReport | None = None
    dead_letters: TableReport | None = None
    dlq_events: TableReport | None = None
    dead_letter_states: dict[str, int] = field(default_factory=dict)
    gaps_open: int = 0
    breaks: list[str] = field(default_factory=list)
    missing: Missing = field(default_factory=Missing)

    @property
    def tables(self) -> Mapping[str, TableReport]:
        """The reports of the tables that were compared, by table."""
        every = {
            "posts": self.posts,
            "post_metrics_history": self.history,
            "post_metrics_hourly": self.hourly,
            "post_ranks": self.ranks,
            "post_nlp_features": self.features,
            "topic_clusters": self.topic_clusters,
            "comments": self.comments,
            "signals": self.signals,
            "signals_by_rule": self.signals_by_rule,
            "bursts_by_rule": self.bursts_by_rule,
            "dead_letters": self.dead_letters,
            "dlq_events": self.dlq_events,
        }
        return {name: table for name, table in every.items() if table is not None}

    @property
    def differences(self) -> int:
        """The number of wrong, missing, extra and duplicated rows in all tables."""
        return sum(table.differences for table in self.tables.values())

    @property
    def clean(self) -> bool:
        """Whether nothing is lost, nothing doubled, nothing wrong.

        Dead letters and gaps are no difference: they are recorded.
        """
        return self.differences == 0

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "clean": self.clean,
            "records": self.records,
            "records_due": self.records_due,
            "start": self.start.isoformat() if self.start else None,
            "tables": {name: asdict(table) for name, table in self.tables.items()},
            "dead_letter_states": self.dead_letter_states,
            "gaps_open": self.gaps_open,
            "breaks": self.breaks,
        }
