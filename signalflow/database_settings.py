"""The settings of the connection to PostgreSQL. They are part of `Settings` (`signalflow/settings.py`)."""

import os
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, PostgresDsn, SecretStr, TypeAdapter, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

Seconds = Annotated[float, Field(gt=0)]


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
        if value.get_secret_value() or info.field_name == "database_url":
            TypeAdapter(PostgresDsn).validate_python(value.get_secret_value())
        for name, file in parse_qsl(urlsplit(value.get_secret_value()).query):
            if name in {"sslrootcert", "sslcert", "sslkey"} and not os.access(file, os.R_OK):
                raise ValueError(f"{name}={file} cannot be read")
        return value
