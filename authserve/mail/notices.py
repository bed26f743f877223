"""Enqueuing notices, mails about an event of an account without a link or code, and their values.

It is separate from the mailer, so that every package that changes an account can enqueue a notice
without the packages that look accounts up and send.
"""

from datetime import datetime
from uuid import UUID

from authserve.core.actor import RequestInfo
from authserve.core.browsers import find_browser
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


def describe_request(request: RequestInfo, now: datetime) -> dict[str, str | int]:
    """Return what a mail says of the request behind it; nothing is free text from the client.

    Returns:
        `browser`, a well-known name or empty; `ip`, or empty; and `time`.
    """
    return {
        "browser": find_browser(request.user_agent) or "",
        "ip": request.ip or "",
        "time": write_time(now),
    }


def write_time(moment: datetime) -> str:
    """Return a time for the reader of a mail: `2026-11-27 09:57 UTC`."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"
