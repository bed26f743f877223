from importlib.metadata import version
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from authserve.core.actor import USER_AGENT_MAX_LENGTH
from authserve.http.request_info import (
    current_request_info,
    find_forwarded_address,
    normalize_address,
)
from tests.support.clients import Caller
from tests.support.probes import PROBE, add_probe

ADDRESSES = {
    "192.0.2.1": "192.0.2.1",
    " 192.0.2.1 ": "192.0.2.1",
    "192.0.2.1:443": "192.0.2.1",
    "2001:DB8:0:0::1": "2001:db8::1",
    "2001:0db8:0000:0000:0000:0000:0000:0001": "2001:db8::1",
    "[2001:db8::1]": "2001:db8::1",
    "[2001:db8::1]:443": "2001:db8::1",
    "fe80::1%eth0": "fe80::1",
    "::ffff:192.0.2.1": "192.0.2.1",
    "::FFFF:c000:201": "192.0.2.1",
    "[::ffff:192.0.2.1]:443": "192.0.2.1",
    "::1": "::1",
}

NO_ADDRESSES = [
    None,
    "",
    " ",
    "unknown",
    "_hidden",
    "example.com",
    "192.0.2",
    "192.0.2.1.5",
    "192.0.2.01",
    "256.0.0.1",
    "3221225985",
    "192.0.2.1, 192.0.2.2",
    "192.0.2.1/24",
    "1::2::3",
    "'; DROP TABLE users",
    "x" * 10_000,
]


@pytest.mark.parametrize(("written", "meant"), ADDRESSES.items())
def test_an_address_has_one_spelling(written: str, meant: str) -> None:
    assert normalize_address(written) == meant
    assert normalize_address(meant) == meant


@pytest.mark.parametrize("written", NO_ADDRESSES)
def test_what_is_no_address_is_none(written: str | None) -> None:
    assert normalize_address(written) is None


PROXY = "203.0.113.9"
"""The connected peer."""

FORWARDED: list[tuple[int, str | None, str | None]] = [
    # No proxy is trusted.
    (0, None, PROXY),
    (0, "192.0.2.1", PROXY),
    # One proxy is trusted, for the entry that it added at the end.
    (1, None, PROXY),
    (1, "192.0.2.1", "192.0.2.1"),
    (1, "6.6.6.6, 192.0.2.1", "192.0.2.1"),
    (1, "6.6.6.6,7.7.7.7,[2001:DB8::1]:443", "2001:db8::1"),
    # An invalid address counts as the address of the proxy that wrote it.
    (1, "6.6.6.6, unknown", PROXY),
    (1, "6.6.6.6,", PROXY),
    (1, "", PROXY),
    (1, '"', PROXY),
    # No text of a client hides a proxy's entry.
    (1, '", 192.0.2.1', "192.0.2.1"),
    (1, '"6.6.6.6, 192.0.2.1', "192.0.2.1"),
    (1, '"6.6.6.6\\", 192.0.2.1', "192.0.2.1"),
    (1, ",,, 192.0.2.1", "192.0.2.1"),
    (1, "for=6.6.6.6;x, 192.0.2.1", "192.0.2.1"),
    # Two: the second sees the first, which saw the client.
    (2, None, PROXY),
    (2, "198.51.100.7", PROXY),
    (2, "192.0.2.1, 198.51.100.7", "192.0.2.1"),
    (2, "6.6.6.6, 192.0.2.1, 198.51.100.7", "192.0.2.1"),
    (2, "6.6.6.6, ::ffff:192.0.2.1, 198.51.100.7", "192.0.2.1"),
    (2, '6.6.6.6", 192.0.2.1, 198.51.100.7', "192.0.2.1"),
    (2, "6.6.6.6, unknown, 198.51.100.7", "198.51.100.7"),
    (2, "6.6.6.6, unknown, unknown", PROXY),
    (2, "192.0.2.1, unknown", "192.0.2.1"),
]


@pytest.mark.parametrize(("proxies", "header", "believed"), FORWARDED)
def test_only_the_proxies_that_were_named_are_believed(
    make_app: Any, proxies: int, header: str | None, believed: str | None
) -> None:
    app = make_app(trusted_proxies=proxies)
    add_probe(app, lambda: {"ip": current_request_info().ip})
    headers = {"Forwarded": "for=6.6.6.6", "X-Real-IP": "6.6.6.6", "Client-IP": "6.6.6.6"}
    if header is not None:
        headers["X-Forwarded-For"] = header
    response = app.test_client().get(PROBE, headers=headers, environ_base={"REMOTE_ADDR": PROXY})
    assert response.get_json() == {"ip": believed}


ENTRIES = st.lists(st.text(st.characters(exclude_characters=","), max_size=120), max_size=4)


@given(claims=ENTRIES, address=st.ip_addresses(), hops=ENTRIES, count=st.integers(1, 5))
def test_no_claim_of_a_client_changes_what_a_trusted_proxy_saw(
    claims: list[str], address: IPv4Address | IPv6Address, hops: list[str], count: int
) -> None:
    """Any text to the left of it, and any that the proxies behind it have written."""
    header = ",".join([*claims, str(address), *hops])
    found = find_forwarded_address(header, count=len(hops) + 1)
    assert found == normalize_address(str(address))
    # Any count and any text: an address, or none.
    anything = find_forwarded_address(header, count=count)
    assert anything is None or normalize_address(anything) == anything


@given(header=st.text(max_size=300), count=st.integers(1, 5))
def test_any_field_gives_an_address_of_its_last_entries_or_none(header: str, count: int) -> None:
    last = [normalize_address(entry) for entry in header.split(",")[-count:]]
    found = find_forwarded_address(header, count=count)
    assert found in {None, *last}


@pytest.mark.parametrize(
    ("header", "scheme"),
    [(None, "http"), ("https", "https"), ("http, HTTPS", "https"), ('", https', "https")],
)
def test_the_scheme_is_what_the_trusted_proxy_says(
    make_app: Any, header: str | None, scheme: str
) -> None:
    app = make_app(trusted_proxies=1)
    add_probe(app, lambda: {"scheme": request.scheme})
    headers = {"X-Forwarded-Proto": header} if header else {}
    assert app.test_client().get(PROBE, headers=headers).get_json() == {"scheme": scheme}


def test_a_second_header_continues_the_first(make_app: Any) -> None:
    app = make_app(trusted_proxies=1)
    add_probe(app, lambda: {"ip": current_request_info().ip})
    headers = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "192.0.2.1")]
    assert app.test_client().get(PROBE, headers=headers).get_json() == {"ip": "192.0.2.1"}


def test_no_proxy_sets_the_host_or_the_path(make_app: Any) -> None:
    app = make_app(trusted_proxies=1)
    headers = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil"}
    answer = app.test_client().get("/openapi.json", headers=headers).get_data(as_text=True)
    assert "evil" not in answer


USER_AGENTS: list[tuple[str | None, str | None]] = [
    (None, None),
    ("", None),
    ("curl/8.5", "curl/8.5"),
    ("a\tb\x00c\x7fd\x1b[31me", "abcd[31me"),
    ("a\r\nb", "ab"),
    ("\x00\x01", None),
    ("Bücher".encode().decode("latin-1"), "Bücher"),
    ("a\u0085b".encode().decode("latin-1"), "ab"),
    ("\xff\xfe", "��"),
    ("x" * 10_000, "x" * USER_AGENT_MAX_LENGTH),
]


@pytest.mark.parametrize(("sent", "kept"), USER_AGENTS)
def test_a_user_agent_is_kept_without_what_could_harm(
    app: Flask, client: FlaskClient, sent: str | None, kept: str | None
) -> None:
    add_probe(app, lambda: {"user_agent": current_request_info().user_agent})
    environ = {"HTTP_USER_AGENT": sent} if sent is not None else {"HTTP_USER_AGENT": ""}
    assert client.get(PROBE, environ_overrides=environ).get_json() == {"user_agent": kept}


def test_a_session_shows_where_it_was_started(alice: Caller) -> None:
    (session,) = alice.get("/api/v1/users/me/sessions").get_json()["items"]
    assert (session["ip"], session["user_agent"]) == (
        "127.0.0.1",
        f"Werkzeug/{version('werkzeug')}",
    )


def test_the_correlation_id_goes_along(app: Flask, client: FlaskClient) -> None:
    add_probe(app, lambda: {"id": current_request_info().correlation_id})
    response = client.get(PROBE, headers={"X-Correlation-ID": "along-1"})
    assert response.get_json() == {"id": "along-1"}
