"""The table of signals: of each the record of its newest observation, in whatever order and batches they come."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from msgspec.structs import replace

from agents.signal_sink import newest_is_stored
from signalflow.events import Source, encode
from signalflow.signal_detection import signal_of
from signalflow.signal_events import Signal
from signalflow.storage.pool import Pool
from signalflow.storage.signal_writer import forget_signals, write_signals
from tests.unit.streams.fakes import Record
from tests.unit.test_signal_detection import change, given_input

NOW = datetime.now(UTC).replace(microsecond=0)


def signal(offset: int, minute: int, id_: str = "viral-a1", days: int = 0) -> Signal:
    """A record of a signal that tells its input's offset as what was observed."""
    made = signal_of(change(observed=float(offset)), given_input(), Source(topic="inputs", partition=0, offset=offset))
    return replace(made, id=id_, changed_at=NOW + timedelta(minutes=minute, days=-days))


async def observed(pool: Pool) -> dict[str, float]:
    rows = await pool.fetch("SELECT id, observed FROM signals ORDER BY id")
    return {row["id"]: row["observed"] for row in rows}


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_a_row_never_goes_back_in_whatever_order_its_records_come(pool: Pool, order: tuple[int, ...]) -> None:
    # The newest observation counts, and of one moment the input that came later.
    records = [signal(5, 1), signal(6, 1), signal(7, 0)]
    for place in order:
        await write_signals(pool, [records[place]])
    assert await observed(pool) == {"viral-a1": 6.0}
    await write_signals(pool, [records[place] for place in order])
    assert await observed(pool) == {"viral-a1": 6.0}


async def test_the_sink_knows_what_the_table_has(pool: Pool) -> None:
    await write_signals(pool, [signal(6, 1)])

    def record(of: Signal) -> Record:
        return Record(0, "signals", value=encode(of))

    assert await newest_is_stored(pool, [record(signal(6, 1))])
    assert await newest_is_stored(pool, [record(signal(9, 0)), Record(1, value=b"no json")])
    assert not await newest_is_stored(pool, [record(signal(7, 1))])
    assert not await newest_is_stored(pool, [record(signal(6, 1, "viral-b"))])
    assert not await newest_is_stored(pool, [])


async def test_a_signal_is_forgotten_when_it_has_not_changed_for_so_many_days(pool: Pool) -> None:
    await write_signals(pool, [signal(1, 0, "old", days=11), signal(2, 0, "young", days=9)])
    await forget_signals(pool, 10)
    assert await observed(pool) == {"young": 2.0}
