"""An assignor for topics that share their partition numbers while they have different numbers of partitions.

Verified with faust-streaming 0.15.3. Faust groups topics by their number of partitions. When one topic gets partitions
before the others, it is assigned apart from them: a worker then gets raw records of a partition whose table another
worker has, and every worker ends with an AssertionError. Here all topics of the application count as having as many
partitions as the one with fewest. The partitions above that are assigned when all topics have them, for which each
worker cares (signalflow/streams/topic_watch.py).
"""

from collections.abc import Mapping
from typing import Any

from faust.assignor.partition_assignor import PartitionAssignor

from signalflow.kafka.topics import topic_specs


class _SharedCounts:
    """A cluster's metadata, with one number of partitions for all topics that share their partition numbers."""

    def __init__(self, cluster: Any, shared: frozenset[str], subscribed: set[str]) -> None:
        self._cluster, self._shared = cluster, shared
        counts = [len(cluster.partitions_for_topic(topic) or ()) for topic in shared & subscribed]
        # A topic that is missing is made again; meanwhile the others are read.
        self._fewest = min((count for count in counts if count), default=0)

    def partitions_for_topic(self, topic: str) -> set[int]:
        """The partitions of a topic that may be assigned."""
        partitions = set(self._cluster.partitions_for_topic(topic) or ())
        return set(range(min(len(partitions), self._fewest))) if topic in self._shared else partitions


class SharedCountAssignor(PartitionAssignor):
    """Assigns topics that share their partition numbers together."""

    def _perform_assignment(self, cluster: Any, member_metadata: Mapping[str, Any]) -> Any:
        shared = frozenset(spec.name for spec in topic_specs(self.app.settings) if spec.role != "other")
        subscribed = {topic for metadata in member_metadata.values() for topic in metadata.subscription}
        self._counts = _SharedCounts(cluster, shared, subscribed)
        return super()._perform_assignment(self._counts, member_metadata)

    def _get_client_metadata(self, metadata: Any) -> Any:
        """What a member was assigned before, without partitions that its topics no longer have."""
        client = super()._get_client_metadata(metadata)
        assignment = client.assignment
        for topic, partitions in assignment.actives.items():
            exist = self._counts.partitions_for_topic(topic)
            assignment.actives[topic] = [partition for partition in partitions if partition in exist]
        return client
