"""The settings of the connection to PostgreSQL. They are part of `Settings` (`signalflow/settings.py`)."""

import os
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, PostgresDsn, SecretStr, TypeAdapter, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

Seconds = Annotated[float, Field(gt=0)]

_PASSWORDS = (
    "in user and password write @ as %40, / as %2F, # as %23, ? as %3F, [ as %5B and % as %25: "
    "postgresql://user:p%40ss@host:5432/name"
)


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
        url = value.get_secret_value()
        if url or info.field_name == "database_url":
            try:
                TypeAdapter(PostgresDsn).validate_python(url)
                # Clients differ in which of several @ they take for the end of the password.
                is_clear = urlsplit(url).netloc.count("@") < 2
            except ValueError:  # pydantic's errors are ValueErrors too
                if not url.startswith(("postgres://", "postgresql://")):
                    raise
                is_clear = False
            if not is_clear:
                raise ValueError(f"is no valid URL; {_PASSWORDS}")
        for name, file in parse_qsl(urlsplit(url).query):
            if name in {"sslrootcert", "sslcert", "sslkey"} and not os.access(file, os.R_OK):
                raise ValueError(f"{name}={file} cannot be read")
        return value
