"""Parsers and rules of the settings of second factors, passkeys and mailed sign-in codes.

Like all parsers of settings, these take a variable's text and raise `ValidationError` with the
rule for it; no message repeats the text.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError

from authserve.settings.model import EmailVerification
from authserve.settings.parsers import MAX_BRAND_LENGTH, parse_text, split_list
from authserve.settings.urls import browser_origin, check_web_origin

LOCALHOST = "localhost"
"""The only host without TLS at which browsers allow passkeys (W3C Secure Contexts §3.1)."""

_UTC_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def parse_utc_time(raw: str) -> datetime:
    """Parse a time of RFC 3339 in UTC, in whole seconds: `2027-01-31T00:00:00Z`."""
    try:
        if _UTC_TIME.fullmatch(raw):
            return datetime.fromisoformat(raw)
    except ValueError:
        pass
    raise ValidationError("must be a time in UTC, such as 2027-01-31T00:00:00Z")


_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+(?![0-9]+\Z){_LABEL}")
"""A domain of two labels or more in IDNA's ASCII; a last label of digits would make an address
(WHATWG URL, "ends in a number")."""


def parse_rp_id(raw: str) -> str:
    """Parse a relying party's id: a domain (WebAuthn L3 §4, "RP ID") or `localhost`.

    Browsers accept no IP address as an RP ID, and no single label, which is a public suffix.
    """
    if raw != LOCALHOST and not _DOMAIN.fullmatch(raw):
        raise ValidationError(
            "must be a domain in lower case, such as example.com (in ASCII, no IP address), or "
            "localhost"
        )
    return raw


_ANDROID_ORIGIN = re.compile(r"android:apk-key-hash:[A-Za-z0-9_-]{43}")
"""The origin that an Android app sends: the SHA-256 of its signing certificate, in base64url."""


def parse_passkey_origins(raw: str) -> tuple[str, ...]:
    """Parse origins separated by commas or spaces: of web pages, and of Android apps.

    They are compared whole with `clientDataJSON.origin`, so one that no client sends would never
    match.
    """
    origins = split_list(raw)
    if not origins:
        raise ValidationError("must list at least one origin, such as https://app.example.com")
    return tuple(map(_check_passkey_origin, origins))


def _check_passkey_origin(raw: str) -> str:
    return raw if _ANDROID_ORIGIN.fullmatch(raw) else check_web_origin(raw)


def parse_totp_issuer(raw: str) -> str:
    """Parse the name that authenticator apps show; a colon would end it in their URI's label."""
    if ":" in parse_text(raw) or len(raw) > MAX_BRAND_LENGTH:
        raise ValidationError(
            f"must be at most {MAX_BRAND_LENGTH} characters long and have no colon"
        )
    return raw.strip()


def derive_factor_settings(values: dict[str, Any], raw: Mapping[str, str]) -> None:
    """Derive the settings of factors that are not set from `public_url`.

    In production there is no default RP ID: it can never be changed without losing passkeys, so
    the operator must choose it.

    Args:
        values: the parsed settings by field, without those that have a fault; it is changed.
        raw: the variables that are set.
    """
    url = values.get("public_url")
    if url is None:
        return
    parts = urlsplit(url)
    host = parts.hostname or LOCALHOST
    if "TOTP_ISSUER" not in raw:
        # An IPv6 address has colons, which an issuer must not have.
        values["totp_issuer"] = "authserve" if ":" in host else host
    if "PASSKEY_RP_ID" not in raw:
        is_local = host == LOCALHOST and values.get("app_env") != "production"
        values["passkey_rp_id"] = LOCALHOST if is_local else ""
    if "PASSKEY_ORIGINS" not in raw:
        values["passkey_origins"] = (browser_origin(parts),) if values.get("passkey_rp_id") else ()


def find_factor_faults(values: Mapping[str, Any]) -> Iterator[str]:
    """Find settings of factors that do not fit each other.

    Args:
        values: the settings by field, without those that have a fault already.

    Yields:
        One sentence for each fault. It begins with the variable's name and holds no value.
    """
    if {"app_env", "public_url", "passkey_rp_id"} <= values.keys():
        yield from _find_origin_faults(values)
    has_proof = values.get("email_verification") is not EmailVerification.OFF
    if values.get("email_sign_in") and not has_proof:
        yield "EMAIL_SIGN_IN: must be off where EMAIL_VERIFICATION is off"


def _find_origin_faults(values: Mapping[str, Any]) -> Iterator[str]:
    rp_id, origins = values["passkey_rp_id"], values.get("passkey_origins", ())
    allows_http = values["app_env"] != "production"
    if origins and not rp_id:
        yield "PASSKEY_ORIGINS: needs PASSKEY_RP_ID, the domain that every origin ends in; set it"
    elif not all(_fits_rp_id(origin, rp_id, allows_http) for origin in origins):
        yield (
            "PASSKEY_ORIGINS: each must begin with https:// and be at or under PASSKEY_RP_ID, as "
            "must PUBLIC_URL where they are not set; http:// is for localhost outside production"
        )


def _fits_rp_id(origin: str, rp_id: str, allows_http: bool) -> bool:
    """Return True if browsers let pages of an origin use an RP ID (WebAuthn L3 §5.1.3 step 8)."""
    if _ANDROID_ORIGIN.fullmatch(origin):
        return True
    parts = urlsplit(origin)
    host = parts.hostname or ""
    is_secure = parts.scheme == "https" or (allows_http and _is_at_or_under(host, LOCALHOST))
    return is_secure and _is_at_or_under(host, rp_id)


def _is_at_or_under(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")
