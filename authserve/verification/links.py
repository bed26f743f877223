"""The tokens in links, and the links themselves."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from authserve.core.crypto import get_keyring, is_equal
from authserve.settings.model import Settings, get_settings
from authserve.verification.policy import Purpose

KEY_PURPOSE = "one-time-token"

ID_BYTES = 16
MAC_BYTES = 32
"""256 bits that nobody can guess (ASVS 11.5.1, 6.5.2); the id in front is no secret."""

PAGES = {
    Purpose.VERIFY_EMAIL: "/verify-email",
    Purpose.RESET_PASSWORD: "/reset-password",
    Purpose.CHANGE_EMAIL: "/confirm-email",
    Purpose.INVITATION: "/accept-invitation",
}
"""The service's own pages, which a setting can replace."""


def make_token(token_id: UUID) -> str:
    """The token that stands in the link of this row: always the same, and never stored."""
    mac = get_keyring().mac(KEY_PURPOSE, token_id.bytes)
    return urlsafe_b64encode(token_id.bytes + mac).decode()


def read_token(token: str) -> UUID | None:
    """The row that a token belongs to, or None if it is not one of ours.

    Made under a former `SECRET_KEY` it counts as long as that is among the fallbacks.
    """
    try:
        raw = urlsafe_b64decode(token.encode("ascii"))
    except ValueError:
        return None
    token_id, mac = raw[:ID_BYTES], raw[ID_BYTES:]
    if len(mac) != MAC_BYTES or urlsafe_b64encode(raw).decode() != token:
        return None
    keys = get_keyring().keys(KEY_PURPOSE)
    is_ours = any(is_equal(mac, hmac.digest(key, token_id, "sha256")) for key in keys)
    return UUID(bytes=token_id) if is_ours else None


def make_link(purpose: Purpose, token_id: UUID) -> str:
    """The link to mail: the token is in the fragment, which browsers send to no server.

    It leads to the configured front end or to `PUBLIC_URL`, never to where a request claimed to
    be sent.
    """
    return _template(get_settings(), purpose).replace("{token}", make_token(token_id))


def _template(settings: Settings, purpose: Purpose) -> str:
    own = {
        Purpose.VERIFY_EMAIL: settings.verify_url,
        Purpose.RESET_PASSWORD: settings.reset_url,
        Purpose.CHANGE_EMAIL: settings.email_change_url,
        Purpose.INVITATION: settings.invite_url,
    }
    return own[purpose] or f"{settings.public_url}{PAGES[purpose]}#{{token}}"
