"""The addresses that a user's or a client's URL may lead to."""

from ipaddress import ip_network

import pytest

from authserve.core.outbound_hosts import OutboundHosts, parse_network

NONE = OutboundHosts()

INSIDE = OutboundHosts(
    names=frozenset({"app.internal"}),
    networks=tuple(map(ip_network, ("10.1.0.0/16", "fd00::/8", "0.0.0.0/0", "::/0"))),
)
"""A list as wide as an operator may write it by mistake."""

PUBLIC = ("1.1.1.1", "8.8.8.8", "198.41.0.4", "2606:4700:4700::1111", "2a00:1450::1")

PRIVATE = (
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "::1",
    "64:ff9b::7f00:1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "4000::1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
)

LINK_LOCAL = ("169.254.0.1", "169.254.169.254", "fe80::1", "fe80::1%eth0")

METADATA = ("169.254.169.254", "fd00:ec2::254", "100.100.100.200")

NO_HOST = (
    "0.0.0.0",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::ffff:10.1.2.3",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "ff02::1",
)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed_to_every_host(address: str) -> None:
    assert NONE.is_allowed("app.example.com", address)


@pytest.mark.parametrize("address", [*PRIVATE, *LINK_LOCAL, *METADATA, *NO_HOST])
def test_no_other_address_is_allowed_by_default(address: str) -> None:
    assert not NONE.is_allowed("app.example.com", address)


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize("host", ["app.internal", "App.Internal", "app.internal."])
def test_a_listed_name_may_have_a_private_address(host: str, address: str) -> None:
    assert OutboundHosts(names=frozenset({"app.internal"})).is_allowed(host, address)


def test_a_listed_network_holds_for_every_name_and_alone() -> None:
    hosts = OutboundHosts(networks=(ip_network("10.1.0.0/16"),))
    assert hosts.is_allowed("app.example.com", "10.1.2.3")
    assert not hosts.is_allowed("app.example.com", "10.2.0.1")


@pytest.mark.parametrize("address", [*LINK_LOCAL, *METADATA, *NO_HOST])
def test_neither_a_name_nor_a_wide_network_opens_a_metadata_service(address: str) -> None:
    assert not INSIDE.is_allowed("app.internal", address)


@pytest.mark.parametrize("address", [*LINK_LOCAL, *METADATA])
def test_an_entry_that_is_the_address_itself_opens_it(address: str) -> None:
    literal = ip_network(address.partition("%")[0])
    assert OutboundHosts(networks=(literal,)).is_allowed("app.internal", address)


def test_a_host_is_listed_by_its_name_or_as_an_address() -> None:
    hosts = OutboundHosts(names=frozenset({"app.internal"}), networks=(ip_network("fd00::/8"),))
    for host in ("app.internal", "APP.internal.", "fd00::1", "[fd00::1]"):
        assert hosts.lists(host)
    for host in ("internal", "x.app.internal", "127.0.0.1", "fe80::1", ""):
        assert not hosts.lists(host)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("[fd00::1]", "fd00::1/128"),
        ("fd00::/8", "fd00::/8"),
        ("10.0.0.1/8", None),
        ("127.1", None),
        ("app.internal", None),
        ("", None),
    ],
)
def test_a_network_is_written_in_one_form(text: str, network: str | None) -> None:
    assert parse_network(text) == (ip_network(network) if network else None)
