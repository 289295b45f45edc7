"""What a consumer remembers of the records that it delivered: the positions of its partitions, and what is stale."""

from collections.abc import Mapping
from uuid import UUID
from weakref import WeakKeyDictionary

from faust.types import TP

from signalflow.domain.positions import Position
from signalflow.streams.faust_types import RunMessage


class Consumed:
    """The positions that a consumer may commit."""

    def __init__(self) -> None:
        # By topic: the id that it had when its partitions were looked at last.
        self._topic_ids: dict[str, UUID] = {}
        # By partition: the id of the topic that was read. It is another one until the partition's own log was compared.
        self._topics_read: dict[TP, UUID] = {}
        # By partition and next offset: the timestamp of the record before it.
        self._timestamps: dict[TP, dict[int, int]] = {}

    def topic_id(self, topic: str) -> UUID | None:
        """The id of a topic; None before the first assignment."""
        return self._topic_ids.get(topic)

    def topic_read(self, tp: TP) -> UUID | None:
        """The id of the topic whose records were read in a partition; None when it was not read yet."""
        return self._topics_read.get(tp)

    def note_topics(self, ids: Mapping[str, UUID]) -> None:
        """Note the ids that topics have now."""
        self._topic_ids.update(ids)

    def begin(self, tp: TP, position: Position | None = None, topic_id: UUID | None = None) -> None:
        """Forget what was noted of a partition; it is read from this position, or from where none is known.

        `topic_id`: the topic that is read from now on; None when it is the same as before.
        """
        self._timestamps[tp] = {}
        if topic_id is not None:
            self._topics_read[tp] = topic_id
        if position is not None and position.timestamp is not None:
            self._timestamps[tp][position.offset] = position.timestamp

    def acknowledge(self, tp: TP, offset: int, timestamp: int) -> None:
        """Note the timestamp of the record before an offset that may be committed."""
        self._timestamps.setdefault(tp, {})[offset] = timestamp

    def pass_over(self, tp: TP, after: int, below: int) -> None:
        """Forget the offsets between two that may be committed."""
        timestamps = self._timestamps.get(tp, {})
        for offset in [offset for offset in timestamps if after < offset < below]:
            del timestamps[offset]

    def position(self, tp: TP, offset: int) -> Position:
        """The position at an offset that was committed, or may be."""
        return Position(offset, self._topics_read.get(tp), self._timestamps.get(tp, {}).get(offset))


class Rewinds:
    """Which messages were delivered before their partition was rewound."""

    def __init__(self) -> None:
        # How often a partition was rewound, and by message, how often by then when it was delivered. Messages that were
        # delivered before the first rewind are left out.
        self._rewinds: dict[TP, int] = {}
        self._at_delivery: WeakKeyDictionary[RunMessage, int] = WeakKeyDictionary()

    def note_rewind(self, tp: TP) -> None:
        """All messages of the partition that were delivered so far are stale."""
        self._rewinds[tp] = self._rewinds.get(tp, 0) + 1

    def note_delivery(self, tp: TP, message: RunMessage) -> None:
        """The message is delivered now."""
        if tp in self._rewinds:
            self._at_delivery[message] = self._rewinds[tp]

    def is_stale(self, message: RunMessage) -> bool:
        """Whether the message's partition was rewound after the message was delivered."""
        return self._rewinds.get(message.tp, 0) != self._at_delivery.get(message, 0)
