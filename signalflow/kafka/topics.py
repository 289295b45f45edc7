"""The names of all topics, and their properties."""

from dataclasses import dataclass, field
from typing import Literal

from signalflow.settings import Settings

POST_STATE_TABLE = "post_state"
SUBREDDIT_BASELINE_TABLE = "subreddit_baseline"
TERM_COUNTS_TABLE = "term_counts"

_DAY_MS = 24 * 3600 * 1000
_HOUR_MS = 3600 * 1000
# Kafka's own default for a record batch is 1 MiB; a post's text is at most 40,000 characters (160 kB of UTF-8).
MAX_MESSAGE_BYTES = 1 << 20
# No topic keeps text for longer: what was deleted on Reddit must go from here too.
MOST_TEXT_MS = 7 * _DAY_MS
# A record goes with its segment, when the newest record of the segment is old enough. So it stays this much longer.
TEXT_SEGMENT_MS = _DAY_MS


Role = Literal["source", "changelog", "other"]


@dataclass(frozen=True)
class TopicSpec:
    """A topic as it must be on the brokers.

    Agents read a `source`, and a table is restored from a `changelog`. Topics of these two roles share their partition
    numbers: what concerns one key is in partitions of one number. `has_text`: its records hold what authors wrote.
    """

    name: str
    partitions: int
    replication: int
    config: dict[str, str] = field(default_factory=dict)
    has_text: bool = False
    role: Role = "other"


@dataclass(frozen=True)
class TopicNames:
    """The names of all topics. A prefix lets several installations share one Kafka."""

    posts_raw: str
    comments_raw: str
    posts_enriched: str
    posts_dlq: str
    signal_inputs: str
    term_inputs: str
    signals: str
    post_state_changelog: str
    subreddit_baseline_changelog: str
    term_counts_changelog: str
    leader: str

    @classmethod
    def of(cls, settings: Settings) -> "TopicNames":
        """The names under these settings. Faust chooses the last four."""
        prefix = settings.topic_prefix
        return cls(
            posts_raw=f"{prefix}reddit.posts.raw",
            comments_raw=f"{prefix}reddit.comments.raw",
            posts_enriched=f"{prefix}reddit.posts.enriched",
            posts_dlq=f"{prefix}reddit.posts.dlq",
            signal_inputs=f"{prefix}reddit.signals.inputs",
            term_inputs=f"{prefix}reddit.terms.inputs",
            signals=f"{prefix}reddit.signals",
            post_state_changelog=f"{settings.app_id}-{POST_STATE_TABLE}-changelog",
            subreddit_baseline_changelog=f"{settings.app_id}-{SUBREDDIT_BASELINE_TABLE}-changelog",
            term_counts_changelog=f"{settings.app_id}-{TERM_COUNTS_TABLE}-changelog",
            leader=f"{settings.app_id}-__assignor-__leader",
        )

    @property
    def next_topic(self) -> dict[str, str]:
        """The topics to which dead letters are sent back, each with the topic in which its agent's results appear."""
        return {
            self.posts_raw: self.posts_enriched,
            self.comments_raw: self.posts_dlq,
            self.posts_enriched: self.posts_dlq,
            self.signal_inputs: self.signals,
            self.term_inputs: self.signals,
            self.signals: self.posts_dlq,
        }

    @property
    def outputs(self) -> dict[str, frozenset[str]]:
        """By topic that an agent reads, those that it writes again when it reads again, to partitions of one number.

        Signals are not among them: their agents know which observations they have applied, and skip these.
        """
        return {topic: frozenset({made, self.posts_dlq} - {self.signals}) for topic, made in self.next_topic.items()}

    @property
    def changelogs(self) -> frozenset[str]:
        """The topics from which tables are restored."""
        return frozenset({self.post_state_changelog, self.subreddit_baseline_changelog, self.term_counts_changelog})

    @property
    def consumed(self) -> frozenset[str]:
        """The topics that agents read."""
        return frozenset({*self.next_topic, self.posts_dlq})


def topic_specs(settings: Settings) -> list[TopicSpec]:
    """Every topic of the application.

    Topics that agents read are never compacted: the contiguity guard needs offsets without holes.
    """

    def topic(
        name: str,
        role: Role = "other",
        partitions: int = settings.topic_partitions,
        *,
        has_text: bool = False,
        **config: int | str,
    ) -> TopicSpec:
        merged = {
            "min.insync.replicas": settings.min_insync_replicas,
            "max.message.bytes": MAX_MESSAGE_BYTES,
            "cleanup.policy": "delete",
            "retention.ms": settings.topic_retention_days * _DAY_MS,
            "retention.bytes": -1,
            # The brokers' time: producers' clocks may be wrong, and times in the log are compared.
            "message.timestamp.type": "LogAppendTime",
        } | {key.replace("_", "."): value for key, value in config.items()}
        if has_text:
            merged["segment.ms"] = TEXT_SEGMENT_MS
        return TopicSpec(
            name,
            partitions,
            settings.topic_replication,
            {key: str(value) for key, value in merged.items()},
            has_text,
            role,
        )

    def changelog(name: str) -> TopicSpec:
        return topic(
            name,
            "changelog",
            cleanup_policy="compact",
            retention_ms=-1,
            # Recovery merges what two workers wrote to one key, so compaction must leave both writes for a while.
            min_compaction_lag_ms=_HOUR_MS,
            min_cleanable_dirty_ratio="0.1",
            segment_ms=6 * _HOUR_MS,
        )

    names = TopicNames.of(settings)
    return [
        topic(names.posts_raw, "source", has_text=True),
        topic(names.comments_raw, "source", has_text=True),
        topic(names.posts_enriched, "source", has_text=True),
        # A dead letter holds the whole record that failed and headers that say why; twice the size is always enough.
        topic(
            names.posts_dlq,
            "source",
            has_text=True,
            max_message_bytes=2 * MAX_MESSAGE_BYTES,
            retention_ms=settings.dead_letter_retention_days * _DAY_MS,
        ),
        # Numbers, ids and hashes alone. What deletion must reach is not in these three.
        topic(names.signal_inputs, "source"),
        topic(names.term_inputs, "source"),
        topic(names.signals, "source"),
        changelog(names.post_state_changelog),
        changelog(names.subreddit_baseline_changelog),
        changelog(names.term_counts_changelog),
        # Nothing is ever written to it: the worker that is assigned its one partition is the leader.
        topic(names.leader, partitions=1),
    ]
