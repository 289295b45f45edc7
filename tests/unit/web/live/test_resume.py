"""Clients that resume while Kafka is away or refuses."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import structlog

from signalflow.domain.backoff import Backoff
from signalflow.errors import Fatal, Retryable
from signalflow.kafka.reader import OffsetGone
from signalflow.settings import Settings
from tests.unit.web.live.records import record
from web.live import resume as module
from web.live.clients import Limits
from web.live.fanout import Fanout
from web.live.frame_queue import FrameQueue
from web.live.protocol import Filter
from web.live.resume import MissedRecords, Resumes


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHILE_AWAY", Backoff(first=0, most=0))


@pytest.fixture
def fanout() -> Fanout:
    """Three records, of which the tail has kept the newest."""
    fanout = Fanout(UUID(int=7), [0], Limits(waiting_posts=50, stall_seconds=10, heartbeat_seconds=15), 1)
    for offset in range(3):
        fanout.take(0, offset, record(0, offset, f"p{offset}"))
        fanout.tick(float(offset))
    return fanout


async def _resume(fanout: Fanout, monkeypatch: pytest.MonkeyPatch, outcomes: list[Exception | None]) -> FrameQueue:
    """A client that missed everything, after its resume. Each outcome is the end of one reading of the log."""

    async def missed(*_: object) -> AsyncIterator[MissedRecords]:
        outcome = outcomes.pop(0)
        if outcome:
            raise outcome
        yield MissedRecords([record(0, offset, f"p{offset}") for offset in range(3)], [3])

    monkeypatch.setattr(module, "missed_records", missed)
    client = fanout.join(Filter(), 3.0, [0])
    queue = FrameQueue(client, lambda _: None)
    await Resumes(Settings(), lambda: None).resume(fanout, queue, [3])
    assert client.resumed_to is None
    return queue


@pytest.mark.parametrize("error", [Fatal("the password is wrong"), Retryable("no broker answers")])
async def test_a_refusal_is_logged_once_and_the_client_resumes_when_it_ends(
    fanout: Fanout, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    with structlog.testing.capture_logs() as logs:
        queue = await _resume(fanout, monkeypatch, [error, error, None])
    assert [(entry["event"], entry["error"]) for entry in logs] == [("live_resume_waits", str(error))]
    assert len(queue.client.backlog) == 3


async def test_a_client_whose_records_are_gone_is_told_that_they_expired(
    fanout: Fanout, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await _resume(fanout, monkeypatch, [OffsetGone("removed by retention")])
    assert '"reason":"expired"' in (await queue.next()).text
