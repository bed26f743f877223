"""The worker's handlers for links and notices, which look the account up for the request."""

from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.mail.mailer import MAILER
from authserve.mail.policy import NOTICE_KINDS, MailKind, plain_name
from authserve.outbox.delivery import ClaimedMessage, assign_user, delete_held, require_held
from authserve.outbox.errors import DeliveryError, DroppedError
from authserve.outbox.policy import is_given_up
from authserve.outbox.worker import Handler
from authserve.ratelimit.counters import is_within
from authserve.ratelimit.policy import MAILS_TO_UNVERIFIED
from authserve.users.accounts import User, lock_user, ref_of
from authserve.users.errors import UserNotFoundError
from authserve.users.lookup import find_by_email, find_user
from authserve.verification.policy import LIFETIMES, PURPOSES, Purpose, Recipient, is_wanted
from authserve.verification.requests import RESET_REQUEST
from authserve.verification.tokens import ensure_token, make_link


def deliver_link(message: ClaimedMessage) -> None:
    """Send a link if it still makes sense; a retry carries the same link.

    Raises:
        DroppedError: no account has the address, or the link was spent, replaced by a newer one or
            became pointless.
        DeliveryError: it was not sent, or was requested so long ago that it would surprise.
    """
    if is_given_up(message.created_at, now()):
        raise DeliveryError("it was requested more than 24 hours ago")
    kind, address = MailKind(message.kind), str(message.payload["email"])
    purpose = PURPOSES[kind]
    user = _make_token(purpose, message, address)
    MAILER.get().send(
        kind,
        to=address,
        message_id=message.id,
        locales=(user.locale, message.payload.get("locale")),
        name=plain_name(user.display_name),
        link=make_link(purpose, message.id, locale=user.locale),
        lifetime=LIFETIMES[purpose],
    )


def _make_token(purpose: Purpose, message: ClaimedMessage, address: str) -> User:
    """Create or renew the link's token, with the user and the message locked.

    Transactions that would end the link wait for this one.

    Raises:
        DroppedError: see `deliver_link`.
    """
    with transaction():
        user = _lock(_reader(message, address))
        _require_wanted(purpose, user, address)
        require_held(message)
        assign_user(message, user.id)
        is_current = ensure_token(
            message.id, purpose, user_id=user.id, email=address, requested_at=message.created_at
        )
        if not is_current:
            raise DroppedError("the link was spent, or a newer one took its place")
    return user


def _lock(user: User) -> User:
    try:
        return lock_user(user.id)
    except UserNotFoundError as error:
        raise DroppedError("the account is gone") from error


def deliver_notice(message: ClaimedMessage) -> None:
    """Send a notice about an event of an account.

    Raises:
        DroppedError: the account does not exist any more, or its address is not verified and had
            its mails of the day (`MAILS_TO_UNVERIFIED`).
        DeliveryError: it was not sent.
    """
    address = str(message.payload["email"])
    user = _reader(message, address)
    assign_user(message, user.id)
    # The first try counts for all of them.
    is_counted = not user.email_verified and message.attempts == 1
    if is_counted and not is_within(MAILS_TO_UNVERIFIED, address):
        raise DroppedError("the address is not verified, and had its mails of the day")
    MAILER.get().send(
        MailKind(message.kind),
        to=address,
        message_id=message.id,
        locales=(user.locale, message.payload.get("locale")),
        name=plain_name(user.display_name),
        values=message.payload.get("values"),
    )


def record_reset_request(message: ClaimedMessage) -> None:
    """Audit a visitor's request for a reset link, if the address has an account.

    The message is deleted, so no trace of the address stays.

    Raises:
        DroppedError: another worker has the message.
    """
    with transaction():
        delete_held(message)
        user = find_by_email(str(message.payload["email"]))
        if user is not None:
            request = RequestInfo(correlation_id=message.correlation_id)
            emit(
                AuditAction.PASSWORD_RESET_REQUESTED,
                actor=VISITOR,
                subject=ref_of(user),
                request=request,
            )


def _reader(message: ClaimedMessage, address: str) -> User:
    user = find_user(message.user_id) if message.user_id else find_by_email(address)
    if user is None:
        raise DroppedError("no account has this address")
    return user


def _require_wanted(purpose: Purpose, user: User, address: str) -> None:
    recipient = Recipient(
        email=user.email,
        is_active=user.is_active,
        email_verified=user.email_verified,
        is_activated=user.is_activated,
    )
    if not is_wanted(purpose, recipient, address=address):
        raise DroppedError("the link would be useless now")
    if purpose is Purpose.CHANGE_EMAIL and find_by_email(address) is not None:
        raise DroppedError("another account has this address")


def _is_mail_ready() -> bool:
    return MAILER.get().is_ready


HANDLERS: dict[str, Handler] = {
    **{kind: Handler(deliver_link, _is_mail_ready) for kind in PURPOSES},
    **{kind: Handler(deliver_notice, _is_mail_ready) for kind in sorted(NOTICE_KINDS)},
    RESET_REQUEST: Handler(record_reset_request, lambda: True),
}
"""The handler of each kind of message."""
