"""The settings that production refuses to start with."""

from collections.abc import Iterator, Mapping
from typing import Any

from authserve.settings.model import EmailVerification
from authserve.settings.parsers import is_local_mailbox
from authserve.settings.secrets import find_weakness
from authserve.settings.urls import is_mail_exposed, is_plain_http

LINKS = ("VERIFY_URL", "RESET_URL", "EMAIL_CHANGE_URL", "INVITE_URL")

_MAKE_SECRET = "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"


def find_production_faults(values: Mapping[str, Any], given: Mapping[str, str]) -> Iterator[str]:
    """Find settings that are fine on a workstation, but dangerous on a public network.

    Args:
        values: the parsed settings by field, without those that have a fault already.
        given: the variables that are set.

    Yields:
        One sentence for each fault. It begins with the variable's name and holds no value.
    """
    if not {"SECRET_KEY", "SECRET_KEY_FILE"} & given.keys():
        yield f"SECRET_KEY: must be set in production; make one with {_MAKE_SECRET}"
    yield from _find_weak_secrets(values)
    if not {"DATABASE_URL", "DATABASE_URL_FILE"} & given.keys():
        yield (
            "DATABASE_URL: must be set in production; name a server with postgresql://, or a file "
            "with sqlite:///"
        )
    if not values.get("public_url", "https:").startswith("https:"):
        yield "PUBLIC_URL: must begin with https:// in production; give the address clients use"
    for name in LINKS:
        if is_plain_http(values.get(name.lower(), "")):
            yield f"{name}: must begin with https:// in production, or its token can be read"
    mail_url = values.get("mail_url", "")
    if mail_url == "console:":
        yield "MAIL_URL: must not be console: in production; name a server with smtp:// or smtps://"
    if is_mail_exposed(mail_url):
        yield "MAIL_URL: must use TLS in production; write smtps://, or end it in ?tls=starttls"
    if is_local_mailbox(values.get("mail_from", "")):
        yield "MAIL_FROM: must not be at localhost in production; give an address of your domain"
    if values.get("breached_passwords_url", "").startswith("http:"):
        yield "BREACHED_PASSWORDS_URL: must begin with https:// in production"
    if "TRUSTED_PROXIES" not in given:
        yield "TRUSTED_PROXIES: must be set in production; give the number of proxies, 0 included"
    if any(map(is_plain_http, values.get("cors_origins", ()))):
        yield "CORS_ORIGINS: each must begin with https:// in production, but on this machine"
    is_proven = values.get("email_verification", EmailVerification.REQUIRED)
    if values.get("registration_domains") and is_proven is not EmailVerification.REQUIRED:
        yield (
            "REGISTRATION_DOMAINS: needs EMAIL_VERIFICATION=required in production, or anyone may "
            "claim an address of a listed domain"
        )
    # As in Flask, every other value of this variable turns debugging on.
    if given.get("FLASK_DEBUG", "0").lower() not in ("", "0", "false", "no"):
        yield "FLASK_DEBUG: must not be on in production; remove it, and the option --debug"


def _find_weak_secrets(values: Mapping[str, Any]) -> Iterator[str]:
    if weakness := find_weakness(values["secret_key"]) if values.get("secret_key") else None:
        yield f"SECRET_KEY: {weakness}; make one with {_MAKE_SECRET}"
    # A retired secret still verifies signatures, so an attacker who guesses it can forge tokens.
    for fallback in values.get("secret_key_fallbacks", ()):
        if weakness := find_weakness(fallback):
            yield f"SECRET_KEY_FALLBACKS: one {weakness}; remove it"
    token = values.get("metrics_token")
    if token and token in (values.get("secret_key"), *values.get("secret_key_fallbacks", ())):
        # Prometheus has it in a file, and could forge every token of the service.
        yield f"METRICS_TOKEN: must not be a SECRET_KEY too; make one with {_MAKE_SECRET}"
    if weakness := find_weakness(token) if token else None:
        yield f"METRICS_TOKEN: {weakness}; make one with {_MAKE_SECRET}"
