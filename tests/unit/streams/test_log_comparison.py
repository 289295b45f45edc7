"""What is asked of the brokers about a position, and what a topic that is made anew meanwhile does to the answer."""

from collections.abc import Iterable
from uuid import UUID

import pytest
from faust.types import TP

from signalflow.domain.positions import Break, Found, PartitionLog, Position, Start, start_of
from signalflow.errors import Retryable
from signalflow.streams.log_comparison import logs_at

TP0, TP1 = TP("a", 0), TP("b", 1)
IDS = {"a": UUID(int=1), "b": UUID(int=2)}


class Brokers:
    """Brokers with logs of 20 records; the first was made in millisecond 1,000, and each other one millisecond later.

    `ids`: what the topics are called by when they are asked for again.
    """

    def __init__(self, ids: dict[str, UUID]) -> None:
        self.ids = ids
        self.looked_at: list[tuple[TP, int]] = []

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        return dict.fromkeys(partitions, 0)

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        return dict.fromkeys(partitions, 20)

    async def first_at(self, timestamps: dict[TP, int]) -> dict[TP, Found | None]:
        offsets = {tp: max(0, timestamp - 1_000) for tp, timestamp in timestamps.items()}
        return {tp: Found(offset, 1_000 + offset) if offset < 20 else None for tp, offset in offsets.items()}

    async def timestamp_at(self, tp: TP, offset: int) -> int | None:
        self.looked_at.append((tp, offset))
        return 1_000 + offset

    async def topic_ids(self, names: Iterable[str]) -> dict[str, UUID]:
        return {name: self.ids[name] for name in names if name in self.ids}


async def look(brokers: Brokers, positions: dict[TP, Position]) -> dict[TP, PartitionLog]:
    return await logs_at(brokers, brokers, positions, IDS)  # type: ignore[arg-type]


async def test_an_intact_log_is_proven_by_the_times_at_the_position_and_no_record_is_read() -> None:
    brokers = Brokers(IDS)
    found = await look(brokers, {TP0: Position(10, IDS["a"], 1_009), TP1: Position(20, IDS["b"], 1_019)})
    assert found == {
        TP0: PartitionLog(IDS["a"], 0, 20, Found(9, 1_009), Found(10, 1_010)),
        TP1: PartitionLog(IDS["b"], 0, 20, Found(19, 1_019), None),
    }
    assert brokers.looked_at == []


async def test_the_record_before_the_position_is_read_where_times_prove_nothing() -> None:
    brokers = Brokers(IDS)
    found = await look(brokers, {TP1: Position(10, IDS["b"], 1_004)})
    assert brokers.looked_at == [(TP1, 9)]
    assert found[TP1].before == 1_009


async def test_what_the_brokers_cannot_tell_by_time_is_no_sign_that_no_record_is_later() -> None:
    """They cannot where a batch of that time is damaged. New records after a cut were passed over."""

    class Damaged(Brokers):
        async def first_at(self, timestamps: dict[TP, int]) -> dict[TP, Found | None]:
            told = await super().first_at(timestamps)
            return {tp: found for tp, found in told.items() if tp == TP0}

    found = await look(Damaged(IDS), {TP0: Position(10, IDS["a"], 1_009), TP1: Position(30, IDS["b"], 1_029)})
    assert (found[TP0].told, found[TP1].told) == (True, False)
    assert start_of(Position(30, IDS["b"], 1_029), found[TP1]) == Start(0, Break.LOG_CUT)


@pytest.mark.parametrize("ids", [{"a": UUID(int=9), "b": UUID(int=9)}, {}], ids=["made anew", "deleted"])
async def test_logs_of_topics_that_are_made_anew_meanwhile_are_looked_at_again(ids: dict[str, UUID]) -> None:
    beyond = {TP1: Position(30, IDS["b"], 1_029), TP0: Position(30, IDS["a"], 1_029)}
    with pytest.raises(Retryable, match="a, b: made anew or deleted"):
        await look(Brokers(ids), beyond)
    assert set(await look(Brokers(IDS), beyond)) == {TP0, TP1}, "a log that is really cut"
