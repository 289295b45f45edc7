"""The settings of the connection to Kafka. They are part of `Settings` (`signalflow/settings.py`), which others use."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, FilePath, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

# An empty variable counts as not set.
OptionalFile = Annotated[FilePath | None, BeforeValidator(lambda value: value or None)]

_HIGHEST_PORT = 65_535


class KafkaSettings(BaseSettings):
    """Addresses, security and credentials. Raises pydantic.ValidationError when they do not fit each other."""

    kafka: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, `host:port[,host:port]`.")
    kafka_security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        "plaintext",
        description="Security protocol of Kafka: `..._ssl` and `ssl` use TLS, `sasl_...` user and password.",
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism, with `sasl_plaintext` and `sasl_ssl`."
    )
    kafka_user: str = Field("", description="User, with `sasl_plaintext` and `sasl_ssl`.")
    kafka_password: SecretStr = Field(SecretStr(""), description="Password of that user.")
    kafka_ca_file: OptionalFile = Field(
        None, description="PEM file of the CA that signed the brokers' certificates; empty: the CAs of this machine."
    )
    kafka_cert_file: OptionalFile = Field(
        None, description="PEM file of this client's certificate, where the brokers require one (mutual TLS)."
    )
    kafka_key_file: OptionalFile = Field(None, description="PEM file of the private key of that certificate.")
    kafka_key_password: SecretStr = Field(SecretStr(""), description="Password of the private key, if it is encrypted.")

    @field_validator("kafka")
    @classmethod
    def _kafka_has_ports(cls, value: str) -> str:
        for server in value.split(","):
            host, _, port = server.strip().rpartition(":")
            is_port = port.isdecimal() and 0 < int(port) <= _HIGHEST_PORT
            # A user of another client may put a scheme, such as `kafka://`, in front.
            if not is_port or not host or set(host) & set("/ "):
                raise ValueError(f"{server!r} is not host:port; give SIGNALFLOW_KAFKA as host:9092[,host:9092]")
        return value

    @model_validator(mode="after")
    def _security_is_complete(self) -> "KafkaSettings":
        security = f"SIGNALFLOW_KAFKA_SECURITY={self.kafka_security}"
        user = [self.kafka_user, self.kafka_password.get_secret_value()]
        if self.kafka_uses_sasl and not all(user):
            raise ValueError(f"{security} needs both: set SIGNALFLOW_KAFKA_USER and SIGNALFLOW_KAFKA_PASSWORD")
        if any(user) and not self.kafka_uses_sasl:
            raise ValueError(f"{security} sends no user and password: set it to sasl_ssl or sasl_plaintext")
        if (self.kafka_ca_file or self.kafka_cert_file or self.kafka_key_file) and not self.kafka_uses_tls:
            raise ValueError(f"{security} uses no certificates: set it to ssl or sasl_ssl")
        if (self.kafka_cert_file is None) != (self.kafka_key_file is None):
            raise ValueError("SIGNALFLOW_KAFKA_CERT_FILE and SIGNALFLOW_KAFKA_KEY_FILE must be set together")
        return self

    @property
    def kafka_uses_tls(self) -> bool:
        """Whether connections to Kafka are encrypted."""
        return self.kafka_security in {"ssl", "sasl_ssl"}

    @property
    def kafka_uses_sasl(self) -> bool:
        """Whether clients of Kafka authenticate with user and password."""
        return self.kafka_security in {"sasl_plaintext", "sasl_ssl"}
