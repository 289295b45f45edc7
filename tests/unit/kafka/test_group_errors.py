"""What committed offsets count as when the group's coordinator answers with an error for the whole group."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import GroupAuthorizationFailedError, GroupLoadInProgressError, NotCoordinatorForGroupError
from aiokafka.protocol.commit import OffsetFetchResponse_v1, OffsetFetchResponse_v3

from signalflow.kafka.group_errors import raising_group_errors

RAW = TopicPartition("raw", 0)
COMMITTED = [("raw", [(0, 60, "topic and time", 0)])]
ANSWER = OffsetFetchResponse_v3(0, COMMITTED, 0)


def refusal(error: type[Any]) -> OffsetFetchResponse_v3:
    """How brokers since 0.10.2 answer: with the error, and without partitions."""
    return OffsetFetchResponse_v3(0, [], error.errno)


class Client:
    """A client whose coordinator gives these answers, one after the other."""

    def __init__(self, answers: Sequence[Any]) -> None:
        self.answers = list(answers)
        self.lookups = 0
        self.cluster = self

    def add_listener(self, listener: Any) -> None: ...

    async def coordinator_lookup(self, kind: Any, group: str) -> int:
        self.lookups += 1
        return 1

    async def ready(self, node: int, *, group: Any) -> bool:
        return True

    async def send(self, node: int, request: Any, *, group: Any) -> Any:
        return self.answers.pop(0)


@pytest.fixture
async def coordinators() -> AsyncIterator[list[GroupCoordinator]]:
    made: list[GroupCoordinator] = []
    yield made
    for coordinator in made:
        coordinator._coordination_task.cancel()
        await asyncio.gather(coordinator._coordination_task, return_exceptions=True)


def coordinator_with(client: Client, coordinators: list[GroupCoordinator]) -> GroupCoordinator:
    coordinators.append(GroupCoordinator(client, SubscriptionState(), group_id="signalflow", retry_backoff_ms=1))
    return coordinators[0]


async def test_aiokafka_takes_a_coordinator_that_loads_its_group_for_a_group_without_commits(
    coordinators: list[GroupCoordinator],
) -> None:
    """When this fails, aiokafka has repaired the defect, and our replacement can be removed."""
    coordinator = coordinator_with(Client([refusal(GroupLoadInProgressError), ANSWER]), coordinators)
    assert await coordinator.fetch_committed_offsets([RAW]) == {}


@pytest.mark.parametrize("error", [GroupLoadInProgressError, NotCoordinatorForGroupError])
async def test_a_coordinator_that_is_not_ready_is_asked_again(
    error: type[Any], coordinators: list[GroupCoordinator]
) -> None:
    coordinator = coordinator_with(Client([refusal(error), refusal(error), ANSWER]), coordinators)
    coordinator._send_req = raising_group_errors(coordinator._send_req)
    found = await coordinator.fetch_committed_offsets([RAW])
    assert {tp: commit.offset for tp, commit in found.items()} == {RAW: 60}


async def test_an_error_that_asking_again_does_not_cure_is_raised(coordinators: list[GroupCoordinator]) -> None:
    coordinator = coordinator_with(Client([refusal(GroupAuthorizationFailedError)]), coordinators)
    coordinator._send_req = raising_group_errors(coordinator._send_req)
    with pytest.raises(GroupAuthorizationFailedError):
        await coordinator.fetch_committed_offsets([RAW])


async def test_the_answer_of_an_old_broker_has_no_error_of_the_group(coordinators: list[GroupCoordinator]) -> None:
    coordinator = coordinator_with(Client([OffsetFetchResponse_v1(COMMITTED)]), coordinators)
    coordinator._send_req = raising_group_errors(coordinator._send_req)
    assert set(await coordinator.fetch_committed_offsets([RAW])) == {RAW}
