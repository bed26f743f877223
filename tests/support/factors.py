"""Second factors of accounts in tests, written past the service."""

from uuid import UUID

from flask import Flask
from sqlalchemy import insert, update

from authserve.auth.current_session import get_live_session
from authserve.core.clock import now
from authserve.core.ids import new_id
from authserve.core.levels import Level
from authserve.database.transactions import transaction
from authserve.keys.store import KEY_STORE
from authserve.mfa.models import RecoveryCode, TotpFactor
from authserve.mfa.recovery_codes import digest_code, make_code
from authserve.mfa.totp import new_secret, seal
from authserve.settings.model import SETTINGS
from authserve.tokens.access import issue_access_token
from authserve.users.models import User
from tests.support.clients import Caller
from tests.support.rows import change_session


def switch_mfa_on(app: Flask, user_id: UUID) -> None:
    """Make an account need two factors; without one, its next sign-in enrols."""
    with app.app_context(), transaction() as session:
        session.execute(update(User).where(User.id == user_id).values(mfa_enabled=True))


def give_totp(app: Flask, user_id: UUID) -> bytes:
    """Switch MFA on for an account with a TOTP secret, and return the secret."""
    factor_id, secret = new_id(), new_secret()
    with app.app_context(), transaction() as session:
        values = {"secret": seal(factor_id, secret), "created_at": now(), "confirmed_at": now()}
        session.execute(insert(TotpFactor).values(id=factor_id, user_id=user_id, **values))
    switch_mfa_on(app, user_id)
    return secret


def break_totp(app: Flask) -> None:
    """Replace every TOTP secret by bytes that no key decrypts."""
    with app.app_context(), transaction() as session:
        session.execute(update(TotpFactor).values(secret=bytes(48)))


def give_recovery_codes(app: Flask, user_id: UUID, *, count: int = 1) -> list[str]:
    """Add recovery codes to an account, and return them."""
    codes = [make_code() for _ in range(count)]
    with app.app_context(), transaction() as session:
        for code in codes:
            digest = digest_code(code.replace("-", ""))
            row = {"user_id": user_id, "digest": digest, "created_at": now()}
            session.execute(insert(RecoveryCode).values(row))
    return codes


def raise_caller(app: Flask, caller: Caller, level: int = Level.AAL2) -> None:
    """Raise a caller's session past the service; the caller gets a fresh token of that level."""
    change_session(app, caller.session_id, aal=level)
    with app.app_context():
        moment, key = now(), KEY_STORE.get().signing_key()
        session = get_live_session(caller.session_id, now=moment).as_live()
        caller.tokens.update(
            issue_access_token(session, key=key, fresh=True, settings=SETTINGS.get(), now=moment)
        )
