"""Passkeys: checking the answers of both ceremonies, and recording their use.

An answer is checked before the transaction, because its challenge stays spent even if the
transaction rolls back, and used inside it:

    checked = check_assertion(answer, use, account=user.id, now=moment)
    if isinstance(checked, RefusedPasskey):
        ...                                     # `checked.failure` is the reason
    with transaction():
        if not spend_assertion(checked, now=moment):
            raise ...                           # roll back
    # and after a False:
    failure = explain_unspent(checked, request=request, now=moment)
"""

import logging
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.engine import Row

from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.events import AuditAction, Outcome
from authserve.core.frozen import frozen
from authserve.database.emit import emit
from authserve.database.statements import UTCDateTime, table_of
from authserve.database.transactions import execute, read_all, transaction
from authserve.mail.notices import notify
from authserve.mail.policy import MailKind, plain_name
from authserve.mfa import ceremonies
from authserve.mfa.answers import (
    AssertionAnswer,
    RegisteredPasskey,
    RegistrationAnswer,
    RelyingParty,
)
from authserve.mfa.assurance import ProofFailure
from authserve.mfa.ceremonies import NewPasskey
from authserve.mfa.challenges import ChallengeUse, redeem_challenge
from authserve.mfa.models import Passkey
from authserve.mfa.policy import (
    Ceremony,
    PasskeyFault,
    PasskeyRefusedError,
)
from authserve.settings.model import SETTINGS, Settings
from authserve.users.accounts import ref_of
from authserve.users.lookup import get_user

logger = logging.getLogger(__name__)

TABLE = table_of(Passkey)
_MOMENT = bindparam("moment", type_=UTCDateTime)


@frozen(kw_only=True)
class ProvenPasskey:
    """A passkey whose answer passed every check but that of its counter, which its row decides.

    Args:
        id: of its row.
        user_id: its account.
        sign_count, is_backed_up: as the authenticator reported them.
    """

    id: UUID
    user_id: UUID
    sign_count: int
    is_backed_up: bool


@frozen()
class RefusedPasskey:
    """An answer that was refused.

    Args:
        user_id: the account of the passkey that it names, if there is one.
    """

    failure: ProofFailure
    user_id: UUID | None = None


_FAILURES = {
    PasskeyFault.UNKNOWN: ProofFailure.UNKNOWN_PASSKEY,
    PasskeyFault.FLAGGED: ProofFailure.PASSKEY_FLAGGED,
}


def relying_party(settings: Settings) -> RelyingParty:
    """Return the service as passkeys know it."""
    return RelyingParty(settings.passkey_rp_id, settings.passkey_origins)


def check_registration(
    answer: RegistrationAnswer, use: ChallengeUse, *, now: datetime
) -> NewPasskey | RefusedPasskey:
    """Check an answer to creation options; its challenge is spent, and that is committed.

    Args:
        answer: from the browser.
        use: the call that the options were for.
        now: the present time.

    Raises:
        TransactionNestingError: a transaction is open.
    """
    try:
        client_data = ceremonies.read_client_data(answer, Ceremony.REGISTRATION)
        redeem_challenge(client_data.challenge, use, now=now)
        party = relying_party(SETTINGS.get())
        return ceremonies.check_registration(answer, client_data, party=party)
    except PasskeyRefusedError as error:
        return _refused(error.fault)


def check_assertion(
    answer: AssertionAnswer, use: ChallengeUse, *, account: UUID | None, now: datetime
) -> ProvenPasskey | RefusedPasskey:
    """Check an answer to request options; its challenge is spent, and that is committed.

    Args:
        answer: from the browser.
        use: the call that the options were for.
        account: the account that a first step or a session has identified; None at a sign-in with
            the passkey alone, where the user handle identifies it.
        now: the present time.

    Raises:
        TransactionNestingError: a transaction is open.
    """
    passkey: RegisteredPasskey | None = None
    try:
        client_data = ceremonies.read_client_data(answer, Ceremony.ASSERTION)
        redeem_challenge(client_data.challenge, use, now=now)
        passkey = find_passkey(answer.raw_id)
        verified = ceremonies.check_assertion(
            answer,
            client_data,
            party=relying_party(SETTINGS.get()),
            passkey=passkey,
            account=account,
        )
    except PasskeyRefusedError as error:
        return _refused(error.fault, passkey)
    return ProvenPasskey(
        id=verified.passkey.id,
        user_id=verified.passkey.user_id,
        sign_count=verified.sign_count,
        is_backed_up=verified.is_backed_up,
    )


def _refused(fault: PasskeyFault, passkey: RegisteredPasskey | None = None) -> RefusedPasskey:
    logger.info("passkey refused", extra={"reason": fault})
    failure = _FAILURES.get(fault, ProofFailure.PASSKEY_REFUSED)
    return RefusedPasskey(failure, passkey.user_id if passkey else None)


_FIND = select(
    TABLE.c.id,
    TABLE.c.user_id,
    TABLE.c.public_key,
    TABLE.c.rp_id,
    TABLE.c.backup_eligible,
    TABLE.c.flagged_at,
).where(TABLE.c.credential_id == bindparam("wanted"))


def find_passkey(credential_id: bytes) -> RegisteredPasskey | None:
    """Return the passkey with this credential id, or None."""
    rows = read_all(_FIND, {"wanted": credential_id})
    return _registered(rows[0]) if rows else None


def _registered(row: Row[Any]) -> RegisteredPasskey:
    return RegisteredPasskey(
        id=row.id,
        user_id=row.user_id,
        public_key=row.public_key,
        rp_id=row.rp_id,
        is_backup_eligible=row.backup_eligible,
        is_flagged=row.flagged_at is not None,
    )


_NEW_COUNT: Any = bindparam("new_count")

_HAS_NO_COUNTER = (_NEW_COUNT == 0) & (TABLE.c.sign_count == 0)
_IS_COUNTER_FINE = (
    TABLE.c.backup_eligible
    | TABLE.c.counter_ignored
    | _HAS_NO_COUNTER
    | (TABLE.c.sign_count < _NEW_COUNT)
)
"""The counter of a passkey that is bound to a device must grow; a copy of it would fall behind. The
counter of a synced passkey means nothing (WebAuthn Level 3 §6.1.1)."""

_SPEND = (
    update(TABLE)
    .where(TABLE.c.id == bindparam("passkey_id"), TABLE.c.flagged_at.is_(None), _IS_COUNTER_FINE)
    .values(sign_count=_NEW_COUNT, backed_up=bindparam("is_backed_up"), last_used_at=_MOMENT)
)
_FLAG = (
    update(TABLE)
    .where(TABLE.c.id == bindparam("passkey_id"), TABLE.c.flagged_at.is_(None), ~_IS_COUNTER_FINE)
    .values(flagged_at=_MOMENT)
    .returning(TABLE.c.name)
)


def spend_assertion(proven: ProvenPasskey, *, now: datetime) -> bool:
    """Record the use of a passkey in the open transaction; one statement compares its counter.

    Returns:
        False if its counter fell back, or it was flagged or removed meanwhile; then nothing
        changed, and the transaction must not go on (`explain_unspent`).
    """
    parameters = {
        "passkey_id": proven.id,
        "new_count": proven.sign_count,
        "is_backed_up": proven.is_backed_up,
        "moment": now,
    }
    return execute(_SPEND, parameters).rowcount == 1


def explain_unspent(proven: ProvenPasskey, *, request: RequestInfo, now: datetime) -> ProofFailure:
    """Return why a passkey was not spent; flag it if its counter fell back, and commit that.

    A flagged passkey is refused until its owner clears it; the owner gets a mail. The counter
    stays, so that the original still differs from its copy.

    Args:
        proven: the passkey that `spend_assertion` refused.
        request: for the audit event.
        now: the present time.

    Raises:
        TransactionNestingError: a transaction is open, whose end would take it back.
    """
    parameters = {"passkey_id": proven.id, "new_count": proven.sign_count, "moment": now}
    with transaction(durable=True):
        row = execute(_FLAG, parameters).one_or_none()
        if row is None:
            return ProofFailure.PASSKEY_REFUSED
        owner = get_user(proven.user_id)
        values = {"factor_name": plain_name(row.name)}
        notify(MailKind.PASSKEY_FLAGGED, owner.email, owner.id, values=values)
        emit(
            AuditAction.FACTOR_FLAGGED,
            outcome=Outcome.FAILURE,
            actor=VISITOR,
            subject=ref_of(owner),
            request=request,
            details={"factor": "passkey", "factor_id": str(proven.id)},
        )
    return ProofFailure.PASSKEY_FLAGGED
