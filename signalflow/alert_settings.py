"""The settings of alerts: where they may be sent to. They are part of `Settings` (`signalflow/settings.py`)."""

from ipaddress import IPv4Network, IPv6Network, ip_network

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

Network = IPv4Network | IPv6Network


def networks_of(text: str) -> tuple[Network, ...]:
    """Networks such as `10.1.0.0/16, fd00:1::/64`. Raises ValueError, which names the wrong one."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


class AlertSettings(BaseSettings):
    """Where alerts may be sent to. Raises pydantic.ValidationError for what is no network."""

    alert_networks: str = Field(
        "",
        description="Networks beside the public internet that alerts may be sent to, comma-separated, such as "
        "`10.1.0.0/16`; their answers are shown to whoever made the target. Empty: none.",
    )

    @field_validator("alert_networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        networks_of(value)
        return value

    @property
    def allowed_networks(self) -> tuple[Network, ...]:
        """What `alert_networks` names."""
        return networks_of(self.alert_networks)
