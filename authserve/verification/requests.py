"""Asking for a link: written down here, looked up and sent by the worker.

What is asked for an address costs the same statements whoever has it, if anybody does; so neither
the answer nor its time tells (ASVS 6.3.8).

Rows are always locked in one order: users, messages, tokens. So no two of these use cases, nor
the worker's, can wait for each other in a ring.
"""

from uuid import UUID

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.ids import new_id
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.mail.mailer import MailKind, Values
from authserve.outbox.enqueue import close_topic, drop_topic, enqueue
from authserve.outbox.inspect import delete_messages_of
from authserve.outbox.policy import HORIZON
from authserve.users.accounts import find_user, note_invited
from authserve.users.admission import require_allowed_domain
from authserve.users.events import PasswordDisabled, UserDeleted, UserPasswordChanged
from authserve.verification.events import EmailChangeRequested, EmailChangeWithdrawn
from authserve.verification.links import make_link
from authserve.verification.models import OneTimeToken
from authserve.verification.policy import LIFETIMES, MAIL_KINDS, Purpose
from authserve.verification.tokens import ensure_token, supersede


def request_by_address(purpose: Purpose, email: str) -> None:
    """Owe a link to whoever has an address, if anybody has; older ones are dead at once.

    Args:
        purpose: `VERIFY_EMAIL` or `RESET_PASSWORD`.
        email: in canonical form.
    """
    with transaction():
        enqueue(MAIL_KINDS[purpose], {"email": email}, topic=_topic(purpose, email))
        supersede((OneTimeToken.email == email) & (OneTimeToken.purpose == purpose))


RESET_REQUEST = "password_reset_requested"
"""The kind of message by which the worker audits a request for a reset link."""


def request_password_reset(email: str) -> None:
    """Owe a reset link to an address that a visitor has named, and the audit of the request.

    The worker looks the account up for both. The audit has a message of its own, so that a newer
    request does not replace it, and a mail server that is away does not delay it.

    Args:
        email: in canonical form.
    """
    with transaction():
        enqueue(RESET_REQUEST, {"email": email})
        request_by_address(Purpose.RESET_PASSWORD, email)


def request_email_change(
    user: UserRef, *, old_email: str, new_email: str, actor: Actor, request: RequestInfo
) -> None:
    """Owe a link to a new address and a notice to the present one; nothing changes yet.

    An address that somebody else has is taken alike; the worker sends no link to it then.

    Raises:
        ValidationFailedError: addresses of that domain are not accepted.
    """
    require_allowed_domain(new_email, field="new_email")
    with transaction():
        _owe(Purpose.CHANGE_EMAIL, user, new_email)
        notify(MailKind.EMAIL_CHANGE_REQUESTED, old_email, user.id)
        emit(EmailChangeRequested(actor=actor, subject=user, request=request))


def withdraw_email_change(user: UserRef, *, actor: Actor, request: RequestInfo) -> None:
    """Withdraw a user's pending change of address, if there is one; its link is dead at once."""
    with transaction():
        drop_topic(_topic(Purpose.CHANGE_EMAIL, user.id))
        _supersede_of(user.id, Purpose.CHANGE_EMAIL)
        if close_email_change(user.id):
            emit(EmailChangeWithdrawn(actor=actor, subject=user, request=request))


def close_email_change(user_id: UUID) -> bool:
    """Note that no change of address is pending any more, in the open transaction.

    Returns:
        True if one may have been. For an address of another account, to which no link has gone,
        it is the same: the user sees what follows from it.
    """
    since = now() - LIFETIMES[Purpose.CHANGE_EMAIL] - HORIZON
    return close_topic(_topic(Purpose.CHANGE_EMAIL, user_id), since=since) > 0


def invite(user: UserRef, email: str) -> None:
    """Owe an invitation to a user who was never active; older ones are dead at once."""
    with transaction():
        note_invited(user.id)
        _owe(Purpose.INVITATION, user, email)


def make_invitation_link(user: UserRef, email: str) -> str:
    """An invitation link to hand over by other means than mail; older ones are dead at once."""
    token_id = new_id()
    with transaction():
        note_invited(user.id)
        drop_topic(_topic(Purpose.INVITATION, user.id))
        _supersede_of(user.id, Purpose.INVITATION)
        ensure_token(token_id, Purpose.INVITATION, user_id=user.id, email=email, requested_at=now())
    return make_link(Purpose.INVITATION, token_id)


def make_reset_link(user: UserRef, email: str) -> str:
    """Return a reset link to hand over by other means than mail; older ones are dead at once."""
    token_id = new_id()
    with transaction():
        drop_topic(_topic(Purpose.RESET_PASSWORD, email))
        _supersede_of(user.id, Purpose.RESET_PASSWORD)
        ensure_token(
            token_id, Purpose.RESET_PASSWORD, user_id=user.id, email=email, requested_at=now()
        )
    return make_link(Purpose.RESET_PASSWORD, token_id)


INVITATION_LIFETIME = LIFETIMES[Purpose.INVITATION]


def notify(kind: MailKind, email: str, user_id: UUID, *, values: Values | None = None) -> None:
    """Owe a user a notice, in the open transaction.

    Args:
        kind: one without a link.
        email: where it goes: the user's address, or the one that they had.
        values: what its templates get (`mail.policy.SAMPLE_VALUES`).
    """
    payload = {"email": email} if values is None else {"email": email, "values": dict(values)}
    enqueue(kind, payload, user_id=user_id)


def notify_of_existing_account(email: str) -> None:
    """Tell the owner of an address that somebody tried to open an account with it."""
    topic = _topic(MailKind.ACCOUNT_EXISTS, email)
    with transaction():
        enqueue(MailKind.ACCOUNT_EXISTS, {"email": email}, topic=topic)


def notify_of_changed_email(old_email: str, user_id: UUID) -> None:
    """Tell the old address that it is one no more, in the open transaction."""
    notify(MailKind.EMAIL_CHANGED, old_email, user_id)


def follow_changed_password(event: UserPasswordChanged) -> None:
    """Handle a new password: tell the user, and let no older reset link undo it."""
    user = find_user(event.subject.id) if event.subject else None
    if user is None:
        return
    drop_topic(_topic(Purpose.RESET_PASSWORD, user.email))
    _supersede_of(user.id, Purpose.RESET_PASSWORD)
    notify(MailKind.PASSWORD_CHANGED, user.email, user.id)


def follow_disabled_password(event: PasswordDisabled) -> None:
    """Handle a password that was switched off: tell the user what to do.

    A deactivated account's owner is told nothing, since no reset would help.
    """
    user = find_user(event.subject.id) if event.subject else None
    if user is not None and user.is_active:
        notify(MailKind.PASSWORD_DISABLED, user.email, user.id)


def cancel_pending(user_id: UUID, email: str) -> None:
    """Make every live link of a user worthless, sent or not, in the open transaction.

    Args:
        email: the address that links by address went to.
    """
    drop_pending(user_id, email)
    supersede(OneTimeToken.user_id == user_id)


def drop_pending(user_id: UUID, email: str) -> None:
    """Drop every link that is not sent yet, in the open transaction."""
    for purpose in _BY_USER:
        drop_topic(_topic(purpose, user_id))
    for purpose in _BY_ADDRESS:
        drop_topic(_topic(purpose, email))


def topics_of(email: str) -> list[str]:
    """What may be owed to an address without naming a user: it was asked for by address."""
    return [_topic(kind, email) for kind in (*_BY_ADDRESS, MailKind.ACCOUNT_EXISTS)]


def forget_messages(event: UserDeleted) -> None:
    """Handle the end of an account: nothing that was owed to it, or said to it, is kept."""
    user = find_user(event.subject.id) if event.subject is not None else None
    if user is not None:
        delete_messages_of(user.id, topics=topics_of(user.email))


_BY_ADDRESS = (Purpose.VERIFY_EMAIL, Purpose.RESET_PASSWORD)
"""Asked for by whoever knows an address; whose it is, only the worker asks."""

_BY_USER = (Purpose.CHANGE_EMAIL, Purpose.INVITATION)
"""Asked for an account that is known."""


def _topic(kind: Purpose | MailKind, of: str | UUID) -> str:
    """What the newest of several replaces: for example `reset_password:alice@example.com`."""
    return f"{kind}:{of}"


def _supersede_of(user_id: UUID, purpose: Purpose) -> None:
    supersede((OneTimeToken.user_id == user_id) & (OneTimeToken.purpose == purpose))


def _owe(purpose: Purpose, user: UserRef, email: str) -> None:
    topic = _topic(purpose, user.id)
    enqueue(MAIL_KINDS[purpose], {"email": email}, topic=topic, user_id=user.id)
    _supersede_of(user.id, purpose)
