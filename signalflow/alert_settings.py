"""The settings of alerts: where they may be sent to, and the mail server. They are part of `Settings`."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

Network = IPv4Network | IPv6Network
# Of one plain ASCII address: nothing that ends a header or begins a second address.
MAIL_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
LONGEST_MAIL_ADDRESS = 254
_HERE = frozenset({"127.0.0.1", "::1", "localhost"})


def networks_of(text: str) -> tuple[Network, ...]:
    """Networks such as `10.1.0.0/16, fd00:1::/64`. Raises ValueError, which names the wrong one."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_mail_address(text: str) -> bool:
    """Whether this is one address of e-mail that a header can hold."""
    return len(text) <= LONGEST_MAIL_ADDRESS and MAIL_ADDRESS.fullmatch(text) is not None


class AlertSettings(BaseSettings):
    """Where alerts may be sent to, and by which mail server. Raises pydantic.ValidationError for what cannot work."""

    alert_networks: str = Field(
        "",
        description="Networks beside the public internet that alerts may be sent to, comma-separated, such as "
        "`10.1.0.0/16`; their answers are shown to whoever made the target. Empty: none.",
    )
    alert_retention_days: int = Field(
        30, ge=3, description="Days that alerts, and what became of their messages, are kept."
    )
    smtp_host: str = Field("", description="Mail server that sends alerts by e-mail; empty: none are sent by e-mail.")
    smtp_port: int = Field(587, ge=1, le=65535, description="Its port.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the connection is encrypted: `tls` from its beginning (port 465)."
    )
    smtp_user: str = Field("", description="User at the mail server; empty: none.")
    smtp_password: SecretStr = Field(SecretStr(""), description="Its password.")
    smtp_from: str = Field("", description="Address that e-mails come from; needed with SIGNALFLOW_SMTP_HOST.")

    @field_validator("alert_networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        networks_of(value)
        return value

    @field_validator("smtp_password")
    @classmethod
    def _without_line_end(cls, value: SecretStr) -> SecretStr:
        # Files of secrets often end with a line end.
        return SecretStr(value.get_secret_value().strip())

    @field_validator("smtp_from")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if value and not is_mail_address(value):
            raise ValueError("must be one address without a name, such as signalflow@example.org")
        return value

    @model_validator(mode="after")
    def _mail_can_be_sent(self) -> "AlertSettings":
        if self.smtp_host and not self.smtp_from:
            raise ValueError("SIGNALFLOW_SMTP_HOST needs SIGNALFLOW_SMTP_FROM: set the address that e-mails come from")
        if bool(self.smtp_user) != bool(self.smtp_password.get_secret_value()):
            raise ValueError("SIGNALFLOW_SMTP_USER and SIGNALFLOW_SMTP_PASSWORD must be set together")
        if self.smtp_security == "none" and self.smtp_user and self.smtp_host not in _HERE:
            raise ValueError(
                "SIGNALFLOW_SMTP_SECURITY=none would send the password readable: set starttls or tls, or unset user "
                "and password"
            )
        return self

    @property
    def allowed_networks(self) -> tuple[Network, ...]:
        """What `alert_networks` names."""
        return networks_of(self.alert_networks)
