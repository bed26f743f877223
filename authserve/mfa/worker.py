"""The worker's handlers for mailed codes, which look the account up for the request."""

from datetime import timedelta

from authserve.core.clock import now
from authserve.database.transactions import transaction
from authserve.mail.mailer import MAILER
from authserve.mail.policy import MailKind, plain_name
from authserve.mfa.email_codes import CODE_LIFETIME, CodePurpose, code_of, ensure_code
from authserve.outbox.delivery import ClaimedMessage, require_held
from authserve.outbox.errors import DeliveryError, DroppedError
from authserve.outbox.policy import is_given_up
from authserve.outbox.worker import Handler
from authserve.users.accounts import User, lock_user
from authserve.users.errors import UserNotFoundError

CODE_MINUTES = CODE_LIFETIME // timedelta(minutes=1)


def deliver_enrollment_code(message: ClaimedMessage) -> None:
    """Send a code before an account's first factor; a retry carries the same code.

    Raises:
        DroppedError: the account is gone, off or has another address, or the code was spent,
            replaced by a newer one, or is one too many.
        DeliveryError: it was not sent, or was requested so long ago that it would surprise.
    """
    _require_recent(message)
    with transaction():
        user = _lock_recipient(message)
        _ensure_code(message, CodePurpose.ENROLL, user)
    _send_code(MailKind.ENROLLMENT_CODE, message, user)


def _require_recent(message: ClaimedMessage) -> None:
    if is_given_up(message.created_at, now()):
        raise DeliveryError("it was requested more than 24 hours ago")


def _lock_recipient(message: ClaimedMessage) -> User:
    """Return the account that a message names, locked in the open transaction."""
    if message.user_id is None:
        raise DroppedError("no account has this address")
    try:
        user = lock_user(message.user_id)
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
    )
    if not is_current:
        raise DroppedError("the code was spent or replaced, or too many are live")


def _send_code(kind: MailKind, message: ClaimedMessage, user: User) -> None:
    MAILER.get().send(
        kind,
        to=user.email,
        message_id=message.id,
        name=plain_name(user.display_name),
        values={**message.payload["values"], "code": code_of(message.id), "minutes": CODE_MINUTES},
    )


def _is_mail_ready() -> bool:
    return MAILER.get().is_ready


HANDLERS: dict[str, Handler] = {
    MailKind.ENROLLMENT_CODE: Handler(deliver_enrollment_code, _is_mail_ready),
}
"""The handler of each kind of message."""
