"""What the database is told of how far logs were read, and what it tells then."""

from typing import Any

import pytest

from signalflow.domain.positions import Position
from signalflow.errors import Retryable
from signalflow.positions.read_topic import ReadTopic
from signalflow.streams.breaks import LogBreak
from tests.unit.positions.fakes import OTHER_ID, TP0, TP1, Consumer, Database, at


@pytest.fixture
def raw() -> ReadTopic:
    return ReadTopic("raw")


async def note(raw: ReadTopic, app: Any) -> None:
    await raw.note(app, "the pool")  # type: ignore[arg-type]


async def test_positions_of_the_raw_topic_are_noted_and_written_again_only_when_they_change(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database
) -> None:
    await note(raw, app)
    await note(raw, app)
    consumer.read[TP1] = at(6, 1_050)
    await note(raw, app)
    assert database.read.writes == [{0: at(28, 1_270), 1: at(5, 1_040)}, {1: at(6, 1_050)}]
    assert consumer.checked == []


async def test_records_that_took_the_place_of_as_many_lost_ones_are_noted_with_their_time(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database
) -> None:
    """With the time of the lost record, the next worker would find the cut once more."""
    await note(raw, app)
    consumer.read[TP0] = at(28, 9_999)
    await note(raw, app)
    assert database.read.positions[0] == at(28, 9_999)


async def test_what_a_break_has_hidden_since_is_noted_again_though_nothing_new_was_read(
    raw: ReadTopic, app: Any, database: Database
) -> None:
    """Otherwise the next cut would not be found by it."""
    await note(raw, app)
    del database.read.positions[0]
    await note(raw, app)
    assert database.read.writes[1:] == [{0: at(28, 1_270)}]


@pytest.mark.parametrize(("noted", "kept"), [(at(28, 1_270), at(28, 1_270)), (at(27, 1_260), at(28))])
async def test_a_position_without_a_time_takes_no_time_away_from_the_same_offset(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database, noted: Position, kept: Position
) -> None:
    consumer.read, database.read.positions = {TP0: at(28)}, {0: noted}
    for _ in range(2):
        await note(raw, app)
    assert database.read.positions == {0: kept}
    assert consumer.checked == [{TP0: noted}], "once"


async def test_what_others_noted_is_compared_with_the_log_once_in_each_generation(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database
) -> None:
    database.read.positions = {0: at(30, 1_290), 3: at(1, 1_000)}
    await note(raw, app)
    await note(raw, app)
    assert consumer.checked == [{TP0: at(30, 1_290)}]
    app.consumer_generation_id += 1
    await note(raw, app)
    assert consumer.checked[1:] == [{TP0: at(28, 1_270), TP1: at(5, 1_040)}]


async def test_what_the_poller_wrote_is_compared_with_the_log_until_it_was_read(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database
) -> None:
    database.published.positions = {0: at(30, 1_290), 1: at(5, 1_040), 3: at(9, 1_080)}
    for _ in range(2):
        await note(raw, app)
    assert consumer.checked == [{TP0: at(30, 1_290)}] * 2, "the log may be cut at any time"
    consumer.read[TP0] = at(30, 1_290)
    await note(raw, app)
    assert len(consumer.checked) == 2


@pytest.mark.parametrize("earlier", [at(20, 1_190), at(28, 900)], ids=["a lower offset", "the same offset"])
async def test_what_a_database_says_that_went_back_to_a_copy_is_compared_with_the_log(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database, earlier: Position
) -> None:
    await note(raw, app)
    database.read.positions[0] = earlier
    await note(raw, app)
    assert consumer.checked == [{TP0: earlier}]
    assert database.read.positions[0] == at(28, 1_270)


async def test_nothing_is_noted_of_partitions_that_were_revoked_while_the_logs_were_compared(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database
) -> None:
    def revoke() -> None:
        app.consumer_generation_id += 1

    database.read.positions, consumer.meanwhile = {0: at(20, 1_190)}, revoke
    await note(raw, app)
    assert database.read.writes == []


async def test_while_the_logs_cannot_be_compared_nothing_is_noted(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database
) -> None:
    """The position that tells of the cut would be overwritten."""

    def fail() -> None:
        raise Retryable("away")

    database.read.positions, consumer.meanwhile = {0: at(20, 1_190)}, fail
    with pytest.raises(Retryable):
        await note(raw, app)
    assert database.read.writes == []


async def test_a_break_that_the_comparison_finds_is_recorded_before_anything_is_noted(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database
) -> None:
    def find() -> None:
        consumer.breaks = [LogBreak(TP0, "log_cut", 30, 20)]

    database.read.positions, consumer.meanwhile = {0: at(30, 1_290)}, find
    await note(raw, app)
    assert database.breaks == [
        {"topic": "raw", "partition": 0, "reason": "log_cut", "committed": 30, "going_on_at": 20}
    ]
    assert consumer.recorded == [LogBreak(TP0, "log_cut", 30, 20)]


async def test_a_partition_whose_records_are_of_another_topic_than_now_is_not_noted(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database
) -> None:
    consumer.read[TP0] = Position(28, OTHER_ID, 1_270)
    await note(raw, app)
    assert database.read.positions == {1: at(5, 1_040)}
    consumer.topic_ids = {}
    consumer.read[TP1] = at(9, 1_080)
    await note(raw, app)
    assert database.read.positions == {1: at(5, 1_040)}, "no assignment yet"
