"""The metrics of upkeep: how the leader's jobs end, and how much room the disk of a worker has."""

import asyncio
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents import disk, jobs
from agents.runs import recorded
from signalflow.domain.run_history import RunBook
from signalflow.errors import Retryable
from signalflow.metrics import JOBS, REGISTRY
from signalflow.settings import Settings


class Timers:
    """Takes timers as Faust's application does. `bodies` has each by its name."""

    def __init__(self) -> None:
        self.bodies: dict[str, Any] = {}

    def timer(self, *, name: str, **_: object) -> Any:
        return lambda body: self.bodies.setdefault(name, body)


def runs(job: str, outcome: str) -> float:
    value = REGISTRY.get_sample_value("signalflow_job_runs_total", {"kind": job, "outcome": outcome})
    assert value is not None
    return value


def test_every_job_of_the_leader_has_its_series() -> None:
    app = Timers()
    jobs.register(app, Settings(), lambda: None, RunBook())  # type: ignore[arg-type,return-value]
    assert tuple(app.bodies) == JOBS


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [(None, "ok"), (Retryable("away"), "failed"), (ValueError("a defect"), "failed"),
     (asyncio.CancelledError(), "stopped")],
)  # fmt: skip
async def test_how_a_job_ends_is_counted_once(raised: BaseException | None, outcome: str) -> None:
    async def body() -> None:
        if raised is not None:
            raise raised

    before = {each: runs("rollup", each) for each in ("ok", "failed", "stopped")}
    job = recorded(RunBook(), "rollup")(body)
    if raised is None:
        await job()
    else:
        with pytest.raises(type(raised)):
            await job()
    after = {each: runs("rollup", each) for each in before}
    assert after == before | {outcome: before[outcome] + 1}


async def test_the_room_on_the_disk_of_the_local_state_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = {tmp_path: 12345}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=room[path]))
    app = Timers()
    table = SimpleNamespace(name="post_state", entries=lambda: 17)
    disk.register(app, tmp_path, [table])  # type: ignore[arg-type]
    assert REGISTRY.get_sample_value("signalflow_disk_free_bytes") == 12345
    room[tmp_path] = 678
    await app.bodies["disk"]()
    assert REGISTRY.get_sample_value("signalflow_disk_free_bytes") == 678
    assert REGISTRY.get_sample_value("signalflow_table_entries", {"table": "post_state"}) == 17
