"""Runs hold every record once, in order, within the bounds."""

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
