"""Addresses to which a person may be sent back after a page: their form, and the list of them.

An open redirect lends the service's name to a phishing page (CWE-601, ASVS 3.7.2). So an address is
accepted only in a form that every URL parser reads alike, and only at or below a listed one.
"""

import re
from collections.abc import Collection

from authserve.core.frozen import frozen

MAX_URL_LENGTH = 2_048
"""Limits an address, in characters (chosen: what proxies and browsers surely take)."""

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Hosts to which http is safe, since nothing leaves the machine (RFC 8252 §7.3)."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65_535

_PATH_CHARACTER = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9A-Fa-f:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    rf"(?P<path>(?:/{_PATH_CHARACTER}*)*)"
    rf"(?P<query>\?(?:{_PATH_CHARACTER}|[/?])*)?",
    re.ASCII,
)
"""RFC 3986 without a user, a password or a fragment."""

_AMBIGUOUS_PATH = re.compile(
    r"//|(?:^|/)\.{1,2}(?:/|$)|%(?:2[ef]|5c|[01][0-9a-f]|7f)", re.IGNORECASE
)
"""An empty or dot segment, or an encoded dot, slash, backslash or control character in a path:
servers decode them at different times."""


@frozen()
class ReturnURL:
    """An address in comparable parts.

    Args:
        host: in lower case.
        port: the scheme's default if the address names none.
        path: without a slash at its end.
    """

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        """Return the address as a setting has it."""
        is_default = self.port == _DEFAULT_PORTS[self.scheme]
        port = "" if is_default else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.path}"

    def covers(self, other: "ReturnURL") -> bool:
        """Return True if `other` is this address or below it, by whole segments of its path."""
        is_same_server = (self.scheme, self.host, self.port) == (
            other.scheme,
            other.host,
            other.port,
        )
        return is_same_server and f"{other.path}/".startswith(f"{self.path}/")


def read_return_url(text: str) -> ReturnURL | None:
    """Return the parts of an address, or None if its form is refused."""
    found = _URL.fullmatch(text) if len(text) <= MAX_URL_LENGTH else None
    if found is None or _AMBIGUOUS_PATH.search(found["path"]) is not None:
        return None
    scheme, host = found["scheme"], found["host"].lower()
    port = int(found["port"]) if found["port"] else _DEFAULT_PORTS[scheme]
    if not 0 < port <= _MAX_PORT or (scheme == "http" and host not in LOOPBACK_HOSTS):
        return None
    return ReturnURL(scheme, host, port, found["path"].rstrip("/"))


def is_return_url_allowed(text: str, allowed: Collection[ReturnURL]) -> bool:
    """Return True if an address has an accepted form and is at or below an allowed one."""
    target = read_return_url(text)
    return target is not None and any(entry.covers(target) for entry in allowed)
