"""Requests to other servers: where they may go, and what an answer may be.

`tests/passwords/test_breached.py` covers the limits, with every kind of slow and wrong server.
"""

import logging
import socket
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
import trustme

from authserve.core.deadline import TLSContext
from authserve.core.outbound import (
    AddressNotAllowedError,
    OutboundAnswer,
    OutboundClient,
    OutboundError,
    OutboundLimits,
    OutboundRequest,
)
from authserve.core.outbound_hosts import OutboundHosts
from tests.support.ranges import HOST, RangeServer, range_server, reply, send
from tests.support.tls import server_context

LIMITS = OutboundLimits(total_secs=300.0, max_bytes=1_000)

NO_HOSTS = OutboundHosts()

LOOPBACK = OutboundHosts(networks=(ip_network("127.0.0.0/8"),))

PUBLIC_ADDRESS = "1.1.1.1"


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with range_server(fault=send(reply(b"fine"))) as running:
        yield running


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Give every name these addresses; return the list of the names that were looked up."""
    names: list[str] = []

    def look_up(host: str, port: int, **_options: Any) -> list[Any]:
        names.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (it, port)) for it in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return names


def ask(
    url: str, *, hosts: OutboundHosts | None = LOOPBACK, tls: TLSContext | None = None
) -> OutboundAnswer:
    return OutboundClient(hosts=hosts, tls=tls).send(OutboundRequest(url=url), LIMITS)


def test_it_sends_method_headers_body_and_query(server: RangeServer) -> None:
    url = f"http://{HOST}:{server.port}/back?channel=1"
    request = OutboundRequest(
        url=url, method="POST", headers={"Content-Type": "text/plain"}, body=b"token"
    )
    answer = OutboundClient(hosts=LOOPBACK).send(request, LIMITS)
    assert answer == OutboundAnswer(status=200, body=b"fine", has_length=True)
    (head,) = server.questions
    assert head.startswith("POST /back?channel=1 HTTP/1.1\r\n")
    for line in ("Content-Type: text/plain", "Content-Length: 5", "User-Agent: authserve"):
        assert f"\r\n{line}\r\n" in head


def test_a_redirect_is_an_answer_and_is_not_followed(server: RangeServer) -> None:
    with range_server() as other:
        location = f"Location: {other.url}\r\n".encode()
        server.fault = send(reply(b"", status="302 Found", headers=location))
        assert ask(server.url).status == 302
        assert other.questions == []


def test_a_longer_answer_is_refused(server: RangeServer) -> None:
    server.fault = send(reply(b"x" * (LIMITS.max_bytes + 1)))
    with pytest.raises(OutboundError, match="more than 1000 bytes"):
        ask(server.url)


def test_an_answer_without_a_length_is_marked(server: RangeServer) -> None:
    server.fault = send(b"HTTP/1.1 200 OK\r\n\r\nfine")
    assert not ask(server.url).has_length


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (b"", None),
        (b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "1994-11-06T08:49:37+00:00"),
        (b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nAge: 60\r\n", "1994-11-06T08:50:37+00:00"),
        (b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nAge: x\r\n", "1994-11-06T08:49:37+00:00"),
        (b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nAge: 9%s\r\n" % (b"9" * 20), None),
        (b"Date: yesterday\r\n", None),
    ],
    ids=["none", "date", "from a cache", "no age", "too old", "no date"],
)
def test_an_answer_has_the_servers_clock(
    server: RangeServer, headers: bytes, expected: str | None
) -> None:
    server.fault = send(reply(b"fine", headers=headers))
    found = ask(server.url).server_time
    assert (found.isoformat() if found is not None else None) == expected


class TestAddresses:
    def test_a_private_address_is_refused_before_anything_is_sent(
        self, server: RangeServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING), pytest.raises(AddressNotAllowedError) as caught:
            ask(f"https://{HOST}:{server.port}/", hosts=NO_HOSTS)
        assert HOST not in caught.value.reason
        (line,) = (vars(record) for record in caplog.records)
        assert (line["host"], line["address"], line["add_to"]) == (HOST, HOST, "OUTBOUND_HOSTS")
        assert server.questions == []

    @pytest.mark.parametrize("name", ["127.1", "0x7f.1", "2130706433", "①②⑦.0.0.1", "localhost"])
    def test_no_spelling_hides_a_loopback_address(self, server: RangeServer, name: str) -> None:
        with pytest.raises(AddressNotAllowedError):
            ask(f"https://{name}:{server.port}/", hosts=NO_HOSTS)

    def test_one_private_address_among_public_ones_refuses_the_name(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resolve_to(monkeypatch, PUBLIC_ADDRESS, "10.0.0.1")
        with pytest.raises(AddressNotAllowedError):
            ask("https://app.example.com/", hosts=NO_HOSTS)

    def test_a_name_is_looked_up_once_and_its_address_is_used(
        self, server: RangeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = resolve_to(monkeypatch, HOST)
        assert ask(f"http://app.internal:{server.port}/", hosts=listing("app.internal")).status
        assert names == ["app.internal"]
        assert f"\r\nHost: app.internal:{server.port}\r\n" in server.questions[0]

    def test_http_is_for_listed_hosts_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        names = resolve_to(monkeypatch, PUBLIC_ADDRESS)
        with pytest.raises(AddressNotAllowedError, match="https only"):
            ask("http://app.example.com/", hosts=LOOPBACK)
        assert names == []

    def test_an_operators_own_url_may_lead_anywhere(self, server: RangeServer) -> None:
        assert ask(server.url, hosts=None).status == 200


class TestTLS:
    def test_the_certificate_must_have_the_name_of_the_url(
        self,
        authority: trustme.CA,
        trusting: TLSContext,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        resolve_to(monkeypatch, HOST)
        hosts = listing("app.internal", "other.internal")
        context = server_context(authority, "app.internal")
        with range_server(tls=context, fault=send(reply(b""))) as server:
            url = f"https://app.internal:{server.port}/"
            assert ask(url, hosts=hosts, tls=trusting).status == 200
            with pytest.raises(OutboundError, match="certificate"):
                ask(url.replace("app", "other"), hosts=hosts, tls=trusting)

    def test_a_foreign_authority_is_not_believed(self, authority: trustme.CA) -> None:
        with range_server(tls=server_context(authority, HOST)) as server:
            with pytest.raises(OutboundError, match="certificate"):
                ask(f"https://{HOST}:{server.port}/")
            assert server.questions == []


def listing(*names: str) -> OutboundHosts:
    return OutboundHosts(names=frozenset(names))
