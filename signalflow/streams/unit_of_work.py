"""The unit of work of a batch: outputs confirmed, then the changelog confirmed, then RocksDB, then the acknowledgement.

Outputs come first: after a crash between outputs and state, the old state gives the same outputs again, byte for byte.
In the opposite order a redelivery would meet a state that already includes it. A unit is computed once; when a broker
is away, the same unit is written again.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from signalflow.errors import Invalid
from signalflow.fail_points import reach
from signalflow.kafka.producer import ConfirmedProducer, Outgoing, send_or_reject
from signalflow.kafka.records import KafkaRecord
from signalflow.metrics import UNIT_STEP_SECONDS
from signalflow.streams.batch_loop import Ownership
from signalflow.streams.state_table import State, StateTable


class RefusedOutput(NamedTuple):
    """An output that its topic does not take: the topic, the record it was made from, and why."""

    topic: str
    source: KafkaRecord
    error: Invalid


SetAside = Callable[[Sequence[RefusedOutput]], Awaitable[None]]


@dataclass
class Unit:
    """What one batch changes: output records by topic and partition, and states by partition.

    Topics are written in the order in which they were first emitted to. `sources`: the input record of each output, in
    the same places. `refused`: outputs that their topic does not take, until they are set aside.
    """

    outputs: dict[str, dict[int, list[Outgoing]]] = field(default_factory=dict)
    states: dict[int, State] = field(default_factory=dict)
    confirmed: set[str] = field(default_factory=set)
    sources: dict[str, dict[int, list[KafkaRecord]]] = field(default_factory=dict)
    refused: list[RefusedOutput] = field(default_factory=list)

    def emit(self, topic: str, partition: int, record: Outgoing, source: KafkaRecord) -> None:
        """Add an output that was made from the record `source`."""
        self.outputs.setdefault(topic, {}).setdefault(partition, []).append(record)
        self.sources.setdefault(topic, {}).setdefault(partition, []).append(source)

    def take_back(self, topic: str, sources: Collection[KafkaRecord]) -> None:
        """Remove the outputs to a topic that were made from these records."""
        made_of = {(source.partition, source.offset) for source in sources}
        for partition, of_outputs in self.sources[topic].items():
            kept = [place for place, of in enumerate(of_outputs) if (of.partition, of.offset) not in made_of]
            outputs = self.outputs[topic][partition]
            self.outputs[topic][partition] = [outputs[place] for place in kept]
            self.sources[topic][partition] = [of_outputs[place] for place in kept]


async def write_unit(
    unit: Unit, producer: ConfirmedProducer, table: StateTable, owned: Ownership, set_aside: SetAside
) -> None:
    """Make a unit durable. Outputs that are refused are set aside before the state is written.

    A record whose output one topic refused has no outputs in the topics after it.
    Raises Retryable when the brokers are away: call again with the same unit. Confirmed outputs are not sent twice.
    Raises GiveBack (through `owned`) before any write that follows a change of the generation.
    """
    agent = table.agent
    reach(f"{agent}.before_outputs")
    for topic in unit.outputs:
        if topic not in unit.confirmed:
            owned.check()
            if unit.refused:
                unit.take_back(topic, [each.source for each in unit.refused])
            batches, sources = unit.outputs[topic], unit.sources[topic]
            with UNIT_STEP_SECONDS.labels(agent=agent, step="outputs").time():
                refused = await send_or_reject(producer, topic, batches)
            unit.refused += [RefusedOutput(topic, sources[each.partition][each.place], each.error) for each in refused]
            unit.confirmed.add(topic)
            reach(f"{agent}.after_outputs")
    if unit.refused:
        owned.check()
        await set_aside(unit.refused)
        unit.refused = []
    await table.write(producer, unit.states, owned.check)
