"""What the brokers say about positions in their logs."""

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from faust.types import TP

from signalflow.domain.positions import Break, PartitionLog, Position, proven_by_times, start_of
from signalflow.errors import Retryable
from signalflow.streams.brokers import Brokers
from signalflow.streams.consumer_thread import ConsumerThread


async def logs_at(
    thread: ConsumerThread, brokers: Brokers, positions: Mapping[TP, Position], ids: Mapping[str, UUID]
) -> dict[TP, PartitionLog]:
    """The logs of partitions, as far as their positions need it. `ids`: the ids that their topics have now.

    Raises one of AWAY when the brokers do not answer, or when a topic has another id by now.
    """
    if not positions:
        return {}
    # The ends are asked for first. A record that is appended meanwhile is then found by its time, or lies beyond the
    # end. Asked for last, the end of a log that was cut would count it among the records that were consumed.
    begins, ends = await thread.earliest_offsets(*positions), await thread.highwaters(*positions)
    timestamps = {tp: at.timestamp for tp, at in positions.items() if at.timestamp is not None}
    since = await thread.first_at(timestamps)
    after = await thread.first_at({tp: timestamp + 1 for tp, timestamp in timestamps.items()})
    logs: dict[TP, PartitionLog] = {}
    for tp, position in positions.items():
        # One of the two alone proves nothing.
        told = tp in since and tp in after
        times = (since[tp], after[tp]) if told else (None, None)
        found = PartitionLog(ids[tp.topic], begins[tp], ends[tp], *times, told=told or position.timestamp is None)
        if not proven_by_times(position, found):
            found = replace(found, before=await brokers.timestamp_at(tp, position.offset - 1))
        logs[tp] = found
    # The log of a topic that is made anew after its id was asked for looks like a cut one.
    cut = {tp.topic for tp, log_now in logs.items() if start_of(positions[tp], log_now).broken is Break.LOG_CUT}
    ids_now = await brokers.topic_ids(cut) if cut else {}
    if other := [topic for topic in cut if ids_now.get(topic) != ids[topic]]:
        raise Retryable(f"{', '.join(sorted(other))}: made anew or deleted while its log was looked at")
    return logs
