"""The options of both passkey ceremonies, as browsers parse them (WebAuthn Level 3 §5.1)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select

from authserve.core.base64url import encode_base64url
from authserve.core.frozen import frozen
from authserve.database.statements import table_of
from authserve.database.transactions import read_all
from authserve.mfa.challenges import CHALLENGE_TTL, ChallengeUse, make_challenge
from authserve.mfa.models import Passkey
from authserve.mfa.policy import ALGORITHMS, NO_ATTESTATION, PUBLIC_KEY
from authserve.settings.model import SETTINGS, Settings, brand_name

TABLE = table_of(Passkey)

REQUIRED = "required"
"""Passkeys are discoverable and verify their user, always (design)."""

EXPIRES_IN_SECS = int(CHALLENGE_TTL.total_seconds())
"""Lifetime of options, in seconds: that of their challenge."""

_TIMEOUT_MS = EXPIRES_IN_SECS * 1000


@frozen(kw_only=True)
class PasskeyOwner:
    """The account for which an authenticator makes a passkey, and the names that it shows."""

    id: UUID
    email: str
    display_name: str | None


def creation_options(owner: PasskeyOwner, use: ChallengeUse, *, now: datetime) -> dict[str, Any]:
    """Return the options to make a passkey (`PublicKeyCredentialCreationOptionsJSON`).

    Args:
        owner: the account; its id is the user handle.
        use: the call that the answer is for.
        now: the present time.
    """
    settings = SETTINGS.get()
    return {
        "rp": {"id": settings.passkey_rp_id, "name": brand_name(settings)},
        "user": {
            "id": encode_base64url(owner.id.bytes),
            "name": owner.email,
            "displayName": owner.display_name or owner.email,
        },
        "challenge": encode_base64url(make_challenge(use, now=now)),
        "pubKeyCredParams": [{"type": PUBLIC_KEY, "alg": each} for each in ALGORITHMS],
        "timeout": _TIMEOUT_MS,
        "excludeCredentials": _descriptors(TABLE.c.user_id == owner.id),
        "authenticatorSelection": {
            "residentKey": REQUIRED,
            "requireResidentKey": True,
            "userVerification": REQUIRED,
        },
        "attestation": NO_ATTESTATION,
        "extensions": {"credProps": True},
    }


def request_options(
    use: ChallengeUse, *, user_id: UUID | None = None, now: datetime
) -> dict[str, Any]:
    """Return the options to use a passkey (`PublicKeyCredentialRequestOptionsJSON`).

    Args:
        use: the call that the answer is for.
        user_id: limits the answer to the usable passkeys of an account; None limits nothing, sends
            no statement and so reveals nothing.
        now: the present time.
    """
    settings = SETTINGS.get()
    own = is_usable(settings) & (TABLE.c.user_id == user_id)
    return {
        "challenge": encode_base64url(make_challenge(use, now=now)),
        "timeout": _TIMEOUT_MS,
        "rpId": settings.passkey_rp_id,
        "allowCredentials": [] if user_id is None else _descriptors(own),
        "userVerification": REQUIRED,
    }


def is_usable(settings: Settings) -> ColumnElement[bool]:
    """Return the SQL condition that a passkey works now: of the present RP ID, and not flagged."""
    return (TABLE.c.rp_id == settings.passkey_rp_id) & TABLE.c.flagged_at.is_(None)


def _descriptors(condition: ColumnElement[bool]) -> list[dict[str, Any]]:
    columns = TABLE.c.credential_id, TABLE.c.transports
    rows = read_all(select(*columns).where(condition).order_by(TABLE.c.id))
    return [
        {
            "type": PUBLIC_KEY,
            "id": encode_base64url(row.credential_id),
            "transports": row.transports,
        }
        for row in rows
    ]
