"""`signalflow logs`, `signalflow status` and `--version`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from signalflow.cli import logs
from signalflow.cli.main import app as whole
from signalflow.errors import Invalid
from signalflow.local.state import ProcessId, ProcessStatus, StackState, StackStatus, StateDir


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "state, with #umlauts äöü"
    (directory / "logs").mkdir(parents=True)
    (directory / "logs" / "worker-1.log").write_text("one\ntwo\nthree\n")
    (directory / "logs" / "api.log").write_bytes(b"alive\nbroken \xff byte\n")
    return directory


def run(*arguments: str) -> str:
    app = typer.Typer()
    logs.register(app)
    result = CliRunner().invoke(app, [*arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_the_last_lines_of_all_parts_come_with_their_part(state_dir: Path) -> None:
    assert run("--state-dir", str(state_dir), "-n", "2").splitlines() == [
        "api       alive",
        "api       broken � byte",
        "worker-1  two",
        "worker-1  three",
    ]


def test_one_part_alone_is_shown(state_dir: Path) -> None:
    assert run("worker-1", "--state-dir", str(state_dir), "-n", "1") == "worker-1  three\n"


def test_as_json_each_line_is_an_object(state_dir: Path) -> None:
    lines = run("worker-1", "--state-dir", str(state_dir), "-n", "1", "--json")
    assert json.loads(lines) == {"part": "worker-1", "line": "three"}


@pytest.mark.parametrize("part", ["worker-9", "../state.json", ""])
def test_a_part_without_a_log_is_named_with_those_that_have_one(state_dir: Path, part: str) -> None:
    with pytest.raises(Invalid, match=r"no log of .* there are api, worker-1"):
        run(part, "--state-dir", str(state_dir))


def test_where_no_stack_ever_ran_the_message_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=str(tmp_path)):
        run("--state-dir", str(tmp_path))


@pytest.mark.slow
def test_new_lines_are_shown_as_they_come_and_none_by_halves(state_dir: Path) -> None:
    command = [Path(sys.executable).with_name("signalflow"), "logs", "api", "-n", "0", "-f", "--state-dir", state_dir]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            with (state_dir / "logs" / "api.log").open("a") as log:
                # The command may start after the first line; so lines are written until one is shown.
                while not process.poll():
                    log.write("half, ")
                    log.flush()
                    log.write("whole\n")
                    log.flush()
                    os.set_blocking(process.stdout.fileno(), False)
                    if line := process.stdout.readline():
                        break
        finally:
            process.kill()
    assert line == "api  half, whole\n"


def test_the_version_is_that_of_the_installation() -> None:
    result = CliRunner().invoke(whole, ["--version"])
    assert (result.exit_code, result.output.split()[0]) == (0, "signalflow")
    assert result.output.split()[1][0].isdigit()


def test_status_lists_every_process_the_proxy_and_vain_settings_while_the_database_is_away(tmp_path: Path) -> None:
    status = StackStatus(
        kafka="127.0.0.1:9",
        database_url="postgresql://u:***@127.0.0.1:9/d",
        api_url="http://127.0.0.1:9",
        simulator_url=None,
        workers=[],
        processes=[
            ProcessStatus(name="kafka-1", pid=11, state="ready", address="127.0.0.1:9"),
            ProcessStatus(name="worker-1", pid=12, state="ready", address="http://127.0.0.1:10"),
        ],
        proxy="http://proxy.example:3128",
        unknown_settings={"SIGNALFLOW_KAFKAA": "SIGNALFLOW_KAFKA"},
        unused_settings={"SIGNALFLOW_REPLICA_MAX_LAG": "there is no replica"},
        state_dir=tmp_path,
    )
    StateDir(tmp_path).write(
        StackState(
            supervisor=ProcessId.of("supervisor", os.getpid()),
            phase="up",
            children=[],
            status=status,
            settings={"kafka": "127.0.0.1:9", "database_url": "postgresql://u:p@127.0.0.1:9/d"},
        )
    )
    done = subprocess.run(
        [Path(sys.executable).with_name("signalflow"), "status", "--state-dir", tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for name, pid in (("supervisor", os.getpid()), ("kafka-1", 11), ("worker-1", 12)):
        assert any(line.split()[:3] == [name, "pid", str(pid)] for line in lines), done.stdout
    assert "proxy to Reddit  http://proxy.example:3128" in lines
    assert "SIGNALFLOW_KAFKAA: did you mean SIGNALFLOW_KAFKA?" in done.stderr
    assert "unused setting SIGNALFLOW_REPLICA_MAX_LAG: there is no replica" in done.stderr
    assert "joined by hand are not known" in done.stderr
