"""`signalflow replay`: wrong use is named before Kafka is asked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.test_exit_status import NOBODY


def replay(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("signalflow")
    return subprocess.run(
        [program, "replay", *arguments], env=os.environ | NOBODY | {"COLUMNS": "200"}, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--from"),
        (["--from", "yesterday"], "--from"),
        (["--from", "5"], "an offset needs --partition"),
        (["--from", "2026-01-01", "--to", "5"], "--to"),
        (["--from", "2026-01-01", "--topic", "enriched"], "--topic"),
        (["--from", "2026-01-01", "--rate", "-1"], "--rate"),
    ],
)
def test_wrong_use_names_the_option(arguments: list[str], named: str) -> None:
    done = replay(*arguments)
    assert done.returncode == 2
    assert named in done.stderr


@pytest.mark.slow
def test_kafka_that_does_not_answer_is_told_once() -> None:
    done = replay("--from", "2026-01-01", "--to", "2026-01-02T10:00", "--topic", "comments")
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
