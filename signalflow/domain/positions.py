"""How far a partition was consumed, and whether its log is still the one that was consumed.

A bare offset says nothing when the log below it has changed: after a power cut, an unclean election of a leader or the
restore of a broker, a log may be shorter than what was committed, and new records take the offsets of lost ones. A
position therefore also names the topic and the time of the last consumed record.

Pure. Timestamps are the brokers' (LogAppendTime), in milliseconds since 1970. Within a partition they grow, except when
a new leader's clock is behind the clock of the leader before. Times alone therefore prove that a log is intact, but not
that it was cut: for that, the last consumed record is looked at.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

_METADATA = re.compile(r"topic=([0-9a-f-]{36})(?: record=(\d{1,15}))?(?: since=.*)?")
_OUTPUTS = re.compile(r" since=(\d{1,18})((?: [\w.-]{1,249}:\d{1,18}@\d{1,15})*)$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a partition was consumed.

    `offset`: the next offset to read. `timestamp`: the timestamp of the record before it. What is not known is None.
    """

    offset: int
    topic_id: UUID | None = None
    timestamp: int | None = None

    def metadata(self) -> str:
        """The text that a commit carries beside the offset."""
        if self.topic_id is None:
            return ""
        return f"topic={self.topic_id}" + ("" if self.timestamp is None else f" record={self.timestamp}")

    @classmethod
    def of_commit(cls, offset: int, metadata: str) -> "Position":
        """The position that a commit tells. Other programs and older versions write other metadata, or none."""
        found = _METADATA.fullmatch(metadata or "")
        if found is None:
            return cls(offset)
        return cls(offset, UUID(found[1]), None if found[2] is None else int(found[2]))


@dataclass(frozen=True, slots=True)
class Outputs:
    """How far the outputs of a partition were confirmed, and where to consume again when a log has lost some of them.

    `again_from`: an offset that was committed minutes before this was written. `ends`: by topic, the position after
    the last record that the brokers confirmed in the partition of the same number.
    """

    again_from: int
    ends: Mapping[str, Position] = field(default_factory=dict)

    def metadata(self) -> str:
        """The text that a commit carries after the one of its position."""
        told = [
            f" {topic}:{end.offset}@{end.timestamp}" for topic, end in self.ends.items() if end.timestamp is not None
        ]
        return f" since={self.again_from}" + "".join(told)

    @classmethod
    def of_commit(cls, metadata: str) -> "Outputs | None":
        """What a commit tells of its outputs; None where it tells nothing of them."""
        found = _OUTPUTS.search(metadata or "")
        if found is None:
            return None
        ends: dict[str, Position] = {}
        for told in found[2].split():
            topic, place = told.rsplit(":", 1)
            offset, timestamp = place.split("@")
            ends[topic] = Position(int(offset), None, int(timestamp))
        return cls(int(found[1]), ends)


class Commit(NamedTuple):
    """What a group committed in a partition. `outputs`: None for commits of other programs and older versions."""

    position: Position
    outputs: Outputs | None


def takes_the_place(first: int, timestamp: int | None, known: Position) -> bool:
    """Whether records from this offset on have the offset of an earlier one that was confirmed.

    With an earlier `timestamp` they were only noted late.
    """
    return first < known.offset and (timestamp or 0) > (known.timestamp or 0)


def further(one: Position | None, other: Position) -> Position:
    """The position that was reached later: by time, since a log that was cut gives its offsets again."""
    return other if one is None else max(one, other, key=lambda position: (position.timestamp or 0, position.offset))


class Found(NamedTuple):
    """A record that the brokers found by its time."""

    offset: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class PartitionLog:
    """What the brokers say about a partition and a position in it.

    `start` and `end`: the first offset, and the offset of the next record. `since` and `after`: the first record whose
    timestamp is not before the position's, and the first one whose timestamp is later. `before`: the timestamp of
    the record just before the position's offset, None when it was not read. `told`: whether the brokers found records
    by time; where a batch of that time is damaged they cannot, and `since` and `after` say nothing.
    """

    topic_id: UUID
    start: int
    end: int
    since: Found | None = None
    after: Found | None = None
    before: int | None = None
    told: bool = True


class Break(StrEnum):
    """Why a log is not the one that was consumed."""

    TOPIC_MADE_ANEW = "topic_made_anew"
    LOG_CUT = "log_cut"


class Start(NamedTuple):
    """Where to read on. `broken`: why the position is not that place; None when its log is intact.

    An intact log may begin after the position: retention removed what lies between.
    """

    offset: int
    broken: Break | None = None


def proven_by_times(position: Position, log: PartitionLog) -> bool:
    """Whether the log is intact by its times alone. If not, the record before the position must be looked at.

    The records before the position must end with its timestamp, and later timestamps must not occur before it.
    """
    if position.timestamp is None or not log.start < position.offset <= log.end:
        return True
    return (
        log.since is not None
        and log.since.timestamp == position.timestamp
        and log.since.offset < position.offset
        and (log.after is None or log.after.offset >= position.offset)
    )


def start_of(position: Position, log: PartitionLog) -> Start:
    """Where to read on after this position.

    After a cut, the records that took the place of lost ones begin at the first later timestamp. When this cannot be
    told, everything is read again: repeated records change nothing.
    """
    if position.topic_id is not None and position.topic_id != log.topic_id:
        return Start(log.start, Break.TOPIC_MADE_ANEW)
    if position.offset <= log.start:
        return Start(log.start)
    if position.offset <= log.end and (proven_by_times(position, log) or log.before == position.timestamp):
        return Start(position.offset)
    if position.timestamp is None or not log.told:
        return Start(log.start, Break.LOG_CUT)
    if log.after is not None:
        told = log.after.offset < position.offset
        return Start(max(log.after.offset, log.start) if told else log.start, Break.LOG_CUT)
    # No record is later. The log ends at the cut, or a clock that is behind gave the new records their times.
    shorter = log.end < position.offset
    return Start(log.end if shorter else log.start, Break.LOG_CUT)
