"""Enqueuing notices: mails about an event of an account, which carry no link and no code.

It stands apart from the mailer, so that every package that changes an account can enqueue a notice
without the packages that look accounts up and send.
"""

from uuid import UUID

from authserve.mail.policy import MailKind, Values
from authserve.outbox.enqueue import enqueue


def notify(kind: MailKind, email: str, user_id: UUID, *, values: Values | None = None) -> None:
    """Enqueue a notice to a user, in the open transaction.

    Args:
        kind: a kind without a link.
        email: the recipient: the user's current or former address.
        values: further values for its templates (`mail.policy.SAMPLE_VALUES`).
    """
    payload = {"email": email} if values is None else {"email": email, "values": dict(values)}
    enqueue(kind, payload, user_id=user_id)
