"""Which addresses an alert may be sent to: those of the public internet, and networks that the operator allows.

Users write the URLs of their targets, so a URL may name a machine beside this one, or the address at which clouds hand
out credentials. Names do not help to judge that: only the address does to which the connection is made.
"""

import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from signalflow.alert_settings import Network

ALLOWED_BY = "SIGNALFLOW_ALERT_NETWORKS"


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


# IANA's registries of special addresses, with the few that are globally reachable: they are of name servers and relays.
# Python's `is_global` differs between its releases.
_NOT_PUBLIC = _networks(
    # of IPv4
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    # of IPv6: protocols such as Teredo, documentation, 6to4, which leads to any address of IPv4
    "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
)  # fmt: skip
# All other addresses of IPv6 belong to one machine or network, or to nobody.
_IPV6_UNICAST = IPv6Network("2000::/3")
# Networks without IPv4 reach the address of IPv4 in the last 32 bits through it.
_NAT64 = IPv6Network("64:ff9b::/96")
# Of a cloud's metadata service, which hands out credentials. An operator who allows a large network does not mean it.
_METADATA = _networks("169.254.169.254/32", "fd00:ec2::254/128", "169.254.170.2/32", "100.100.100.200/32")


def reached(address: str) -> IPv4Address | IPv6Address:
    """The address at the other end: that of IPv4 inside an IPv6 address that stands for it. Raises ValueError."""
    given = ip_address(address)
    if isinstance(given, IPv6Address):
        if given.ipv4_mapped is not None:
            return given.ipv4_mapped
        if given in _NAT64:
            return IPv4Address(int(given) & 0xFFFF_FFFF)
    return given


def may_be_reached(address: str, allowed: Iterable[Network] = ()) -> bool:
    """Whether a connection to this numeric address is allowed. What is no numeric address is not."""
    try:
        end = reached(address)
    except ValueError:
        return False
    if any(end in network and (network.num_addresses == 1 or not _is_in(end, _METADATA)) for network in allowed):
        return True
    return (end.version == 4 or end in _IPV6_UNICAST) and not _is_in(end, _NOT_PUBLIC)


def _is_in(address: IPv4Address | IPv6Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


class Gate:
    """Opens the sockets of one delivery. It sees each address right before the connection to it, and no name."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed
        self._refused = self._opened = False

    def open(self, info: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
        """A socket for this entry of `getaddrinfo`. Raises PermissionError if its address may not be reached."""
        family, kind, protocol, _, (address, *_rest) = info
        if not may_be_reached(address, self._allowed):
            self._refused = True
            raise PermissionError("this address may not be reached")
        self._opened = True
        return socket.socket(family, kind, protocol)

    @property
    def refusal(self) -> str | None:
        """Why no connection was tried, and what to do; None if one was, or no address was known.

        It does not tell the address: whoever makes targets could list the names of a private network by it.
        """
        if self._opened or not self._refused:
            return None
        return f"the host has no public address; if alerts may go there, an operator adds its network to {ALLOWED_BY}"
