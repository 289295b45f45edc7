"""The contiguity guard: a skipped offset stops the worker, and nothing else does."""

import pytest
from faust.types import TP

from signalflow.errors import Fatal
from signalflow.metrics import REGISTRY
from signalflow.streams.contiguity import ContiguityGuard
from tests.unit.streams.fakes import FakeMessage, Record


def run(first: int, last: int, *, generation: int = 1, partition: int = 0) -> FakeMessage:
    return FakeMessage([Record(offset, partition=partition) for offset in range(first, last + 1)], generation)


def holes() -> float:
    return REGISTRY.get_sample_value("signalflow_offset_holes_total") or 0.0


def test_a_new_assignment_may_begin_after_what_another_worker_processed_meanwhile() -> None:
    guard = ContiguityGuard({})
    guard.admit(run(0, 4, generation=1))
    guard.admit(run(90, 94, generation=2))
    with pytest.raises(Fatal, match="expected offset 95, but got 96"):
        guard.admit(run(96, 96, generation=2))


def test_a_redelivery_does_not_move_the_expected_offset_back() -> None:
    guard = ContiguityGuard({})
    guard.admit(run(0, 9))
    guard.admit(run(3, 5))
    with pytest.raises(Fatal, match=r"raw\[0\]: expected offset 10, but got 11"):
        guard.admit(run(11, 11))


def test_the_first_record_of_a_topic_has_offset_0() -> None:
    guard = ContiguityGuard({TP("raw", 0): 0})
    with pytest.raises(Fatal, match="expected offset 0, but got 1"):
        guard.admit(run(1, 1))


def test_each_partition_has_its_own_offsets() -> None:
    guard = ContiguityGuard({TP("raw", 0): 5, TP("raw", 1): 50})
    guard.admit(run(5, 6))
    guard.admit(run(50, 51, partition=1))
    guard.admit(run(7, 7))
    guard.admit(run(52, 52, partition=1))


def test_a_hole_is_counted_once_and_a_redelivery_is_none() -> None:
    guard, before = ContiguityGuard({}), holes()
    guard.admit(run(0, 4))
    guard.admit(run(0, 4))
    assert holes() == before
    with pytest.raises(Fatal, match=r"start once with SIGNALFLOW_CONTIGUITY_GUARD=false$"):
        guard.admit(run(6, 6))
    assert holes() == before + 1
