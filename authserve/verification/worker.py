"""How the worker delivers links and notices: the account is looked up here, not in the request."""

from authserve.mail.policy import plain_name
from authserve.mail.service import MailKind, get_mailer
from authserve.outbox.errors import DroppedError
from authserve.outbox.service import ClaimedMessage
from authserve.outbox.worker import Handler
from authserve.users.service import User, find_by_email, find_user
from authserve.verification.policy import LIFETIMES, PURPOSES, Purpose, Recipient, is_wanted
from authserve.verification.service import ensure_token, make_link

NOTICES = (
    MailKind.ACCOUNT_EXISTS,
    MailKind.PASSWORD_CHANGED,
    MailKind.EMAIL_CHANGE_REQUESTED,
    MailKind.EMAIL_CHANGED,
)


def deliver_link(message: ClaimedMessage) -> None:
    """Send a link, if it still makes sense; a retry carries the same one.

    Raises:
        DroppedError: nobody has the address, the link was spent, or something newer replaced it.
        DeliveryError: it did not leave.
    """
    kind, address = MailKind(message.kind), str(message.payload["email"])
    purpose = PURPOSES[kind]
    user = _reader(message, address)
    _require_wanted(purpose, user, address)
    is_current = ensure_token(
        message.id,
        purpose,
        user_id=user.id,
        email=address,
        requested_at=message.created_at,
    )
    if not is_current:
        raise DroppedError("the link was spent, or a newer one took its place")
    get_mailer().send(
        kind,
        to=address,
        message_id=message.id,
        name=plain_name(user.display_name),
        link=make_link(purpose, message.id),
        lifetime=LIFETIMES[purpose],
    )


def deliver_notice(message: ClaimedMessage) -> None:
    """Tell somebody what happened to their account.

    Raises:
        DroppedError: the account is gone.
        DeliveryError: it did not leave.
    """
    address = str(message.payload["email"])
    user = _reader(message, address)
    get_mailer().send(
        MailKind(message.kind),
        to=address,
        message_id=message.id,
        name=plain_name(user.display_name),
    )


def _reader(message: ClaimedMessage, address: str) -> User:
    user = find_user(message.user_id) if message.user_id else find_by_email(address)
    if user is None:
        raise DroppedError("nobody has this address")
    return user


def _require_wanted(purpose: Purpose, user: User, address: str) -> None:
    recipient = Recipient(
        email=user.email,
        is_active=user.is_active,
        email_verified=user.email_verified,
        has_password=user.password_hash is not None,
    )
    if not is_wanted(purpose, recipient, address=address):
        raise DroppedError("the link would make no sense any more")
    if purpose is Purpose.CHANGE_EMAIL and find_by_email(address) is not None:
        raise DroppedError("somebody else has this address")


def _is_mail_ready() -> bool:
    return get_mailer().is_ready


HANDLERS = {
    **{kind: Handler(deliver_link, _is_mail_ready) for kind in PURPOSES},
    **{kind: Handler(deliver_notice, _is_mail_ready) for kind in NOTICES},
}
"""How each kind of mail is delivered."""
