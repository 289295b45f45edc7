"""The unit of work of a batch: outputs confirmed, then the changelog confirmed, then RocksDB, then the acknowledgement.

Outputs come first: after a crash between outputs and state, the old state gives the same outputs again, byte for byte.
In the opposite order a redelivery would meet a state that already includes it. A unit is computed once; when a broker
is away, the same unit is written again.
"""

from dataclasses import dataclass, field

from signalflow.fail_points import reach
from signalflow.kafka.producer import ConfirmedProducer, Outgoing
from signalflow.streams.batch_loop import Ownership
from signalflow.streams.state_table import State, StateTable


@dataclass
class Unit:
    """What one batch changes: output records by topic and partition, and states by partition.

    Topics are written in the order in which they were first emitted to.
    """

    outputs: dict[str, dict[int, list[Outgoing]]] = field(default_factory=dict)
    states: dict[int, State] = field(default_factory=dict)
    confirmed: set[str] = field(default_factory=set)

    def emit(self, topic: str, partition: int, record: Outgoing) -> None:
        """Add an output."""
        self.outputs.setdefault(topic, {}).setdefault(partition, []).append(record)


async def write_unit(unit: Unit, producer: ConfirmedProducer, table: StateTable, owned: Ownership) -> None:
    """Make a unit durable.

    Raises Retryable when the brokers are away: call again with the same unit. Confirmed outputs are not sent twice.
    Raises GiveBack (through `owned`) before any write that follows a change of the generation.
    """
    reach("enrich.before_outputs")
    for topic, batches in unit.outputs.items():
        if topic not in unit.confirmed:
            owned.check()
            await producer.send(topic, batches)
            unit.confirmed.add(topic)
            reach("enrich.after_outputs")
    await table.write(producer, unit.states, owned.check)
