"""How topics on the brokers differ from what they must be."""

from dataclasses import replace
from uuid import UUID

import pytest

from signalflow.errors import Fatal
from signalflow.kafka.topic_check import Difference, check_partitions, differences
from signalflow.kafka.topic_ids import FoundTopic
from signalflow.kafka.topics import TopicNames, TopicSpec, topic_specs
from signalflow.settings import Settings

THREE_COPIES = Settings(topic_partitions=12, topic_replication=3)
SPECS = topic_specs(THREE_COPIES)
AS_SPECIFIED = {spec.name: FoundTopic(UUID(int=1), spec.partitions, spec.replication) for spec in SPECS}
CONFIGS = {spec.name: dict(spec.config) for spec in SPECS}
RAW = SPECS[0]
LEADER = SPECS[-1]
DAY_MS = 86_400_000


def with_config(spec: TopicSpec, **changed: str) -> list[Difference]:
    """The differences when one topic has other properties than specified."""
    other = {name.replace("_", "."): value for name, value in changed.items()}
    return differences(SPECS, AS_SPECIFIED, CONFIGS | {spec.name: CONFIGS[spec.name] | other}, 12)


def test_topics_as_specified_do_not_differ() -> None:
    assert differences(SPECS, AS_SPECIFIED, CONFIGS, 12) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retention_ms", str(6 * DAY_MS)),
        ("max_message_bytes", "99999999"),
        ("min_insync_replicas", "3"),
    ],
)
def test_more_than_specified_is_no_difference(name: str, value: str) -> None:
    assert with_config(RAW, **{name: value}) == []


@pytest.mark.parametrize(
    ("name", "value"), [("retention_ms", "1000"), ("retention_bytes", "1000"), ("min_insync_replicas", "1")]
)
def test_less_than_specified_is_a_difference_that_breaks_no_promise(name: str, value: str) -> None:
    (difference,) = with_config(RAW, **{name: value})
    assert (difference.property, difference.found) == (name.replace("_", "."), value)
    assert (difference.change, difference.breaks) == ("set", "")


@pytest.mark.parametrize("value", ["-1", "999999999999", str(6 * DAY_MS + 1)])
def test_a_topic_that_keeps_text_for_too_long_differs(value: str) -> None:
    (difference,) = with_config(RAW, retention_ms=value)
    assert (difference.property, difference.wanted, difference.breaks) == ("retention.ms", str(3 * DAY_MS), "")
    assert with_config(LEADER, retention_ms=value) == [], "it has no text"


@pytest.mark.parametrize("days", [1, 6])
def test_every_record_with_text_is_gone_after_seven_days(days: int) -> None:
    """A record goes with its segment: the newest record of the segment must be old enough."""
    specs = topic_specs(Settings(topic_retention_days=days, dead_letter_retention_days=days))
    texts = [spec for spec in specs if spec.has_text]
    names = TopicNames.of(THREE_COPIES)
    assert {spec.name for spec in texts} >= {names.posts_raw, names.comments_raw, names.posts_enriched, names.posts_dlq}
    for spec in texts:
        kept = int(spec.config["retention.ms"]) + int(spec.config["segment.ms"])
        assert (spec.config["cleanup.policy"], kept) == ("delete", (days + 1) * DAY_MS)
        assert kept <= 7 * DAY_MS


def test_a_topic_is_never_set_to_more_in_sync_replicas_than_it_has_copies() -> None:
    one_copy = AS_SPECIFIED | {RAW.name: replace(AS_SPECIFIED[RAW.name], copies=1)}
    found = differences(SPECS, one_copy, CONFIGS, 12)
    assert [(difference.property, difference.wanted, difference.change) for difference in found] == [
        ("copies", "3", "by hand"),
        ("min.insync.replicas", "1", "set"),
    ]
    assert found[1].breaks, "no record could be written"


@pytest.mark.parametrize("name", ["cleanup_policy", "message_timestamp_type", "max_message_bytes"])
def test_what_nobody_reads_breaks_no_promise(name: str) -> None:
    value = {"cleanup_policy": "compact", "message_timestamp_type": "CreateTime", "max_message_bytes": "1"}[name]
    assert [difference.breaks for difference in with_config(LEADER, **{name: value})] == [""]
    assert all(difference.breaks for difference in with_config(RAW, **{name: value}))


def test_the_topic_with_most_partitions_decides_for_those_that_share_their_numbers() -> None:
    grown = AS_SPECIFIED | {RAW.name: replace(AS_SPECIFIED[RAW.name], partitions=16)}
    check_partitions(SPECS, grown, 12)
    found = differences(SPECS, grown, CONFIGS, 12)
    assert {(difference.topic, difference.wanted) for difference in found} == {
        (spec.name, "16") for spec in SPECS if spec.role != "other" and spec is not RAW
    }
    assert {difference.change for difference in found} == {"add partitions"}


def test_fewer_partitions_than_the_setting_are_refused_with_both_remedies() -> None:
    fewer = {name: replace(topic, partitions=min(topic.partitions, 4)) for name, topic in AS_SPECIFIED.items()}
    with pytest.raises(Fatal, match=r"SIGNALFLOW_TOPIC_PARTITIONS=4.*signalflow topics apply"):
        check_partitions(SPECS, fewer, 12)
    check_partitions(SPECS, fewer, 4)
    check_partitions(SPECS, {}, 12)
