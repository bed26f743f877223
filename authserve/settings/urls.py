"""Parsers of the settings that are URLs: of servers, of links and of origins.

The database's URL is parsed in `database_url.py`. Like all parsers of settings, these take a
variable's text and raise `ValidationError` with the rule for it; no message repeats the text.
"""

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from marshmallow import ValidationError

from authserve.core.outbound_hosts import IPNetwork, OutboundHosts, canonical_host, parse_network
from authserve.settings.parsers import parse_text, split_list
from authserve.settings.return_urls import ReturnURL, read_return_url

_MAX_PORT = 65_535

_LETTER = r"[^\x00-/:-@\[-`{-\xa0]"
"""A letter or digit, or any character outside ASCII: a host name may be written in Unicode."""

_LABEL = rf"{_LETTER}(?:(?:{_LETTER}|-){{0,61}}{_LETTER})?"
_HTTP_URL = re.compile(
    r"(?i:https?)://(?:[^\s/?#@]*@)?"
    rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[A-Fa-f0-9]*:[A-Fa-f0-9:]+\])(?::[0-9]+)?"
    r"(?:/?|[/?#]\S+)"
)
"""A pattern of our own, because that of `marshmallow.validate.URL` takes 50 ms to compile."""


def _split_http_url(raw: str) -> SplitResult:
    if not _HTTP_URL.fullmatch(parse_text(raw)):
        raise ValidationError("must be a URL that begins with https:// or http:// and a host name")
    parts = _split_url(raw)
    if parts.username is not None or parts.password is not None:
        raise ValidationError("must not hold a user or password")
    return parts


def _split_url(raw: str) -> SplitResult:
    """Split a URL and check its port, which `urlsplit` checks only on access."""
    try:
        parts = urlsplit(raw)
        usable = parts.port != 0 and " " not in raw
    except ValueError:
        usable = False
    if not usable:
        raise ValidationError(f"is not a URL, or its port is not from 1 to {_MAX_PORT}")
    return parts


def parse_origin(raw: str) -> str:
    """Parse an http or https URL of scheme, host and port alone; a slash at its end is removed."""
    parts = _split_http_url(raw)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValidationError("must have no path, query or fragment: https://host or with :port")
    return f"{parts.scheme}://{parts.netloc}"


_DEFAULT_PORTS = {"http": 80, "https": 443}


def parse_origins(raw: str) -> tuple[str, ...]:
    """Parse origins separated by commas or spaces, as browsers send them; empty text means none.

    Origins are compared exactly, so one that no browser sends would never match. Patterns are
    refused (ASVS 3.4.2).
    """
    return tuple(map(_check_origin, split_list(raw)))


_APP_ORIGIN = re.compile(
    r"(?!(?:about|blob|data|file|ftp|https?|javascript|wss?):)[a-z][a-z0-9+.-]*"
    r"://[A-Za-z0-9][A-Za-z0-9._-]*(?::[0-9]{1,5})?"
)
"""The origin of an app or extension with its own scheme, such as `capacitor://localhost`. Pages of
the excluded schemes send `null`, or do not exist; http and https are checked more strictly."""


def _check_origin(raw: str) -> str:
    return raw if _APP_ORIGIN.fullmatch(raw) else check_web_origin(raw)


def check_web_origin(raw: str) -> str:
    """Return the origin of a web page, if it is written as browsers send it (RFC 6454 §6.2).

    Raises:
        ValidationError: it is not, so that no browser's origin would ever equal it.
    """
    if raw != browser_origin(_split_http_url(raw)) or "*" in raw or not raw.isascii():
        raise ValidationError(
            "must list origins as browsers send them: https://app.example.com, in lower case, with "
            "no path, no slash at the end, no default port, and none for all"
        )
    return raw


def browser_origin(parts: SplitResult) -> str:
    """Return the origin of an http or https URL: lower case, and without a default port.

    Args:
        parts: of a text that a parser of this module accepted. A host in Unicode stays so, though
            browsers send it in IDNA's ASCII.
    """
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def parse_link(raw: str) -> str:
    """Parse a URL with `{token}` once, in its fragment; empty text means the service's own page.

    Browsers do not send fragments to servers, so the token stays out of logs and out of `Referer`
    (ASVS 14.2.1).
    """
    if not raw:
        return ""
    _split_http_url(raw.replace("{token}", "token"))
    if raw.count("{token}") != 1 or "{token}" not in urlsplit(raw).fragment:
        raise ValidationError("must hold {token} once, after a #: https://host/page#token={token}")
    return raw


def parse_return_urls(raw: str) -> tuple[ReturnURL, ...]:
    """Parse addresses separated by commas or spaces; empty text means none."""
    return tuple(map(_parse_return_url, split_list(raw)))


def _parse_return_url(raw: str) -> ReturnURL:
    found = read_return_url(raw)
    if found is None or "?" in raw:
        raise ValidationError(
            "must list addresses such as https://app.example.com/inside: https (http for localhost "
            "only), with no user, query, fragment, dot segment or encoded slash"
        )
    return found


def parse_range_url(raw: str) -> str:
    """Parse the URL for look-ups of breached passwords; empty text means no look-ups.

    It must be https, because the server's answer decides which passwords pass; http is accepted
    only for this machine. Only the operator sets the host, so no request can redirect a look-up
    (ASVS 1.3.6). A slash at the end is removed.
    """
    if not raw:
        return ""
    _split_http_url(raw)
    if "?" in raw or "#" in raw or not raw.isascii():
        raise ValidationError("must be ASCII without a query or fragment: https://host/path")
    if is_plain_http(raw):
        raise ValidationError("must begin with https://, unless the service is on this machine")
    return raw.rstrip("/")


def parse_mail_url(raw: str) -> str:
    """Parse `console:`, `file:///folder`, `smtp://…[?tls=starttls]` or `smtps://…`."""
    if parse_text(raw) == "console:":
        return raw
    parts = _split_url(raw)
    if parts.scheme == "file":
        _check_mail_folder(parts)
    elif parts.scheme in ("smtp", "smtps"):
        _check_smtp(parts)
    else:
        raise ValidationError("must begin with smtp://, smtps:// or file:///, or be console:")
    return raw


def _check_mail_folder(parts: SplitResult) -> None:
    is_absolute = parts.path.startswith("/") and parts.path != "/"
    if parts.netloc or not is_absolute or parts.query or parts.fragment:
        raise ValidationError("must name a folder after three slashes: file:///folder")


def _check_smtp(parts: SplitResult) -> None:
    if not parts.hostname or parts.path not in ("", "/") or parts.fragment:
        raise ValidationError(
            "must be smtp://user:password@host:port, with special characters percent-encoded"
        )
    if bool(parts.username) != bool(parts.password):
        raise ValidationError("must have both a user and a password, or neither")
    if parts.query not in (("", "tls=starttls") if parts.scheme == "smtp" else ("",)):
        raise ValidationError("may end in ?tls=starttls with smtp://, and in nothing else")


def is_mail_exposed(mail_url: str) -> bool:
    """Return True if mail would cross a network unencrypted: SMTP without TLS to another machine.

    Args:
        mail_url: a text that `parse_mail_url` accepted.
    """
    parts = urlsplit(mail_url)
    return parts.scheme == "smtp" and not parts.query and not _is_loopback(parts.hostname or "")


def is_plain_http(url: str) -> bool:
    """Return True if a URL leads to another machine over unencrypted http.

    Args:
        url: a text that one of the parsers accepted.
    """
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_limit_storage_url(raw: str) -> str:
    """Parse the URL for limits' counters: `database:`, `redis://…` or, with TLS, `rediss://…`."""
    if parse_text(raw) == "database:":
        return raw
    parts = _split_url(raw)
    if parts.scheme not in ("redis", "rediss"):
        raise ValidationError("must be database:, or begin with redis:// or rediss://")
    # Refuse a query and a path that is not a number: the Redis client would take timeouts from the
    # query, and treat any other path as database 0.
    is_number = not parts.path.strip("/") or _REDIS_DATABASE.fullmatch(parts.path)
    if not parts.hostname or not is_number or parts.query or parts.fragment:
        raise ValidationError(
            "must be redis://user:password@host:port/number, with special characters "
            "percent-encoded"
        )
    return raw


def find_audience_faults(values: Mapping[str, Any]) -> Iterator[str]:
    """Find a `JWT_AUDIENCE` that tokens of apps have, too: they would pass for the service's own.

    Args:
        values: the parsed settings by field, without those that have a fault already.
    """
    issuer, audience = values.get("public_url"), values.get("jwt_audience")
    if "oidc" not in values.get("features", ()) or issuer is None or audience is None:
        return
    if audience.rstrip("/") in (issuer, f"{issuer}/api/v1"):
        yield "JWT_AUDIENCE: must be neither PUBLIC_URL nor its /api/v1: apps get tokens for these"


_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*"
    r"(?![0-9]+\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
)
"""A name of the DNS or of a container, in IDNA's ASCII. Its last label is no number, because
resolvers read `127.1` as an address."""


def parse_outbound_hosts(raw: str) -> OutboundHosts:
    """Parse host names and networks separated by commas or spaces; empty text means none."""
    names, networks = set(), []
    for part in split_list(raw):
        network, name = parse_network(part), canonical_host(part)
        if network is not None and "%" not in part:
            networks.append(network)
        elif _HOST_NAME.fullmatch(name):
            names.add(name)
        else:
            raise ValidationError(
                "must list host names and networks, without scheme, port and pattern: "
                "wiki.internal 10.0.0.0/8 fd00::/8"
            )
    return OutboundHosts(names=frozenset(names), networks=tuple(networks))


def parse_networks(raw: str) -> tuple[IPNetwork, ...]:
    """Parse networks and single addresses, separated by commas or spaces."""
    parts = split_list(raw)
    found = [None if "%" in part else parse_network(part) for part in parts]
    networks = tuple(network for network in found if network is not None)
    if not networks or len(networks) != len(parts):
        raise ValidationError("must list networks or addresses: 127.0.0.0/8 ::1/128 172.18.0.0/16")
    return networks


def is_limit_storage_exposed(url: str) -> bool:
    """Return True if Redis' password would cross a network unencrypted.

    Args:
        url: a text that `parse_limit_storage_url` accepted.
    """
    parts = urlsplit(url)
    return parts.scheme == "redis" and not _is_loopback(parts.hostname or "")


_REDIS_DATABASE = re.compile(r"/[0-9]{1,4}")
