"""Runs hold every record once, in order, within the bounds."""

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from signalflow.streams.runs import Run, run_scheduler, split_into_runs
from tests.unit.streams.fakes import Record


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 10), st.integers(1, 100), st.booleans())
def test_runs_hold_every_record_once_in_order_and_keep_both_bounds(
    sizes: list[int], most: int, most_bytes: int, in_headers: bool
) -> None:
    records = [
        Record(offset, key=None, value=None, headers=(("", b"x" * size),))
        if in_headers
        else Record(offset, key=None, value=b"x" * size)
        for offset, size in enumerate(sizes)
    ]
    runs = list(split_into_runs(records, most, most_bytes))
    assert [record for run in runs for record in run] == records
    for run in runs:
        assert 1 <= len(run) <= most
        assert len(run) == 1 or sum(sizes[record.offset] for record in run) <= most_bytes


def test_source_topics_come_in_runs_and_changelogs_record_by_record() -> None:
    scheduler = run_scheduler(frozenset({"raw"}))()
    raw, changelog = TP("raw", 0), TP("changelog", 0)
    records = {raw: [Record(1), Record(2)], changelog: [Record(7, topic="changelog"), Record(8, topic="changelog")]}
    delivered = list(scheduler.iterate(records))
    assert [(tp, record.offset) for tp, record in delivered] == [(raw, 2), (changelog, 7), (changelog, 8)]
    assert isinstance(delivered[0][1], Run)
    assert delivered[0][1].value == records[raw]


@pytest.mark.parametrize(
    ("most", "most_bytes", "lengths"),
    [
        (4, 1000, [4, 4, 2]),  # the number of records is the bound
        (10, 60, [3, 3, 3, 1]),  # 20 bytes each, key, value and two headers: three fit exactly
        (10, 59, [2, 2, 2, 2, 2]),
        (10, 1, [1] * 10),  # a record larger than the bound travels alone
    ],
)
def test_a_run_is_as_long_as_both_bounds_allow_and_keys_and_headers_count(
    most: int, most_bytes: int, lengths: list[int]
) -> None:
    headers = (("h", b"xy"), ("", b"xy"))
    records = [Record(offset, key=b"k" * 5, value=b"v" * 10, headers=headers) for offset in range(10)]
    assert [len(run) for run in split_into_runs(records, most, most_bytes)] == lengths


def test_the_bytes_of_a_run_count_from_its_first_record() -> None:
    records = [Record(offset, key=None, value=b"v" * size) for offset, size in enumerate((9, 2, 8, 9, 1))]
    assert [[record.offset for record in run] for run in split_into_runs(records, 10, 10)] == [[0], [1, 2], [3, 4]]


def test_faust_gets_the_place_of_the_last_record_and_no_key_headers_or_sizes() -> None:
    """Faust puts key and headers of a message into its event, and adds up the sizes for its sensors."""
    run = Run([Record(8, timestamp=1), Record(9, partition=3, timestamp=2, timestamp_type=1, headers=(("h", b"v"),))])
    assert (run.topic, run.partition, run.offset, run.timestamp, run.timestamp_type) == ("raw", 3, 9, 2, 1)
    assert (run.key, run.headers, run.checksum) == (None, None, None)
    assert (run.serialized_key_size, run.serialized_value_size) == (0, 0)
