"""What the hub logs while it cannot read Kafka, and what it counts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from signalflow.domain.backoff import Backoff
from signalflow.errors import Fatal, Retryable
from signalflow.metrics import API_REGISTRY
from signalflow.settings import Settings
from tests.unit.web.live.fanouts import fanout, ready, take
from tests.unit.web.live.records import record
from tests.waiting import until
from web.live.hub import Hub


async def test_a_cancellation_that_kafkas_client_loses_does_not_keep_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = 0

    @asynccontextmanager
    async def losing(settings: Settings, topic: str) -> AsyncIterator[None]:
        nonlocal lost
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            lost += 1
        await asyncio.Event().wait()
        yield

    monkeypatch.setattr("web.live.hub.open_log", losing)
    monkeypatch.setattr("web.live.hub.CANCEL_AGAIN_SECONDS", 0.01)
    async with asyncio.timeout(5), Hub(Settings()).running():
        await asyncio.sleep(0)
    assert lost == 1


async def test_each_reason_for_a_stale_stream_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the first one, when Kafka never answered."""
    away, refused = Retryable("the brokers are away"), Fatal("the brokers refuse the password")
    failures = [away, away, refused, away, refused]

    @asynccontextmanager
    async def failing(settings: Settings, topic: str) -> AsyncIterator[None]:
        if failures:
            raise failures.pop(0)
        await asyncio.Event().wait()
        yield

    monkeypatch.setattr("web.live.hub.open_log", failing)
    monkeypatch.setattr("web.live.hub.WHILE_AWAY", Backoff(first=0, most=0))
    with capture_logs() as logged:
        async with Hub(Settings()).running():
            await until(lambda: not failures, "all failures")
    assert [event["error"] for event in logged if event["event"] == "live_stale"] == [str(away), str(refused)]


def test_what_newer_observations_replaced_for_slow_clients_is_counted() -> None:
    def counted() -> float:
        return API_REGISTRY.get_sample_value("signalflow_live_posts_coalesced_total") or 0.0

    hub, state, before = Hub(Settings()), fanout(), counted()
    ready(state).ready = False
    for offset in range(3):
        take(state, record(0, offset, "a", offset))
        hub._tick(state, float(offset))
    assert counted() == before + 2
