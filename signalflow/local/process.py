"""Child processes that end with their parent. Each has a session of its own, and its output goes to a log file."""

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
# Loaded here and not in the child, because nothing may be imported between fork and exec.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Account:
    """The operating system's account that a child runs under."""

    uid: int
    gid: int


class Privileges(TypedDict):
    """The keyword arguments of subprocess that choose the account of a child."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


def privileges(account: Account | None) -> Privileges:
    """The arguments that start a child under this account; None: under the account of this process."""
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
    """The signal that the kernel sends it when this process dies without stopping it (Linux only)."""


def spawn(launch: Launch, log: Path) -> subprocess.Popen[bytes]:
    """Start the program in a session of its own, so that Ctrl-C reaches only this process. Its output goes to `log`.

    The calling thread must live as long as the child: the kernel sends the death signal when that thread ends.
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
    """What the child calls before exec, and after it dropped its privileges, which would clear the setting."""
    libc = _LIBC
    if libc is None:
        return None

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the kernel was asked
            os.kill(os.getpid(), death_signal)

    return ask_kernel


def stop(process: subprocess.Popen[bytes], first: signal.Signals, grace: float) -> bool:
    """End the process and its children: with the signal `first`, after `grace` seconds with SIGKILL.

    True when SIGKILL was not needed.
    """
    ended = True
    if process.poll() is None:
        process.send_signal(first)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            ended = False
    kill_session(process.pid)
    process.wait()
    return ended


def kill_session(leader_pid: int) -> None:
    """Send SIGKILL to all processes left in the process group that `spawn` made for this child."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader_pid, signal.SIGKILL)


def wait_until(condition: Callable[[], bool], timeout: float, interval: float = 0.05) -> bool:
    """Check the condition every `interval` seconds, for at most `timeout` seconds. True when it came true in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log file, for an error message; empty when there is no file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 200 * lines))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
