"""`signalflow status`: what it says of Reddit, as the workers tell it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from signalflow.cli.up import joined_by_hand, register
from signalflow.local.ports import free_ports
from signalflow.local.state import ProcessId, ProcessStatus, StackState, StackStatus, StateDir, WorkerStatus
from signalflow.storage.workers import WorkerRow

STANDSTILL = {"since": "2026-01-01T00:00:00Z", "reason": "status_403", "what_to_do": "Ask Reddit."}


@pytest.fixture
def worker() -> Iterator[HTTPServer]:
    """A worker's web views that answer with `server.said`."""

    class Views(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.server.said)  # type: ignore[attr-defined]

        def log_message(self, *_: Any) -> None:
            """Nothing: the output belongs to the test."""

    server = HTTPServer(("127.0.0.1", 0), Views)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (json.dumps({"ready": True, "reddit_answers_nothing": STANDSTILL}), STANDSTILL),
        (json.dumps({"ready": True, "reddit_answers_nothing": None}), None),
        (json.dumps({"ready": True}), None),
        ("<html>", None),
    ],
)
def test_status_says_since_when_reddit_answers_nothing_as_text_and_as_json(
    tmp_path: Path, worker: HTTPServer, said: str, found: dict[str, str] | None
) -> None:
    worker.said = said.encode()  # type: ignore[attr-defined]
    (nothing_there,) = free_ports(1)
    silent, answering = f"http://127.0.0.1:{nothing_there}", f"http://127.0.0.1:{worker.server_port}"
    status = StackStatus(
        kafka="127.0.0.1:1",
        database_url="postgresql://u@127.0.0.1:1/d",
        api_url=None,
        simulator_url=None,
        workers=[WorkerStatus(pid=n, web_url=url, state="ready") for n, url in ((1, silent), (2, answering))],
        state_dir=tmp_path,
    )
    StateDir(tmp_path).write(
        StackState(
            supervisor=ProcessId.of("supervisor", os.getpid()),
            phase="up",
            children=[],
            status=status,
            settings={"database_url": f"postgresql://u@127.0.0.1:{nothing_there}/d"},
        )
    )
    app, run = typer.Typer(), CliRunner()
    register(app)
    as_json = run.invoke(app, ["status", "--json", "--state-dir", str(tmp_path)])
    assert as_json.exit_code == 0, as_json.output
    assert json.loads(as_json.stdout)["reddit_answers_nothing"] == found
    as_text = run.invoke(app, ["status", "--state-dir", str(tmp_path)])
    line = "answers nothing since 2026-01-01T00:00:00Z (status_403): Ask Reddit."
    assert (line in as_text.stdout) is (found is not None)


OWN_PID, ENDED_PID = 2**22 + 1, 2**22 + 2  # Linux gives no process such an id.


@pytest.mark.parametrize(
    ("name", "pid", "by_hand"),
    [
        ("worker-1", OWN_PID, False),
        ("worker-1", ENDED_PID, False),
        ("worker-1", os.getpid(), True),
        ("worker-2", ENDED_PID, True),
        ("mine", os.getpid(), True),
    ],
    ids=["of the stack", "was killed", "took the name of a killed one", "of another machine", "has another name"],
)
def test_a_killed_worker_of_the_stack_has_not_joined_by_hand(name: str, pid: int, by_hand: bool) -> None:
    """The database knows a killed worker until its successor reports, or for 15 s."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    row = WorkerRow(name, pid, "http://127.0.0.1:6066", "running", False, False, now, now, 1.0)
    processes = [
        ProcessStatus(name="api", pid=9, state="ready", address="-"),
        ProcessStatus(name="worker-1", pid=OWN_PID, state="starting", address="-"),
    ]
    assert joined_by_hand([row], processes) == ([row] if by_hand else [])


EMPTY = StackStatus(
    kafka="127.0.0.1:1",
    database_url="postgresql://u@127.0.0.1:1/d",
    api_url=None,
    simulator_url=None,
    workers=[],
    processes=[],
    state_dir=Path(),
)


def test_a_process_that_ended_since_the_state_was_written_is_shown_as_ended(tmp_path: Path) -> None:
    """On a full disk the supervisor cannot write what changed."""
    (nothing_there,) = free_ports(1)
    runs, ended = ProcessId.of("api", os.getpid()), ProcessId(name="kafka-1", pid=ENDED_PID, started=1.0)
    status = StackStatus(
        kafka="127.0.0.1:1",
        database_url="postgresql://u@127.0.0.1:1/d",
        api_url=None,
        simulator_url=None,
        workers=[],
        processes=[
            ProcessStatus(name=one.name, pid=one.pid, state="ready", address="127.0.0.1:1") for one in (runs, ended)
        ],
        state_dir=tmp_path,
    )
    StateDir(tmp_path).write(
        StackState(
            supervisor=ProcessId.of("supervisor", os.getpid()),
            phase="up",
            children=[runs, ended],
            status=status,
            settings={"database_url": f"postgresql://u@127.0.0.1:{nothing_there}/d"},
        )
    )
    app, run = typer.Typer(), CliRunner()
    register(app)
    as_json = run.invoke(app, ["status", "--json", "--state-dir", str(tmp_path)])
    assert [(part["name"], part["state"]) for part in json.loads(as_json.stdout)["processes"]] == [
        ("api", "ready"),
        ("kafka-1", "ended"),
    ]
    as_text = run.invoke(app, ["status", "--state-dir", str(tmp_path)])
    lines = [line.split() for line in as_text.stdout.splitlines()]
    assert ["kafka-1", "pid", str(ENDED_PID), "ended", "127.0.0.1:1"] in lines


def test_what_was_stopped_is_told_as_data_too(tmp_path: Path) -> None:

    def told() -> dict[str, Any]:
        command = [Path(sys.executable).with_name("signalflow"), "down", "--json", "--state-dir", tmp_path]
        found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        return found

    where = {"state_dir": str(tmp_path)}
    assert told() == where | {"stopped": False}
    # What a killed `signalflow up` leaves: its state, and a process of it.
    with subprocess.Popen(["sleep", "60"]) as left:
        StateDir(tmp_path).write(
            StackState(
                supervisor=ProcessId(name="supervisor", pid=ENDED_PID, started=1.0),
                phase="up",
                children=[ProcessId.of("worker-1", left.pid)],
                status=EMPTY.model_copy(update={"state_dir": tmp_path}),
                settings={},
            )
        )
        assert told() == where | {"stopped": True}
        assert left.wait(10) < 0
    assert told() == where | {"stopped": False}
