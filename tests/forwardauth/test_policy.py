"""The decision on a proxied request, and what proxies' headers mean."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest

from authserve.core.levels import Level
from authserve.forwardauth.policy import (
    MAX_RETURN_PATH_LENGTH,
    SessionFacts,
    Verdict,
    decide,
    is_allowed_peer,
    read_origin,
    return_path,
)

NOW = datetime(2026, 11, 28, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)


@dataclass(frozen=True)
class Times:
    revoked_at: datetime | None = None
    expires_at: datetime = LATER
    idle_expires_at: datetime = LATER


GOOD = SessionFacts(
    own=Times(),
    parent=Times(),
    is_user_active=True,
    level=Level.AAL2,
    needed_level=Level.AAL2,
    roles=("staff",),
    allowed_roles=(),
)

VERDICTS: list[tuple[dict[str, Any], Verdict]] = [
    ({}, Verdict.ALLOWED),
    ({"allowed_roles": ["staff", "family"]}, Verdict.ALLOWED),
    ({"allowed_roles": ["family"]}, Verdict.NOT_OPEN),
    ({"allowed_roles": ["family"], "level": Level.AAL1}, Verdict.LEVEL_TOO_LOW),
    ({"level": Level.AAL1}, Verdict.LEVEL_TOO_LOW),
    ({"level": Level.PHR}, Verdict.ALLOWED),
    ({"is_user_active": False}, Verdict.SIGNED_OUT),
    ({"parent": None}, Verdict.SIGNED_OUT),
    *(
        ({whose: times}, Verdict.SIGNED_OUT)
        for whose in ("own", "parent")
        for times in (Times(revoked_at=NOW), Times(expires_at=NOW), Times(idle_expires_at=NOW))
    ),
]


@pytest.mark.parametrize(("changes", "verdict"), VERDICTS)
def test_the_decision(changes: dict[str, Any], verdict: Verdict) -> None:
    assert decide(replace(GOOD, **changes), now=NOW) is verdict


@pytest.mark.parametrize(
    ("scheme", "host", "origin"),
    [
        ("https", "files.example.com", "https://files.example.com"),
        ("HTTPS", "Files.Example.com:443", "https://files.example.com"),
        ("http", "files.example.com:80", "http://files.example.com"),
        ("http", "files.example.com:443", "http://files.example.com:443"),
        ("https", "files.example.com:8443", "https://files.example.com:8443"),
        ("https, https", "a.example,b.example", "https, https://a.example,b.example"),
        ("", "", "://"),
    ],
)
def test_the_origin_that_a_proxy_names(scheme: str, host: str, origin: str) -> None:
    assert read_origin(scheme, host) == origin


LONG = "/" + "a" * MAX_RETURN_PATH_LENGTH


@pytest.mark.parametrize(
    ("method", "uri", "path"),
    [
        ("GET", "/a/b?c=d%20e&f=//g", "/a/b?c=d%20e&f=//g"),
        ("HEAD", "/a", "/a"),
        ("GET", LONG[:-1], LONG[:-1]),
        ("GET", f"/?{LONG[:-3]}", f"/?{LONG[:-3]}"),
        ("POST", "/a", "/"),
        ("GET", "//evil.example/", "/"),
        ("GET", "/\\evil.example/", "/"),
        ("GET", "https://evil.example/", "/"),
        ("GET", "/a\tb", "/"),
        ("GET", "/ä", "/"),
        ("GET", "/.authserve/sign-out", "/"),
        ("GET", "", "/"),
        ("GET", f"/a?{LONG}", "/a"),
        ("GET", LONG, "/"),
    ],
)
def test_the_path_to_come_back_to(method: str, uri: str, path: str) -> None:
    assert return_path(method, uri) == path


def test_peers() -> None:
    networks = (ip_network("127.0.0.0/8"), ip_network("fd00::/8"))
    peers = ("127.0.0.1", "fd00::1", "10.0.0.1", "::1", None)
    assert [is_allowed_peer(peer, networks) for peer in peers] == [True, True, False, False, False]
