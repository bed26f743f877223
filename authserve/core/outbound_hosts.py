"""The addresses that a URL of a user or a client may lead to (SSRF; CWE-918, ASVS 1.3.6).

Only the resolved addresses are checked, never the spelling of the host: `127.1`, `0x7f.1`,
`2130706433` and full-width digits all resolve to the loopback address (tried).
"""

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from authserve.core.frozen import frozen

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_RELAYS_6TO4 = IPv4Network("192.88.99.0/24")
"""Anycast of 6to4 relays (RFC 7526), which `is_global` accepts."""

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""The only IPv6 block with public hosts (RFC 4291 §2.4), so mapped, compatible, NAT64 and
site-local addresses are outside."""

_NOT_PUBLIC = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
"""Parts of `_GLOBAL_UNICAST` that carry other addresses or none: Teredo and other protocols (RFC
2928), documentation (RFC 3849, RFC 9637), 6to4 (RFC 3056)."""

_METADATA = frozenset(map(ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200")))
"""Servers that give a cloud machine its credentials: most clouds, AWS over IPv6, Alibaba Cloud."""


@frozen()
class OutboundHosts:
    """The hosts that may have private addresses and may be called by http.

    Args:
        names: host names in IDNA's ASCII and lower case.
        networks: of addresses.
    """

    names: frozenset[str] = frozenset()
    networks: tuple[IPNetwork, ...] = ()

    def __str__(self) -> str:
        return " ".join([*sorted(self.names), *map(str, self.networks)])

    def lists(self, host: str) -> bool:
        """Return True if a URL's host is a listed name or an address of a listed network."""
        name = canonical_host(host)
        address = _find_address(name)
        return name in self.names if address is None else self._covers(address)

    def is_allowed(self, host: str, address: str) -> bool:
        """Return True if a request for `host` may be sent to one of its addresses.

        Args:
            host: as the URL has it.
            address: in the form of `getaddrinfo`.
        """
        found = ip_address(address)
        if _is_public(found):
            return True
        if found in _METADATA or found.is_link_local:
            # A wide network, or a listed name whose owner changes its address, must not open the
            # metadata service of a cloud.
            return any(network.num_addresses == 1 for network in self._networks_of(found))
        return _is_host(found) and (self._covers(found) or canonical_host(host) in self.names)

    def _covers(self, address: IPAddress) -> bool:
        return any(True for _ in self._networks_of(address))

    def _networks_of(self, address: IPAddress) -> Iterable[IPNetwork]:
        return (network for network in self.networks if address in network)


NO_HOSTS = OutboundHosts()


def canonical_host(host: str) -> str:
    """Return a host in lower case, without brackets and without a dot at its end."""
    return host.lower().removeprefix("[").removesuffix("]").removesuffix(".")


def parse_network(text: str) -> IPNetwork | None:
    """Return a network in CIDR notation or a single address, or None if `text` is neither."""
    try:
        return ip_network(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def _find_address(host: str) -> IPAddress | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_public(address: IPAddress) -> bool:
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and address not in _RELAYS_6TO4
    return address in _GLOBAL_UNICAST and not any(address in block for block in _NOT_PUBLIC)


def _is_host(address: IPAddress) -> bool:
    """Return True for addresses of single machines.

    An IPv4 address inside an IPv6 one is none: it would pass by the rules for IPv4.
    """
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return False
    return not (address.is_multicast or address.is_unspecified or _is_reserved(address))


def _is_reserved(address: IPAddress) -> bool:
    # IPv6's `is_reserved` covers the loopback address too.
    return isinstance(address, IPv4Address) and address.is_reserved
