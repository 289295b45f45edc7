"""Examines this machine: settings, secrets, disk, ports, versions. Asks no server."""

import os
import platform
import shutil
import socket
import stat
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from signalflow.doctor.finding import Finding, Verdict
from signalflow.settings import Settings, unknown_variables, unused_variables

# Kafka and PostgreSQL keep a day of the demo in about 1 GiB; both end when their disk is full.
_LITTLE_ROOM = 2 << 30
_NO_ROOM = 256 << 20
_OLDEST_PYTHON = (3, 11)
_SHORT_SECRET = 32


def examine_settings(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Variables that are no settings, or have no effect."""
    unknown = unknown_variables(environment)
    for name, meant in unknown.items():
        yield Finding(
            "settings", "wrong", f"{name} is no setting", f"rename it to {meant}" if meant else "see docs/settings.md"
        )
    unused = unused_variables(environment, settings)
    for name, reason in unused.items():
        yield Finding("settings", "warning", f"{name} has no effect: {reason}", "unset it")
    if not unknown and not unused:
        yield Finding("settings", "ok", "every variable of the environment is a setting that has an effect")


def examine_secrets(settings: Settings) -> Iterator[Finding]:
    """Secrets that others can guess or read."""
    secret = settings.api_secret.get_secret_value()
    if secret and len(secret) < _SHORT_SECRET:
        yield Finding(
            "secrets",
            "wrong",
            f"SIGNALFLOW_API_SECRET has {len(secret)} characters: whoever guesses it signs in as anybody",
            "make one with `openssl rand -base64 48`; everybody must sign in again",
        )
    readable = sorted(_readable_by_others(settings.state_dir))
    for path in readable:
        yield Finding("secrets", "wrong", f"other users of this machine may read {path}", f"chmod go= {path}")
    if not readable:
        yield Finding("secrets", "ok", "no other user of this machine may read the files with secrets")


def _readable_by_others(state_dir: Path) -> Iterator[Path]:
    """The state directory keeps others out of all that is in it."""
    for path in (state_dir, Path(".env")):
        try:
            mode = path.stat().st_mode
        except OSError:
            continue
        if mode & (stat.S_IRGRP | stat.S_IROTH):
            yield path.resolve()


def examine_disk(settings: Settings) -> Iterator[Finding]:
    """Room on the disk of the state directory."""
    place = settings.state_dir.resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    verdict: Verdict = "wrong" if free < _NO_ROOM else "warning" if free < _LITTLE_ROOM else "ok"
    fix = "" if verdict == "ok" else "free some space, or set SIGNALFLOW_STATE_DIR to a directory of another disk"
    yield Finding("disk", verdict, f"{free / (1 << 30):.1f} GiB are free where {settings.state_dir} is", fix)


def examine_ports(settings: Settings, *, api_answers: bool) -> Iterator[Finding]:
    """The API's port: taken by something else, the API could not start."""
    place = f"{settings.api_host}:{settings.api_port}"
    if api_answers:
        yield Finding("ports", "ok", f"the API answers at {place}")
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.api_host, settings.api_port))
        except OSError as error:
            yield Finding(
                "ports",
                "wrong",
                f"the API cannot have {place}: {os.strerror(error.errno or 0)}",
                "stop what uses it (`ss -ltnp` names it), or set SIGNALFLOW_API_PORT",
            )
            return
    yield Finding("ports", "ok", f"{place} is free; no API runs there")


def examine_versions(python: tuple[int, int] = sys.version_info[:2]) -> Iterator[Finding]:
    """The interpreter, and the versions to tell when asking for help."""
    says = f"signalflow {version('signalflow')}, Python {platform.python_version()}, {platform.platform(terse=True)}"
    if python < _OLDEST_PYTHON:
        yield Finding("versions", "wrong", says, "install Python 3.11 or later")
    else:
        yield Finding("versions", "ok", says)
