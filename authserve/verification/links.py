"""Making and reading the tokens of one-time links."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from authserve.core.crypto import KEYRING, is_equal
from authserve.settings.model import SETTINGS, Settings
from authserve.verification.policy import Purpose

KEY_PURPOSE = "one-time-token"

ID_BYTES = 16
MAC_BYTES = 32
"""Bytes of a token: its id, which is no secret, then an HMAC of 256 bits, which cannot be guessed
(ASVS 11.5.1, 6.5.2)."""

PAGES = {
    Purpose.VERIFY_EMAIL: "/verify-email",
    Purpose.RESET_PASSWORD: "/reset-password",
    Purpose.CHANGE_EMAIL: "/confirm-email",
    Purpose.INVITATION: "/accept-invitation",
}
"""Paths of the service's own pages; a setting can replace each."""


def make_token(token_id: UUID) -> str:
    """Return the token for the link of a row: always the same, and never stored."""
    mac = KEYRING.get().mac(KEY_PURPOSE, token_id.bytes)
    return urlsafe_b64encode(token_id.bytes + mac).decode()


def read_token(token: str) -> UUID | None:
    """Return the id of the row that a token belongs to, or None if the token is not valid.

    A token made under a former `SECRET_KEY` is valid while that key is among the fallbacks.
    """
    try:
        raw = urlsafe_b64decode(token.encode("ascii"))
    except ValueError:
        return None
    token_id, mac = raw[:ID_BYTES], raw[ID_BYTES:]
    if len(mac) != MAC_BYTES or urlsafe_b64encode(raw).decode() != token:
        return None
    keys = KEYRING.get().keys(KEY_PURPOSE)
    is_ours = any(is_equal(mac, hmac.digest(key, token_id, "sha256")) for key in keys)
    return UUID(bytes=token_id) if is_ours else None


def make_link(purpose: Purpose, token_id: UUID) -> str:
    """Return the link to mail, with the token in the fragment, which browsers do not send.

    The link leads to the configured front end or to `PUBLIC_URL`, never to the host that a request
    named.
    """
    return _template(SETTINGS.get(), purpose).replace("{token}", make_token(token_id))


def _template(settings: Settings, purpose: Purpose) -> str:
    own = {
        Purpose.VERIFY_EMAIL: settings.verify_url,
        Purpose.RESET_PASSWORD: settings.reset_url,
        Purpose.CHANGE_EMAIL: settings.email_change_url,
        Purpose.INVITATION: settings.invite_url,
    }
    return own[purpose] or f"{settings.public_url}{PAGES[purpose]}#{{token}}"
