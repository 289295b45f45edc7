"""The settings of the connection to PostgreSQL. They are part of `Settings` (`signalflow/settings.py`)."""

import os
import re
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, PostgresDsn, SecretStr, TypeAdapter, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

Seconds = Annotated[float, Field(gt=0)]

_PASSWORDS = (
    "in user and password write @ as %40, / as %2F, # as %23, ? as %3F, [ as %5B and % as %25: "
    "postgresql://user:p%40ss@host:5432/name"
)
# Parameters of libpq and of other programs. Ours would send them to the server as its settings, which refuses them.
_OF_OTHER_CLIENTS = frozenset(
    {
        "channel_binding", "connect_timeout", "connection_limit", "fallback_application_name", "gssencmode",
        "hostaddr", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval",
        "load_balance_hosts", "pgbouncer", "pool_timeout", "prepared_statements", "require_auth",
        "requirepeer", "replication", "requiressl", "schema", "sslcompression", "sslsni",
        "tcp_user_timeout",
    }
)  # fmt: skip
_TLS_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SECRETS = re.compile(r"(\b(?:ssl)?password=)[^&]*")


class DatabaseSettings(BaseSettings):
    """The primary, the replica, and limits of their use. Raises pydantic.ValidationError for a URL that cannot work."""

    database_url: SecretStr = Field(
        SecretStr("postgresql://signalflow@127.0.0.1:5432/signalflow"),
        description="PostgreSQL 15+ (TimescaleDB or plain).",
    )
    database_timeout: Seconds = Field(10.0, description="Seconds a statement or a connection attempt may take.")
    database_pool_size: int = Field(4, ge=1, le=100, description="Connections of one process.")
    database_replica_url: SecretStr = Field(
        SecretStr(""), description="A streaming replica for the API's reads; empty: they go to the primary."
    )
    replica_max_lag: Seconds = Field(
        5.0, description="Seconds the replica may be behind; beyond that, reads go to the primary."
    )
    read_timeout: Seconds = Field(5.0, description="Seconds a read of the API may take in the database.")

    @field_validator("database_url", "database_replica_url")
    @classmethod
    def _database_url_is_postgres(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        # Files of secrets end with a line end.
        url = value.get_secret_value().strip()
        if url or info.field_name == "database_url":
            _refuse_unusable(url)
        for name, file in parse_qsl(urlsplit(url).query):
            if name in {"sslrootcert", "sslcert", "sslkey"} and not os.access(file, os.R_OK):
                raise ValueError(f"{name}={file} cannot be read")
        return SecretStr(url)


def _refuse_unusable(url: str) -> None:
    """Raises ValueError, without a word of user and password, for what the client of PostgreSQL cannot use."""
    if not url.lower().startswith(("postgres://", "postgresql://")):
        raise ValueError("must begin with postgresql://, such as postgresql://user:password@host:5432/name")
    try:
        parts = urlsplit(url)
        # A URL that ends in a path and `?host=` is of a socket; pydantic requires a host.
        user, at, host = parts.netloc.rpartition("@")
        TypeAdapter(PostgresDsn).validate_python(parts._replace(netloc=f"{user}{at}{host or 'localhost'}").geturl())
        # Clients differ in which of several @ they take for the end of the password. Behind the host there is one only
        # if the password has the character that ends the host.
        is_clear = "@" not in user and "@" not in parts.path + parts.fragment and (at or "@" not in parts.query)
    except ValueError:  # pydantic's errors are ValueErrors too
        is_clear = False
    if not is_clear:
        raise ValueError(f"is no valid URL; {_PASSWORDS}")
    given = dict(parse_qsl(parts.query))
    foreign = sorted(given.keys() & _OF_OTHER_CLIENTS)
    if foreign:
        raise ValueError(f"has {', '.join(foreign)}, which only other clients of PostgreSQL know: leave it out")
    if given.get("sslmode", "prefer") not in _TLS_MODES:
        raise ValueError(f"has an unknown sslmode: it is one of {', '.join(_TLS_MODES)}")


def without_password(url: str) -> str:
    """A URL of PostgreSQL as it may be shown."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    shown = f"{name}:***" if colon else name
    rest = parts._replace(scheme="", netloc="", query=_SECRETS.sub(r"\1***", parts.query)).geturl()
    return f"{parts.scheme}://{shown}{at}{host}{rest}"
