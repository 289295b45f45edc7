"""Log lines: work goes on when they cannot be written."""

import contextlib
import sys
from pathlib import Path

import pytest
import structlog

from signalflow.logs import configure_logging, warn_of_settings_without_effect
from signalflow.settings import Settings

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("level", ["info", "warning", "error", "critical", "exception"])
@pytest.mark.parametrize("as_json", [True, False])
def test_a_log_line_that_a_full_disk_does_not_take_is_left_out(
    monkeypatch: pytest.MonkeyPatch, level: str, as_json: bool
) -> None:
    full = FULL.open("w", buffering=1)
    monkeypatch.setattr(sys, "stderr", full)
    configure_logging(Settings(log_json=as_json))
    getattr(structlog.get_logger(), level)("commit_failed", retry_in=1.0)
    with contextlib.suppress(OSError):
        full.close()


def test_settings_without_effect_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALFLOW_KAFKAA", "b:1")
    monkeypatch.setenv("SIGNALFLOW_REPLICA_MAX_LAG", "9")
    with structlog.testing.capture_logs() as lines:
        warn_of_settings_without_effect(Settings())
    named = [(line["event"], line["name"], line.get("did_you_mean") or line["reason"]) for line in lines]
    assert named == [
        ("unknown_setting", "SIGNALFLOW_KAFKAA", "SIGNALFLOW_KAFKA"),
        ("unused_setting", "SIGNALFLOW_REPLICA_MAX_LAG", "SIGNALFLOW_DATABASE_REPLICA_URL is empty"),
    ]
