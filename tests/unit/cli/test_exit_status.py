"""Exit statuses: a command that could not look does not say that it found something."""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import typer

from signalflow.cli.failures import explained, looking
from signalflow.errors import Fatal, Invalid, Retryable, SignalflowError
from signalflow.settings import Settings, get_settings
from signalflow.storage.pool import translated

# Nearly every test starts a process.
pytestmark = pytest.mark.slow

FULL = Path("/dev/full")
NOBODY = {"SIGNALFLOW_KAFKA": "127.0.0.1:9", "SIGNALFLOW_DATABASE_URL": "postgresql://u:p@127.0.0.1:9/d"}


@pytest.mark.parametrize(
    "command",
    [
        "topics check",
        "topics list",
        "topics apply",
        "dlq list",
        "dlq stats",
        "dlq show 1",
        "dlq resolve 1 --reason spam",
        "config list",
        "config pause python",
        "migrate --status",
        "coverage",
        "user list",
    ],
)
def test_a_command_that_gets_no_answer_ends_with_3_and_one_sentence(command: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("signalflow"), *command.split()],
        env=os.environ | NOBODY,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize("command", ["list", "replay", "resolve --reason spam"])
def test_a_time_that_ends_before_it_begins_is_a_wrong_use(command: str) -> None:
    done = subprocess.run(
        [
            Path(sys.executable).with_name("signalflow"),
            "dlq",
            *command.split(),
            "--since=2026-01-02",
            "--until=2026-01-01",
        ],
        env=os.environ | NOBODY,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "--until: must be after since" in done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", ["--version", "--help", "up --help"])
def test_output_that_a_full_disk_does_not_take_ends_with_one_sentence(command: str) -> None:
    with FULL.open("w") as full:
        done = subprocess.run(
            [Path(sys.executable).with_name("signalflow"), *command.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (1, "error: the output cannot be written: No space left on device\n")


@pytest.mark.parametrize("command", ["--version", "--help", "up --help"])
def test_output_that_nobody_reads_any_more_ends_without_a_word(command: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [Path(sys.executable).with_name("signalflow"), *command.split()],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.fixture
def unreadable(tmp_path: Path) -> Path:
    # root may read everything; a directory in the file's place is readable to nobody.
    (tmp_path / "state.json").mkdir()
    return tmp_path


@pytest.mark.parametrize(("readable", "status"), [(True, 1), (False, 3)])
def test_status_tells_no_stack_from_a_directory_that_cannot_be_read(
    unreadable: Path, readable: bool, status: int
) -> None:
    directory = unreadable / "empty" if readable else unreadable
    done = subprocess.run(
        [Path(sys.executable).with_name("signalflow"), "status", "--state-dir", directory],
        capture_output=True,
        text=True,
    )
    assert done.returncode == status
    assert str(directory) in done.stderr


@pytest.fixture
def named_installation(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in NOBODY.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_without_an_installation_the_message_says_where_it_looked(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIGNALFLOW_")}
    done = subprocess.run(
        [Path(sys.executable).with_name("signalflow"), "config", "list"],
        env=environment | {"SIGNALFLOW_DATABASE_TIMEOUT": "2"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3
    assert f"no stack runs in {tmp_path / '.signalflow'}" in done.stderr
    assert "SIGNALFLOW_STATE_DIR" in done.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Invalid("no such letter"), 1),
        (Fatal("would lose data"), 1),
        (Retryable("away"), 3),
        (translated(asyncpg.DiskFullError("could not extend file: No space left on device")), 3),
    ],
)
@pytest.mark.usefixtures("named_installation")
def test_an_error_of_a_command_that_does_something(
    error: SignalflowError, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, explained():
        raise error
    assert ended.value.code == status
    assert capsys.readouterr().err == f"error: {error}\n"


def test_a_wrong_setting_ends_with_2_also_where_a_command_looks() -> None:
    with pytest.raises(SystemExit) as ended, explained(), looking():
        Settings(topic_partitions=0)
    assert ended.value.code == 2


@pytest.mark.usefixtures("named_installation")
def test_a_server_that_refuses_the_connection_was_not_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, looking():
        raise Fatal("wrong password")
    assert ended.value.exit_code == 3
    assert capsys.readouterr().err == "error: wrong password\n"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"reddit_source": "feeds"}, "SIGNALFLOW_REDDIT_SOURCE=feeds needs SIGNALFLOW_REDDIT_CONTACT"),
        ({"reddit_contact": "a\nb"}, "SIGNALFLOW_REDDIT_CONTACT: must be 3 to 200 characters"),
        ({"log_json": "ja"}, "SIGNALFLOW_LOG_JSON: must be true or false\n"),
        ({"api_port": "9k"}, "SIGNALFLOW_API_PORT: must be a whole number\n"),
        ({"api_port": "9.5"}, "SIGNALFLOW_API_PORT: must be a whole number\n"),
        ({"api_port": "99999"}, "SIGNALFLOW_API_PORT: must be less than or equal to 65535\n"),
        ({"database_timeout": "ten"}, "SIGNALFLOW_DATABASE_TIMEOUT: must be a number\n"),
        ({"database_timeout": "nan"}, "SIGNALFLOW_DATABASE_TIMEOUT: must be a finite number\n"),
        ({"poll_enabled": "maybe"}, "SIGNALFLOW_POLL_ENABLED: must be true or false\n"),
        ({"log_level": "loud"}, "SIGNALFLOW_LOG_LEVEL: must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'\n"),
        ({"topic_prefix": "a b"}, "SIGNALFLOW_TOPIC_PREFIX: has a character that it may not have, or is too long\n"),
        ({"kafka_ca_file": "/nowhere"}, "SIGNALFLOW_KAFKA_CA_FILE: must be the path of a file that exists\n"),
        ({"post_state_hours": "inf"}, "SIGNALFLOW_POST_STATE_HOURS: must be a finite number\n"),
    ],
)
def test_a_wrong_setting_is_told_in_our_words_alone(
    wrong: dict[str, str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, explained():
        Settings(**wrong)  # type: ignore[arg-type]
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(told)


def run_signalflow(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does. Its output may hold any bytes."""
    program = Path(sys.executable).with_name("signalflow")
    return subprocess.run([program, *arguments], capture_output=True, text=True, errors="replace", **options)


@pytest.mark.parametrize(("command", "status"), [("status", 3), ("down", 3), ("logs", 3), ("gaps", 3), ("up", 3)])
def test_a_command_in_a_directory_that_was_removed_ends_with_one_sentence(
    tmp_path: Path, command: str, status: int
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"cd {shlex.quote(str(gone))} && rmdir {shlex.quote(str(gone))} && exec signalflow {command}"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["sh", "-c", script], env=os.environ | {"PATH": path}, capture_output=True, text=True)
    told = "error: the current directory was removed: change to another one, or give absolute paths\n"
    assert (done.returncode, done.stdout, done.stderr) == (status, "", told)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_output_that_the_terminal_cannot_show_is_escaped(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "api.log").write_text("price: 5 €\n", encoding="utf-8")
    done = run_signalflow(
        "logs", "--state-dir", tmp_path, env=os.environ | {"PYTHONIOENCODING": encoding}, encoding="utf-8"
    )
    shown = "€" if encoding == "utf-8" else "\\u20ac"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"api  price: 5 {shown}\n", "")


def test_a_directory_whose_name_is_no_text_can_be_shown(tmp_path: Path) -> None:
    done = run_signalflow("down", "--state-dir", os.fsdecode(bytes(tmp_path) + b"/caf\xe9"))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"nothing runs in {tmp_path}/caf\\udce9\n", "")


def test_a_file_in_the_place_of_a_directory_is_named_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("")
    done = run_signalflow("up", "--detach", "--state-dir", tmp_path)
    assert (done.returncode, done.stderr) == (1, f"error: {tmp_path / 'logs'}: File exists\n")


def test_a_worker_whose_directory_cannot_be_used_names_it_and_the_setting(tmp_path: Path) -> None:
    (tmp_path / "workers").write_text("")
    faust = Path(sys.executable).with_name("faust")
    done = subprocess.run(
        [faust, "-A", "signalflow", "worker"],
        env=os.environ | NOBODY | {"SIGNALFLOW_STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    told = f"error: {tmp_path}/workers/worker-1 cannot be used: Not a directory; set SIGNALFLOW_STATE_DIR to"
    assert done.returncode == 1
    assert done.stderr.startswith(told)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [("--workers", "0"), ("--workers", "65"), ("--port-base", "80"), ("--port-base", "65500"), ("--brokers", "2")],
)
def test_an_option_of_up_that_is_out_of_range_is_wrong_use(tmp_path: Path, option: str, value: str) -> None:
    done = run_signalflow("up", "--state-dir", tmp_path, option, value)
    assert done.returncode == 2
    assert option in done.stderr


@pytest.mark.parametrize(
    ("option", "value"), [("--growth", "0"), ("--speed", "-1"), ("--activity", "-1"), ("--host", "0.0.0.0")]
)
def test_an_option_of_the_simulator_that_is_out_of_range_is_wrong_use(option: str, value: str) -> None:
    done = run_signalflow("simulator", "--port", "0", option, value, timeout=20)
    assert done.returncode == 2
    assert option.removeprefix("--") in done.stderr


def test_a_misspelt_setting_is_named_by_a_command_that_asks_the_installation() -> None:
    done = run_signalflow("gaps", env=os.environ | NOBODY | {"SIGNALFLOW_DATABSE_URL": "postgresql://u@production/d"})
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == (
        "unknown setting SIGNALFLOW_DATABSE_URL: did you mean SIGNALFLOW_DATABASE_URL?"
    )


@pytest.mark.parametrize(
    "command",
    [
        "ingest file {file}",
        "backfill {file}",
        "topics list",
        "topics create",
        "verify",
        "gaps",
        "user add ann --without-password",
    ],
)
def test_an_installation_that_does_not_answer_is_told_once(tmp_path: Path, command: str) -> None:
    (tmp_path / "posts.ndjson").write_text("")
    words = command.format(file=tmp_path / "posts.ndjson").split()
    done = run_signalflow(*words, env=os.environ | NOBODY)
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize(
    ("command", "url", "named"),
    [
        ("gaps", "postgresql://u:hush@127.0.0.1:9/d", "127.0.0.1"),
        ("gaps", "postgresql://u:hush@no-such-host.invalid/d", "no-such-host.invalid"),
        ("migrate --status", "postgresql://u:hush@no-such-host.invalid/d", "no-such-host.invalid"),
    ],
)
def test_a_database_that_does_not_answer_is_named_with_its_setting(command: str, url: str, named: str) -> None:
    done = run_signalflow(*command.split(), env=os.environ | NOBODY | {"SIGNALFLOW_DATABASE_URL": url})
    assert done.returncode == 3
    assert named in done.stderr
    assert "SIGNALFLOW_DATABASE_URL" in done.stderr
    assert "hush" not in done.stderr


def test_a_simulator_whose_port_is_in_use_says_only_that(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_signalflow("simulator", "--port", str(port), cwd=tmp_path, timeout=20)
    told = f"error: 127.0.0.1:{port} cannot be used (Address already in use); choose another --port\n"
    assert (done.returncode, done.stderr) == (1, told)


@pytest.mark.parametrize("url", ["redis", "localhost:6379", "http://localhost"])
def test_a_redis_url_of_another_form_is_refused_with_the_form_of_a_right_one(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit), explained():
        Settings(redis_url=url)  # type: ignore[arg-type]
    assert capsys.readouterr().err == "SIGNALFLOW_REDIS_URL: must be a URL such as redis://:password@host:6379/0\n"
