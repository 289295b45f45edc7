"""What the examinations make of facts: each planted fault is found, named, and has a remedy."""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

import signalflow.doctor.examination as examination
from signalflow.cli.main import _register, app
from signalflow.doctor.database import ServerFacts, judge_server, judge_workers
from signalflow.doctor.finding import Finding
from signalflow.doctor.machine import (
    examine_disk,
    examine_ports,
    examine_secrets,
    examine_settings,
    examine_versions,
)
from signalflow.doctor.services import judge_requests, judge_source
from signalflow.domain.budget import NO_REQUESTS, AddressBlock
from signalflow.settings import Settings
from signalflow.storage.workers import WorkerRow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WELL = ServerFacts("17.2", 17, True, True, "UTF8", True, False, NOW)
WORKER = WorkerRow("w1", 1, "http://127.0.0.1:1", "running", True, True, NOW, NOW, 1.0)


def wrong(findings: Iterator[Finding]) -> list[Finding]:
    """What is not well; each of these must say what to do."""
    bad = [finding for finding in findings if finding.verdict != "ok"]
    assert all(finding.fix for finding in bad)
    return bad


def test_a_server_that_is_well_has_nothing_to_mend() -> None:
    assert wrong(judge_server(WELL, NOW, NOW)) == []
    assert wrong(judge_workers([WORKER])) == []


@pytest.mark.parametrize(
    ("change", "verdict", "named"),
    [
        ({"fsync": False}, "wrong", "fsync is off"),
        ({"full_page_writes": False}, "wrong", "full_page_writes is off"),
        ({"encoding": "LATIN1", "folds_letters": False}, "wrong", "encoding LATIN1"),
        ({"folds_letters": False}, "warning", "no letters but A to Z"),
        ({"in_recovery": True}, "wrong", "a standby"),
        ({"major": 14}, "wrong", "PostgreSQL 14 is too old"),
        ({"now": NOW + timedelta(seconds=3)}, "wrong", "differ by 3 s"),
        ({"now": NOW - timedelta(seconds=3)}, "wrong", "differ by 3 s"),
    ],
)
def test_each_fault_of_a_server_is_one_finding(change: dict[str, Any], verdict: str, named: str) -> None:
    (found,) = wrong(judge_server(replace(WELL, **change), NOW, NOW))
    assert found.verdict == verdict
    assert named in found.says


def test_a_server_that_takes_long_to_answer_has_no_wrong_clock() -> None:
    assert wrong(judge_server(replace(WELL, now=NOW + timedelta(seconds=30)), NOW, NOW + timedelta(minutes=1))) == []


@pytest.mark.parametrize(
    ("workers", "named"), [([], "no worker runs"), ([replace(WORKER, is_poller=False)], "no worker polls")]
)
def test_an_installation_in_which_nobody_works_or_polls_is_told(workers: list[WorkerRow], named: str) -> None:
    (found,) = wrong(judge_workers(workers))
    assert named in found.says


WINDOW = replace(NO_REQUESTS, window_remaining=900.0, window_ends_in=540.0)


@pytest.mark.parametrize(
    ("stand", "verdict", "says", "fix"),
    [
        (replace(NO_REQUESTS, address_block=AddressBlock("page", 90.0, 4), blocked_for=60.0, limits_in_a_row=4),
         "wrong", "blocked the address that polls for 90 s (page)", "SIGNALFLOW_REDDIT_FEED"),
        (replace(WINDOW, limits_in_a_row=2, blocked_for=41.0), "warning", "it is asked again in 41 s", "same client"),
        # 60 requests a minute are 540 in nine minutes.
        (replace(WINDOW, window_remaining=539.0), "warning", "next 540 s, less than", "other programs"),
        (replace(WINDOW, window_remaining=540.0), "ok", "540 requests in the next 540 s", ""),
    ],
    ids=["blocked", "limited", "a quota that others use", "a quota that suffices"],
)  # fmt: skip
def test_what_reddit_allows_is_told_as_the_poller_noted_it(stand: Any, verdict: str, says: str, fix: str) -> None:
    (found,) = judge_requests(stand, Settings(requests_per_minute=60))
    assert (found.subject, found.verdict) == ("reddit", verdict)
    assert says in found.says
    assert fix in found.fix


def test_a_window_that_has_ended_says_nothing_and_feeds_have_no_quota_of_ours() -> None:
    assert list(judge_requests(NO_REQUESTS, Settings())) == []
    assert list(judge_requests(replace(WINDOW, window_ends_in=0.0), Settings())) == []
    feeds = Settings(reddit_source="feeds", reddit_contact="me@example.org")
    assert list(judge_requests(replace(WINDOW, window_remaining=0.0), feeds)) == []


def test_variables_without_effect_are_told_with_what_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"SIGNALFLOW_KAFFKA": "x"}
    (found,) = wrong(examine_settings(Settings(), given))
    assert (found.verdict, found.fix) == ("wrong", "rename it to SIGNALFLOW_KAFKA")
    assert wrong(examine_settings(Settings(), {"HOME": "/"})) == []


def test_a_secret_that_can_be_guessed_and_files_that_others_may_read_are_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    settings = Settings(api_secret=SecretStr("x" * 31), state_dir=tmp_path)
    guessed, readable = wrong(examine_secrets(settings))
    assert "31 characters" in guessed.says
    assert str(tmp_path) in readable.says
    tmp_path.chmod(0o700)
    assert wrong(examine_secrets(Settings(api_secret=SecretStr("x" * 32), state_dir=tmp_path))) == []


@pytest.mark.parametrize(
    ("free", "verdict"),
    [((2 << 30), "ok"), ((2 << 30) - 1, "warning"), ((256 << 20), "warning"), ((256 << 20) - 1, "wrong")],
)
def test_a_disk_is_told_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: str
) -> None:
    asked = []

    def usage(path: Path) -> Any:
        asked.append(path)
        return type("Usage", (), {"free": free})

    monkeypatch.setattr(shutil, "disk_usage", usage)
    (found,) = examine_disk(Settings(state_dir=tmp_path / "not" / "yet"))
    assert found.verdict == verdict
    assert asked == [tmp_path.resolve()]


def test_a_port_that_something_else_has_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(api_port=taken.getsockname()[1])
        (found,) = wrong(examine_ports(settings, api_answers=False))
        assert wrong(examine_ports(settings, api_answers=True)) == []
    assert f"127.0.0.1:{settings.api_port}" in found.says
    assert wrong(examine_ports(settings, api_answers=False)) == []


def test_an_old_interpreter_and_a_missing_source_are_told() -> None:
    assert wrong(examine_versions((3, 10)))
    assert wrong(examine_versions((3, 11))) == []
    assert wrong(judge_source(Settings()))
    assert wrong(judge_source(Settings(reddit_source="simulator", reddit_base_url="http://127.0.0.1:1"))) == []


@pytest.mark.parametrize(
    ("verdicts", "status"), [(["ok", "warning"], 0), (["unknown", "ok"], 3), (["unknown", "wrong"], 1)]
)
def test_the_exit_status_tells_the_worst(monkeypatch: pytest.MonkeyPatch, verdicts: list[Any], status: int) -> None:
    async def examine(settings: Settings) -> list[Finding]:
        return [Finding("thing", verdict, "it is so", "mend it") for verdict in verdicts]

    monkeypatch.setattr(examination, "examine", examine)
    _register()
    done = CliRunner().invoke(app, ["doctor", "--json"], env={"HOME": os.environ["HOME"]})
    assert done.exit_code == status
    assert [finding["verdict"] for finding in json.loads(done.output)["findings"]] == verdicts
    text = CliRunner().invoke(app, ["doctor"]).output
    assert text.count("-> mend it") == len(verdicts)
