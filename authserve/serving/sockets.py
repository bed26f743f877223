"""The sockets of the server: the addresses that it listens on, and how many files may be open."""

import resource
import socket

from authserve.settings.model import Settings

EVERY_IPV6, EVERY_IPV4 = "::", "0.0.0.0"

LOOPBACKS = ("127.0.0.1", "::1")
"""Both, because a client's system resolves `localhost` to either of them."""


def listen_addresses(settings: Settings) -> list[str]:
    """Return each address with the port, in the form of gunicorn's `bind`."""
    hosts = settings.host or _default_hosts(is_production=settings.is_production)
    if EVERY_IPV6 in hosts and _takes_ipv4():
        # The IPv6 socket also takes IPv4 connections, so the port would be in use.
        hosts = tuple(host for host in hosts if host != EVERY_IPV4)
    bracketed = (f"[{host}]" if ":" in host else host for host in hosts)
    return [f"{host}:{settings.port}" for host in bracketed]


def _default_hosts(*, is_production: bool) -> tuple[str, ...]:
    wanted = (EVERY_IPV6, EVERY_IPV4) if is_production else LOOPBACKS
    return tuple(filter(_is_usable, wanted))


def _is_usable(host: str) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def _takes_ipv4() -> bool:
    """Return True if a socket bound to `::` accepts IPv4 connections as well."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            return not probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    except OSError:
        return False


MAX_OPEN_FILES = 65_536
"""Limits the number of open files that is requested (chosen: some code loops over all possible
ones)."""


def raise_open_file_limit() -> None:
    """Raise the soft limit up to the hard limit or `MAX_OPEN_FILES`; 1,024 is a common default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft not in (resource.RLIM_INFINITY, hard) and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
