"""The machine on which the figures were measured, and the processor time that each part took."""

import contextlib
import os
import platform
import sys
from pathlib import Path
from typing import Any

import psutil


def description() -> dict[str, Any]:
    """Cores, processor, memory, versions, and how busy the machine was before the bench began (load average)."""
    return {
        "cores": psutil.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "load_average_before": [round(load, 2) for load in os.getloadavg()],
    }


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or sys.platform


class CpuMeter:
    """Processor seconds (user and system) of named process trees between `start` and `stop`."""

    def __init__(self, **pids: int) -> None:
        self._pids = pids
        self._before: dict[str, float] = {}

    def start(self) -> None:
        """Start, or start again from 0."""
        self._before = self._now()

    def stop(self) -> dict[str, float]:
        """Seconds by name since `start`."""
        now = self._now()
        return {name: round(now[name] - before, 2) for name, before in self._before.items()}

    def ended(self) -> list[str]:
        """The names of the processes that have ended."""
        return [name for name, pid in self._pids.items() if not _runs(pid)]

    def _now(self) -> dict[str, float]:
        return {name: _seconds(psutil.Process(pid)) for name, pid in self._pids.items()}


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _seconds(root: psutil.Process) -> float:
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            # Children that have ended count with the process that waited for them.
            total += (
                times.user + times.system + getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
            )
    return total
