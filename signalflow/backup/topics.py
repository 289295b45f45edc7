"""What the topics of a Kafka hold beyond a backup."""

from dataclasses import dataclass

from signalflow.backup.archive import Manifest, Topic
from signalflow.kafka.reader import Offsets, open_reader
from signalflow.kafka.topic_ids import topic_ids
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings


@dataclass(frozen=True, slots=True)
class Beyond:
    """A topic beside a backup that was filled from it.

    `same`: the topic is the one of the backup, not another of that name, and not gone. `after`: how many records of it
    are not in the backup; `gone`: how many more it no longer has, because their retention has ended.
    """

    topic: str
    stored: int
    same: bool
    after: int = 0
    gone: int = 0


async def beyond(settings: Settings, manifest: Manifest) -> list[Beyond]:
    """What the topics of this Kafka hold beyond the backup. Raises Retryable when Kafka is away.

    A topic that has no name in the backup and is not in this Kafka is a former one, and is left out.
    """
    ids = await topic_ids(settings, TopicNames.of(settings).consumed)
    names = {id: name for name, id in ids.items()}
    found = []
    for topic in manifest.topics:
        name = names.get(topic.id)
        if name is not None:
            async with open_reader(settings, name) as reader:
                found.append(compare(name, topic, await reader.begins(), await reader.ends()))
        elif topic.name is not None:
            found.append(Beyond(topic.name, sum(topic.positions.values()), same=False))
    return found


def compare(name: str, topic: Topic, begins: Offsets, ends: Offsets) -> Beyond:
    """What partitions from `begins` to below `ends` hold beyond the positions of a backup."""
    after = gone = 0
    for partition, end in ends.items():
        position = topic.positions.get(partition, 0)
        after += max(0, end - max(position, begins[partition]))
        gone += max(0, begins[partition] - position)
    return Beyond(name, sum(topic.positions.values()), same=True, after=after, gone=gone)
