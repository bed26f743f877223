"""Requesting links and notices: enqueued here, looked up and sent by the worker.

A request by address runs the same statements whether or not an account has the address, so neither
the answer nor its time reveals accounts (ASVS 6.3.8).

Rows are always locked in one order: users, messages, tokens. So these use cases and the worker
cannot deadlock.
"""

from datetime import datetime
from uuid import UUID

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.events import AuditAction, DomainEvent
from authserve.core.ids import new_id
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.mail.notices import notify
from authserve.mail.policy import MailKind
from authserve.outbox.enqueue import close_topic, drop_topic, enqueue
from authserve.outbox.inspect import delete_messages_of, find_newest_payload
from authserve.outbox.policy import HORIZON
from authserve.sessions.listing import require_live_session
from authserve.users.accounts import lock_user, note_invited
from authserve.users.admission import require_allowed_domain
from authserve.users.lookup import find_user
from authserve.verification.models import OneTimeToken
from authserve.verification.policy import LIFETIMES, MAIL_KINDS, Purpose
from authserve.verification.tokens import ensure_token, make_link, supersede, supersede_by_address


def request_by_address(purpose: Purpose, email: str) -> None:
    """Enqueue a link to the account that has an address, if any; older links are dead at once.

    Args:
        purpose: `VERIFY_EMAIL` or `RESET_PASSWORD`.
        email: in canonical form.
    """
    with transaction():
        enqueue(MAIL_KINDS[purpose], {"email": email}, topic=_topic(purpose, email))
        supersede_by_address(purpose, email)


RESET_REQUEST = "password_reset_requested"
"""The kind of message from which the worker audits a request for a reset link."""


def request_password_reset(email: str) -> None:
    """Enqueue a reset link to an address that a visitor named, and the audit of the request.

    The worker looks the account up for both. The audit has its own message, so that a newer
    request does not replace it and an unavailable mail server does not delay it.

    Args:
        email: in canonical form.
    """
    with transaction():
        enqueue(RESET_REQUEST, {"email": email})
        request_by_address(Purpose.RESET_PASSWORD, email)


def request_email_change(
    user: UserRef, *, old_email: str, new_email: str, actor: Actor, request: RequestInfo
) -> None:
    """Enqueue a link to a new address and a notice to the current one; nothing changes yet.

    An address of another account is accepted too, which reveals nothing; the worker then sends no
    link to it.

    Args:
        actor: the user, with the session that asks. A simultaneous new password ends the session or
            the request, so no pending change is left of an ended session.

    Raises:
        ValidationFailedError: addresses of that domain are not accepted.
        SessionRevokedError, TokenExpiredError: the session has ended or expired meanwhile.
        UserNotFoundError: the account is gone.
    """
    require_allowed_domain(new_email, field="new_email")
    with transaction():
        lock_user(user.id)
        require_live_session(user.id, actor.current_session_id, now=now())
        _owe(Purpose.CHANGE_EMAIL, user, new_email)
        notify(MailKind.EMAIL_CHANGE_REQUESTED, old_email, user.id)
        emit(AuditAction.USER_EMAIL_CHANGE_REQUESTED, actor=actor, subject=user, request=request)


def withdraw_email_change(user: UserRef, *, actor: Actor, request: RequestInfo) -> None:
    """Withdraw a user's pending change of address, if there is one; its link is dead at once."""
    with transaction():
        if _end_email_change(user.id):
            emit(
                AuditAction.USER_EMAIL_CHANGE_WITHDRAWN, actor=actor, subject=user, request=request
            )


def _end_email_change(user_id: UUID) -> bool:
    """End the pending change of address of a user and its link, sent or not.

    Returns:
        See `close_email_change`.
    """
    drop_topic(_topic(Purpose.CHANGE_EMAIL, user_id))
    is_closed = close_email_change(user_id)
    _supersede_of(user_id, Purpose.CHANGE_EMAIL)
    return is_closed


def close_email_change(user_id: UUID) -> bool:
    """Record that no change of address is pending any more, in the open transaction.

    Returns:
        True if one may have been pending. True also if no link was sent because another account
        has the address: the user sees the effect, so it must not reveal that account.
    """
    topic = _topic(Purpose.CHANGE_EMAIL, user_id)
    return close_topic(topic, since=_first_live_request()) > 0


def find_pending_email_change(user_id: UUID) -> str | None:
    """Return the address to which a user has asked to change, while the change may be pending.

    It is returned too if no link was sent because another account has the address; see
    `close_email_change`.
    """
    topic = _topic(Purpose.CHANGE_EMAIL, user_id)
    payload = find_newest_payload(topic, since=_first_live_request())
    return str(payload["email"]) if payload is not None else None


def _first_live_request() -> datetime:
    """Return the time before which no requested change of address can be pending any more."""
    return now() - LIFETIMES[Purpose.CHANGE_EMAIL] - HORIZON


def invite(user: UserRef, email: str) -> None:
    """Enqueue an invitation to a user who was never active; older links are dead at once."""
    with transaction():
        note_invited(user.id)
        _owe(Purpose.INVITATION, user, email)


def make_invitation_link(user: UserRef, email: str) -> str:
    """Return an invitation link to deliver without mail; older links are dead at once."""
    token_id = new_id()
    with transaction():
        note_invited(user.id)
        drop_topic(_topic(Purpose.INVITATION, user.id))
        _supersede_of(user.id, Purpose.INVITATION)
        ensure_token(token_id, Purpose.INVITATION, user_id=user.id, email=email, requested_at=now())
    return make_link(Purpose.INVITATION, token_id)


def make_reset_link(user: UserRef, email: str) -> str:
    """Return a reset link to deliver without mail; older links are dead at once."""
    token_id = new_id()
    with transaction():
        drop_topic(_topic(Purpose.RESET_PASSWORD, email))
        _supersede_of(user.id, Purpose.RESET_PASSWORD)
        ensure_token(
            token_id, Purpose.RESET_PASSWORD, user_id=user.id, email=email, requested_at=now()
        )
    return make_link(Purpose.RESET_PASSWORD, token_id)


def notify_of_existing_account(email: str) -> None:
    """Enqueue a notice to an address that a visitor tried to open an account with it."""
    topic = _topic(MailKind.ACCOUNT_EXISTS, email)
    with transaction():
        enqueue(MailKind.ACCOUNT_EXISTS, {"email": email}, topic=topic)


def on_password_changed(event: DomainEvent) -> None:
    """Handle a changed password: end older reset links and a pending change; enqueue a notice.

    A thief may have asked for the change of address in a session that ends now. The link would
    still be good in the owner's own session, to whose page the thief could lead the owner.
    """
    user = find_user(event.subject.id) if event.subject else None
    if user is None:
        return
    drop_topic(_topic(Purpose.RESET_PASSWORD, user.email))
    _end_email_change(user.id)
    _supersede_of(user.id, Purpose.RESET_PASSWORD)
    notify(MailKind.PASSWORD_CHANGED, user.email, user.id)


def on_password_disabled(event: DomainEvent) -> None:
    """Handle a disabled password: enqueue a notice that explains what to do.

    A deactivated account gets none, since no reset would help.
    """
    user = find_user(event.subject.id) if event.subject else None
    if user is not None and user.is_active:
        notify(MailKind.PASSWORD_DISABLED, user.email, user.id)


def cancel_pending(user_id: UUID, email: str) -> None:
    """Cancel every live link of a user, sent or not, in the open transaction.

    Args:
        email: the address by which links were requested.
    """
    drop_pending(user_id, email)
    supersede(OneTimeToken.user_id == user_id)


def drop_pending(user_id: UUID, email: str) -> None:
    """Drop every link that is still pending, in the open transaction."""
    for purpose in _BY_USER:
        drop_topic(_topic(purpose, user_id))
    for purpose in _BY_ADDRESS:
        drop_topic(_topic(purpose, email))
    close_email_change(user_id)


def topics_of(email: str) -> list[str]:
    """Return the topics of messages that are requested by address and may name no user."""
    return [_topic(kind, email) for kind in (*_BY_ADDRESS, MailKind.ACCOUNT_EXISTS)]


def forget_messages(event: DomainEvent) -> None:
    """Handle a deleted account: delete all messages about its user, sent or not."""
    user = find_user(event.subject.id) if event.subject is not None else None
    if user is not None:
        delete_messages_of(user.id, topics=topics_of(user.email))


_BY_ADDRESS = (Purpose.VERIFY_EMAIL, Purpose.RESET_PASSWORD)
"""Purposes that a visitor requests by address; only the worker looks the account up."""

_BY_USER = (Purpose.CHANGE_EMAIL, Purpose.INVITATION)
"""Purposes that are requested for a known account."""


def _topic(kind: Purpose | MailKind, of: str | UUID) -> str:
    """Return the topic of a message, for example `reset_password:alice@example.com`."""
    return f"{kind}:{of}"


def _supersede_of(user_id: UUID, purpose: Purpose) -> None:
    supersede((OneTimeToken.user_id == user_id) & (OneTimeToken.purpose == purpose))


def _owe(purpose: Purpose, user: UserRef, email: str) -> None:
    topic = _topic(purpose, user.id)
    enqueue(MAIL_KINDS[purpose], {"email": email}, topic=topic, user_id=user.id)
    _supersede_of(user.id, purpose)
