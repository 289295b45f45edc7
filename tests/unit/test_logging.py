"""Log lines: work goes on when they cannot be written."""

import contextlib
import sys
from pathlib import Path

import pytest
import structlog

from signalflow.logs import configure_logging
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
