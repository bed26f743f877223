"""The addresses at which the server listens."""

import socket
from pathlib import Path
from typing import Any

import pytest

from authserve.serving import sockets
from authserve.serving.sockets import listen_addresses
from tests.conftest import make_settings

IN_PRODUCTION = {"app_env": "production", "public_url": "https://auth.example.com"}


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A system, with the addresses that it has, and whether IPv6 sockets take IPv4."""
    found: dict[str, Any] = {"addresses": set(), "takes_ipv4": True}
    monkeypatch.setattr(sockets, "_is_usable", lambda host: host in found["addresses"])
    monkeypatch.setattr(sockets, "_takes_ipv4", lambda: found["takes_ipv4"])
    return found


def addresses(folder: Path, **values: Any) -> list[str]:
    return listen_addresses(make_settings("sqlite:////unused.db", folder, port=80, **values))


@pytest.mark.parametrize(
    ("has", "takes_ipv4", "expected"),
    [
        ({"::", "0.0.0.0"}, True, ["[::]:80"]),
        ({"::", "0.0.0.0"}, False, ["[::]:80", "0.0.0.0:80"]),
        ({"0.0.0.0"}, False, ["0.0.0.0:80"]),
        ({"::"}, True, ["[::]:80"]),
    ],
)
def test_production_takes_ipv6_and_ipv4_where_there_are_both(
    tmp_path: Path, system: dict[str, Any], has: set[str], takes_ipv4: bool, expected: list[str]
) -> None:
    system |= {"addresses": has, "takes_ipv4": takes_ipv4}
    assert addresses(tmp_path, **IN_PRODUCTION) == expected


@pytest.mark.parametrize(
    ("has", "expected"),
    [({"127.0.0.1", "::1"}, ["127.0.0.1:80", "[::1]:80"]), ({"127.0.0.1"}, ["127.0.0.1:80"])],
)
def test_elsewhere_both_loopbacks_are_taken(
    tmp_path: Path, system: dict[str, Any], has: set[str], expected: list[str]
) -> None:
    system["addresses"] = has
    assert addresses(tmp_path) == expected


@pytest.mark.usefixtures("system")
def test_the_operators_addresses_are_taken_as_they_are(tmp_path: Path) -> None:
    host = ("192.0.2.1", "2001:db8::1")
    assert addresses(tmp_path, host=host) == ["192.0.2.1:80", "[2001:db8::1]:80"]
    # One port cannot be bound twice.
    assert addresses(tmp_path, host=("0.0.0.0", "::")) == ["[::]:80"]


def test_this_system_has_a_loopback_of_each_kind_that_it_knows(tmp_path: Path) -> None:
    found = addresses(tmp_path)
    assert "127.0.0.1:80" in found
    if not socket.has_dualstack_ipv6():
        assert len(found) == 1
