"""The worker's part: handlers of mailed codes, and the job that performs due resets."""

from datetime import timedelta
from uuid import UUID

from authserve.core.clock import now
from authserve.core.levels import Proof
from authserve.database.transactions import transaction
from authserve.mail.mailer import MAILER
from authserve.mail.policy import MailKind, plain_name
from authserve.mfa.assurance import Enough, NeedsEnrollment, assess, need_of
from authserve.mfa.email_codes import CODE_LIFETIME, CodePurpose, code_of, ensure_code
from authserve.mfa.factors import find_factors
from authserve.mfa.reset import perform_due_resets
from authserve.outbox.delivery import ClaimedMessage, assign_user, delete_held, require_held
from authserve.outbox.errors import DeliveryError, DroppedError
from authserve.outbox.policy import is_given_up
from authserve.outbox.worker import Handler, Job
from authserve.ratelimit.counters import is_within
from authserve.ratelimit.policy import MAILS_TO_UNVERIFIED
from authserve.settings.model import SETTINGS
from authserve.users.accounts import User, lock_user
from authserve.users.errors import UserNotFoundError
from authserve.users.lookup import find_by_email, find_user

CODE_MINUTES = CODE_LIFETIME // timedelta(minutes=1)


def deliver_enrollment_code(message: ClaimedMessage) -> None:
    """Send a code before an account's first factor; a retry carries the same code.

    Raises:
        DroppedError: the account is gone, off or has another address, the code was spent,
            replaced by a newer one, or is one too many, or the address is not verified and had its
            mails of the day (`MAILS_TO_UNVERIFIED`).
        DeliveryError: it was not sent, or was requested so long ago that it would surprise.
    """
    _require_recent(message)
    _require_few_mails(message)
    with transaction():
        user = _lock_recipient(message, message.user_id)
        _ensure_code(message, CodePurpose.ENROLL, user)
    _send_code(MailKind.ENROLLMENT_CODE, message, user)


def _require_few_mails(message: ClaimedMessage) -> None:
    user = find_user(message.user_id) if message.user_id else None
    # The first try counts for all of them.
    is_counted = user is not None and not user.email_verified and message.attempts == 1
    if is_counted and not is_within(MAILS_TO_UNVERIFIED, str(message.payload["email"])):
        raise DroppedError("the address is not verified, and had its mails of the day")


def deliver_sign_in_code(message: ClaimedMessage) -> None:
    """Send a code to sign in, or explain why no code opens the account.

    Without an active account the message is deleted, so no trace of the address stays.

    Raises:
        DroppedError: the code was spent or is one too many, or another worker has the message.
        DeliveryError: see `deliver_enrollment_code`.
    """
    _require_recent(message)
    account = find_by_email(str(message.payload["email"]))
    if account is None or not account.is_active:
        with transaction():
            delete_held(message)
        return
    refusal = _find_refusal(account)
    if refusal is not None:
        assign_user(message, account.id)
        _send(MailKind.SIGN_IN_CODE_REFUSED, message, account, reason=refusal)
        return
    with transaction():
        user = _lock_recipient(message, account.id)
        assign_user(message, user.id)
        _ensure_code(message, CodePurpose.SIGN_IN, user)
    _send_code(MailKind.SIGN_IN_CODE, message, user)


def _find_refusal(account: User) -> str | None:
    """Return the reason why no code signs an account in, as the mail names it; None if one does.

    An unverified address proves nothing: another person may have opened the account and still
    knows the password. Without passkeys no enrolment can follow a code.
    """
    if not account.email_verified:
        return "unverified"
    settings = SETTINGS.get()
    need = need_of(mfa_enabled=account.mfa_enabled, settings=settings, now=now())
    found = assess({Proof.EMAIL_CODE}, need=need, factors=find_factors(account.id))
    can_enroll = isinstance(found, NeedsEnrollment) and settings.passkey_rp_id
    return None if isinstance(found, Enough) or can_enroll else "second_factor"


def _require_recent(message: ClaimedMessage) -> None:
    if is_given_up(message.created_at, now()):
        raise DeliveryError("it was requested more than 24 hours ago")


def _lock_recipient(message: ClaimedMessage, user_id: UUID | None) -> User:
    """Return the account that a code is for, locked in the open transaction.

    Raises:
        DroppedError: it is gone or not active, or has another address now.
    """
    if user_id is None:
        raise DroppedError("no account has this address")
    try:
        user = lock_user(user_id)
    except UserNotFoundError as error:
        raise DroppedError("the account is gone") from error
    if not user.is_active or user.email != message.payload["email"]:
        raise DroppedError("the code would be useless now")
    return user


def _ensure_code(message: ClaimedMessage, purpose: CodePurpose, user: User) -> None:
    """Write or renew the row of a message's code, in the open transaction.

    The message is locked too, so a transaction that ends the code waits for this one.
    """
    require_held(message)
    is_current = ensure_code(
        message.id,
        purpose,
        handle=bytes.fromhex(message.payload["handle"]),
        user_id=user.id,
        email=user.email,
        requested_at=message.created_at,
        replaces_oldest=message.payload.get("is_known_device", False),
    )
    if not is_current:
        raise DroppedError("the code was spent or replaced, or too many are live")


def _send_code(kind: MailKind, message: ClaimedMessage, user: User) -> None:
    _send(kind, message, user, code=code_of(message.id), minutes=CODE_MINUTES)


def _send(kind: MailKind, message: ClaimedMessage, user: User, **values: str | int) -> None:
    MAILER.get().send(
        kind,
        to=user.email,
        message_id=message.id,
        locales=(user.locale, message.payload.get("locale")),
        name=plain_name(user.display_name),
        values={**message.payload["values"], **values},
    )


def _is_mail_ready() -> bool:
    return MAILER.get().is_ready


RESET_SECS = 60.0
"""Seconds between two looks for due resets (chosen: `MFA_RESET_DELAY` is hours or days)."""

JOBS = (
    Job(
        perform_due_resets,
        period_secs=RESET_SECS,
        trouble="second factors could not be reset",
    ),
)

HANDLERS: dict[str, Handler] = {
    MailKind.SIGN_IN_CODE: Handler(deliver_sign_in_code, _is_mail_ready),
    MailKind.ENROLLMENT_CODE: Handler(deliver_enrollment_code, _is_mail_ready),
}
"""The handler of each kind of message."""
