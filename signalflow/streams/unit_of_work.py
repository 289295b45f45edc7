"""The batch unit of work: outputs confirmed, then the changelog confirmed, then RocksDB, then the acknowledgement.

Outputs first: a crash in between repeats them from the old state, equal to the byte. The other way round, the repetition would see
its own effect. All of it is computed once and written again as it is when a broker is away.
"""

from dataclasses import dataclass, field

from signalflow.fail_points import reach
from signalflow.kafka.producer import ConfirmedProducer, Outgoing
from signalflow.streams.batch_loop import Ownership
from signalflow.streams.state_table import State, StateTable


@dataclass
class Unit:
    """What one batch changes: records by topic and partition, in the order in which the topics are written, and states."""

    outputs: dict[str, dict[int, list[Outgoing]]] = field(default_factory=dict)
    states: dict[int, State] = field(default_factory=dict)
    confirmed: set[str] = field(default_factory=set)

    def emit(self, topic: str, partition: int, record: Outgoing) -> None:
        """Add an output."""
        self.outputs.setdefault(topic, {}).setdefault(partition, []).append(record)


async def write_unit(unit: Unit, producer: ConfirmedProducer, table: StateTable, owned: Ownership) -> None:
    """Make a unit durable. Raises Retryable to be called again with the same unit; what was confirmed is not sent twice.

    Raises GiveBack (through `owned`) before any write when the partitions belong to a later generation.
    """
    reach("enrich.before_outputs")
    for topic, batches in unit.outputs.items():
        if topic not in unit.confirmed:
            owned.check()
            await producer.send(topic, batches)
            unit.confirmed.add(topic)
            reach("enrich.after_outputs")
    await table.write(producer, unit.states, owned.check)
