"""Which addresses an alert may be sent to."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from signalflow.alert_settings import networks_of
from signalflow.alerts.addresses import may_be_reached


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255", "169.254.169.254",
        "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1",
        "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
        "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "100::1", "2001::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::",
        "2002:808:808::", "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%lo",
        "fec0::1", "ff02::1",
    ],
)  # fmt: skip
def test_what_is_not_of_the_public_internet_is_not_reached(address: str) -> None:
    assert not may_be_reached(address)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1", "172.15.255.255",
        "172.32.0.0", "192.0.1.1", "193.0.0.1", "223.255.255.255", "::ffff:8.8.8.8", "64:ff9b::808:808",
        "2001:200::1", "2003::1", "2606:4700::1111", "2a00:1450::1",
    ],
)  # fmt: skip
def test_the_public_internet_is_reached(address: str) -> None:
    assert may_be_reached(address)


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "8.8.8", "8.8.8.8 ", "8.8.8.8\n"]
)
def test_what_is_no_numeric_address_is_not_reached(text: str) -> None:
    assert not may_be_reached(text, networks_of("0.0.0.0/0, ::/0"))


@given(st.ip_addresses())
@example(IPv6Address("2001:1ff:ffff::"))
@example(IPv4Address("192.0.0.9"))
def test_what_is_reached_is_global_for_the_standard_library_too(address: IPv4Address | IPv6Address) -> None:
    if may_be_reached(str(address)):
        end = (address.version == 6 and address.ipv4_mapped) or address
        assert end.is_global
        assert not end.is_multicast


@given(st.ip_addresses(v=4))
@example(IPv4Address("127.0.0.1"))
@example(IPv4Address("8.8.8.8"))
def test_an_address_of_ipv4_is_judged_the_same_in_every_ipv6_form(address: IPv4Address) -> None:
    direct = may_be_reached(str(address))
    assert may_be_reached(f"::ffff:{address}") == direct
    assert may_be_reached(f"64:ff9b::{address}") == direct


# Hypothesis rarely hits small networks by chance.
@given(
    st.sampled_from(["10.0.0.0/8", "192.168.0.0/16", "fc00::/7", "fe80::/10", "2002::/16"]), st.integers(min_value=0)
)
def test_no_address_of_a_private_network_is_reached_unless_it_is_allowed(text: str, number: int) -> None:
    (network,) = networks_of(text)
    address = str(network[number % network.num_addresses])
    assert not may_be_reached(address)
    assert may_be_reached(address, (network,))


def test_an_allowed_network_opens_nothing_beside_it() -> None:
    allowed = networks_of("10.1.0.0/16, fd00:1::/64,127.0.0.1")
    assert may_be_reached("10.1.2.3", allowed)
    assert may_be_reached("::ffff:10.1.2.3", allowed)
    assert may_be_reached("fd00:1::9", allowed)
    assert may_be_reached("127.0.0.1", allowed)
    assert not may_be_reached("10.2.0.1", allowed)
    assert not may_be_reached("fd00:2::9", allowed)
    assert not may_be_reached("127.0.0.2", allowed)


@pytest.mark.parametrize(
    ("address", "network"),
    [("169.254.169.254", "169.254.0.0/16"), ("fd00:ec2::254", "fd00::/8"), ("100.100.100.200", "100.64.0.0/10")],
)
def test_the_metadata_of_a_cloud_is_not_meant_by_a_large_network(address: str, network: str) -> None:
    assert not may_be_reached(address, networks_of(network))
    assert may_be_reached(str(ip_address(address) + 1), networks_of(network))
    assert may_be_reached(address, networks_of(address))


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "example.org", "10.0.0.0/8;::1"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text.split("/")[0].split(";")[0]):
        networks_of(text)
