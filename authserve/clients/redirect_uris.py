"""Redirect URIs: which ones a client may register, and which registered one a request names.

A request's URI is compared as a string (RFC 9700 §2.1). Only the port of a native client's
loopback URI may differ, since the operating system chooses it (RFC 8252 §7.3).
"""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from authserve.clients.kinds import ClientKind
from authserve.settings.return_urls import LOOPBACK_HOSTS, read_return_url

MAX_URI_LENGTH = 2_048
"""Limits a URI, in characters (chosen: what proxies and browsers surely take)."""

_REST = r"(?:[A-Za-z0-9._~!$&'()+,;=:@/?-]|%[0-9A-Fa-f]{2})*"
"""Path and query of RFC 3986, without the asterisk that looks like a wildcard."""

_LOOPBACK = re.compile(
    rf"http://(?P<host>localhost|127\.0\.0\.1|\[::1\])(?::(?P<port>[0-9]{{1,5}}))?"
    rf"(?P<rest>/{_REST})?"
)

_PRIVATE = re.compile(rf"(?P<scheme>[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+):(?!.*@)/{_REST}")
"""A scheme with a dot, a domain that the app's maker owns, written backwards (RFC 8252 §7.1)."""

_MAX_PORT = 65_535


def find_redirect_fault(uri: str, *, kind: ClientKind, is_production: bool) -> str | None:
    """Return why a client of this kind cannot register a URI, or None if it can.

    Args:
        is_production: False allows http to every host.
    """
    if kind is ClientKind.NATIVE and (_is_loopback(uri) or _is_private(uri)):
        return None
    if not is_production and uri.startswith("http://"):
        uri = uri.replace("http://", "https://", 1)
    has_uris = kind not in (ClientKind.MACHINE, ClientKind.PROXY)
    return None if has_uris and is_https(uri) else _RULES[kind]


def _is_loopback(uri: str) -> bool:
    return _split_loopback(uri) is not None


def _is_private(uri: str) -> bool:
    return len(uri) <= MAX_URI_LENGTH and _PRIVATE.fullmatch(uri) is not None


def is_https(uri: str) -> bool:
    """Return True if a URI is https, in RFC 3986's form, without user, wildcard or fragment."""
    return uri.startswith("https://") and "*" not in uri and read_return_url(uri) is not None


_HTTPS_RULE = "Give an https URI without user, wildcard, fragment and dot segments."

_RULES = {
    ClientKind.WEB: _HTTPS_RULE,
    ClientKind.SPA: _HTTPS_RULE,
    ClientKind.NATIVE: (
        "Give http to a loopback host, a private scheme with a dot such as "
        "com.example.app:/callback, or an https URI without user, wildcard, fragment and dot "
        "segments."
    ),
    ClientKind.MACHINE: "A machine has no redirect URI.",
    ClientKind.PROXY: "A proxy has origins instead.",
}


def is_registered(uri: str, registered: Collection[str], *, kind: ClientKind) -> bool:
    """Return True if a request may name a URI: it is registered, or only its loopback port differs.

    Args:
        uri: as the request has it.
        registered: those of the client.
    """
    if uri in registered:
        return True
    asked = _split_loopback(uri) if kind is ClientKind.NATIVE else None
    return asked is not None and asked in map(_split_loopback, registered)


def _split_loopback(uri: str) -> tuple[str, str] | None:
    """Return host and path with query of a loopback URI, or None for another URI."""
    found = _LOOPBACK.fullmatch(uri) if len(uri) <= MAX_URI_LENGTH else None
    if found is None or not 0 < int(found["port"] or 80) <= _MAX_PORT:
        return None
    return found["host"], found["rest"] or ""


def host_of(uri: str) -> str | None:
    """Return the host of an https or http URI in lower case; None for a private scheme."""
    found = re.match(r"https?://(\[[^\]]*\]|[^/:?]*)", uri)
    return found[1].lower() if found else None


def is_at_registered_place(uri: str, registered: Collection[str]) -> bool:
    """Return True if a URI has the scheme and host of a registered one, but is not registered."""
    places = {(urlsplit(each).scheme, host_of(each)) for each in registered}
    host = host_of(uri)
    is_known = host is not None and (urlsplit(uri).scheme, host) in places
    return is_known and uri not in registered


def is_plain_http(uri: str) -> bool:
    """Return True if a URI is http and reaches another machine."""
    return uri.startswith("http://") and host_of(uri) not in LOOPBACK_HOSTS


def is_silent(uri: str) -> bool:
    """Return True if a redirect to a URI surely reaches the app that registered it.

    Another program on the machine may listen on a loopback port, or claim a private scheme
    (RFC 8252 §8.6), so a person must see that an app asks (ASVS 10.7.1).
    """
    return uri.startswith("https://") or host_of(uri) not in {None, *LOOPBACK_HOSTS}
