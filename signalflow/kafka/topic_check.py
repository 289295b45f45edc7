"""How the topics on the brokers differ from what they must be, what to change, and what a worker refuses. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from signalflow.errors import Fatal
from signalflow.kafka.topic_ids import FoundTopic
from signalflow.kafka.topics import MOST_TEXT_MS, TEXT_SEGMENT_MS, TopicSpec

_IN_SYNC = "min.insync.replicas"
# A larger value than ours keeps every promise, and so it is no difference. -1 is no limit.
_AT_LEAST = frozenset({"retention.ms", "retention.bytes", "max.message.bytes", _IN_SYNC, "min.compaction.lag.ms"})
_AT_MOST = frozenset({"min.cleanable.dirty.ratio", "segment.ms"})
_NO_LIMIT = -1.0

Change = Literal["create", "add partitions", "set", "by hand"]


@dataclass(frozen=True)
class Difference:
    """One property of a topic that is not as it must be.

    `found` is None when the topic does not exist. `change` is what `signalflow topics apply` does about it, or "by
    hand" when it can do nothing. `breaks` says which promise the difference breaks; it is empty when none.
    """

    topic: str
    property: str
    wanted: str
    found: str | None
    change: Change
    breaks: str = ""

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.topic} does not exist"
        return f"{self.topic}: {self.property} is {self.found}, must be {self.wanted}"


def shared_partitions(specs: Iterable[TopicSpec], found: Mapping[str, FoundTopic], setting: int) -> int:
    """How many partitions the topics must have that share their partition numbers.

    That is the setting, or more when somebody added partitions to one of the topics. A key then has the same partition
    in all of them.
    """
    counts = [found[spec.name].partitions for spec in specs if spec.role != "other" and spec.name in found]
    return max([setting, *counts])


def check_partitions(specs: Iterable[TopicSpec], found: Mapping[str, FoundTopic], setting: int) -> None:
    """Raises Fatal when the topics have fewer partitions than the setting says.

    More partitions send keys to other partitions, so nobody adds them because of a setting alone.
    """
    existing = {spec.name: found[spec.name].partitions for spec in specs if spec.role != "other" and spec.name in found}
    if existing and max(existing.values()) < setting:
        name, count = max(existing.items(), key=lambda item: item[1])
        raise Fatal(
            f"topic {name} has {count} partitions, the settings say {setting}: set SIGNALFLOW_TOPIC_PARTITIONS={count}"
            f", or add partitions with `signalflow topics apply`"
        )


def differences(
    specs: Sequence[TopicSpec],
    found: Mapping[str, FoundTopic],
    configs: Mapping[str, Mapping[str, str]],
    setting: int,
) -> list[Difference]:
    """Every difference between the topics as they must be and as the brokers have them.

    `configs` has the properties of each topic whose properties the brokers tell. `setting` is the number of partitions
    in the settings.
    """
    partitions = shared_partitions(specs, found, setting)
    result: list[Difference] = []
    for spec in specs:
        topic = found.get(spec.name)
        if topic is None:
            result.append(Difference(spec.name, "topic", "exists", None, "create"))
            continue
        result += _of_layout(spec, topic, spec.partitions if spec.role == "other" else partitions)
        config = configs.get(spec.name)
        if config is not None:
            result += _of_config(spec, topic, config)
    return result


def _of_layout(spec: TopicSpec, topic: FoundTopic, partitions: int) -> Iterable[Difference]:
    if topic.partitions < partitions:
        breaks = "what concerns one key would be in partitions of different numbers" if spec.role != "other" else ""
        yield Difference(spec.name, "partitions", str(partitions), str(topic.partitions), "add partitions", breaks)
    if topic.copies < spec.replication:
        yield Difference(spec.name, "copies", str(spec.replication), str(topic.copies), "by hand")


def _of_config(spec: TopicSpec, topic: FoundTopic, config: Mapping[str, str]) -> Iterable[Difference]:
    for name, wanted in _wanted_config(spec, topic).items():
        value = config.get(name)
        if value is not None and not (_fits(name, wanted, value) and _forgets(spec, name, value)):
            yield Difference(spec.name, name, wanted, value, "set", _broken_promise(spec, name, value))
        elif name == _IN_SYNC and value is not None and int(value) > topic.copies:
            yield Difference(spec.name, name, wanted, value, "set", "it has fewer copies: no record can be written")


def _wanted_config(spec: TopicSpec, topic: FoundTopic) -> dict[str, str]:
    """The properties as they must be on a topic with so many copies."""
    return spec.config | {_IN_SYNC: str(min(int(spec.config.get(_IN_SYNC, 1)), topic.copies))}


def _fits(name: str, wanted: str, value: str) -> bool:
    if name in _AT_LEAST:
        return _size(value) >= _size(wanted)
    if name in _AT_MOST:
        return float(value) <= float(wanted)
    return _as_set(value) == _as_set(wanted)


def _forgets(spec: TopicSpec, name: str, value: str) -> bool:
    """Whether a topic with text loses it in time."""
    return not (spec.has_text and name == "retention.ms") or _size(value) <= MOST_TEXT_MS - TEXT_SEGMENT_MS


def _size(value: str) -> float:
    return float("inf") if float(value) == _NO_LIMIT else float(value)


def _as_set(value: str) -> set[str]:
    """The parts of a list such as `compact,delete`, in which order and spaces mean nothing."""
    return {part.strip() for part in value.split(",")}


def _broken_promise(spec: TopicSpec, name: str, value: str) -> str:
    if spec.role == "other":
        return ""
    if name == "cleanup.policy":
        if spec.role == "source":
            return "compaction removes records before an agent has read them" if "compact" in _as_set(value) else ""
        return "states that are needed are deleted, and cannot be restored"
    if name == "message.timestamp.type":
        return "the times in the log would come from producers, whose clocks may be wrong"
    if name == "max.message.bytes":
        return "records of the size that we allow would be refused"
    return ""
