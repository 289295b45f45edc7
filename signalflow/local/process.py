"""Child processes that end with their parent: in sessions of their own, with their output in a log file."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

_PR_SET_PDEATHSIG = 1
# Loaded here and not in the child: between fork and exec nothing may be imported.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Account:
    """The system account that a child runs under."""

    uid: int
    gid: int


class Privileges(TypedDict):
    """The keyword arguments of subprocess that choose the account."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


def privileges(account: Account | None) -> Privileges:
    """The arguments that drop to this account; for None, those that change nothing."""
    if account is None:
        return {"user": None, "group": None, "extra_groups": None}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


@dataclass(frozen=True)
class Launch:
    """How to start one program, and how to ask it to end."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    account: Account | None = None
    """None: the account of this process."""
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = field(default=signal.SIGKILL)
    """What the kernel sends it when this process dies without stopping it (Linux only)."""


def spawn(launch: Launch, log: Path) -> subprocess.Popen[bytes]:
    """Start the program in a session of its own, so that Ctrl-C reaches only this process; its output is appended to `log`.

    Call it from a thread that lives as long as the child should: the kernel's death signal watches the thread.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            launch.argv,
            env=launch.env,
            cwd=launch.cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with(os.getpid(), launch.death_signal),
            **privileges(launch.account),
        )


def _die_with(parent: int, death_signal: signal.Signals) -> Callable[[], None] | None:
    """What the child runs after it dropped its privileges (which would clear the setting) and before exec."""
    libc = _LIBC
    if libc is None:
        return None

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the kernel was asked
            os.kill(os.getpid(), death_signal)

    return ask_kernel


def stop(process: subprocess.Popen[bytes], first: signal.Signals, grace: float) -> bool:
    """End the process and whatever it started: `first`, after `grace` seconds SIGKILL. True when it went by itself."""
    gentle = True
    if process.poll() is None:
        process.send_signal(first)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            gentle = False
    kill_session(process.pid)
    process.wait()
    return gentle


def kill_session(leader_pid: int) -> None:
    """SIGKILL to what is left of the process group that `spawn` made for this child."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader_pid, signal.SIGKILL)


def wait_until(condition: Callable[[], bool], timeout: float, interval: float = 0.05) -> bool:
    """Ask every `interval` seconds until it holds or `timeout` seconds are over; the last answer."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log file, for an error message; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 200 * lines))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
