"""The mail to an owner after a sign-in from a new device (ASVS 6.3.5)."""

from datetime import datetime, timedelta

from authserve.core.actor import RequestInfo
from authserve.mail.mailer import MailKind
from authserve.outbox.inspect import is_owed_since
from authserve.sessions.seen_devices import (
    DEVICE_MEMORY,
    find_browser,
    has_other_devices,
    record_device,
)
from authserve.users.credentials import Credentials
from authserve.verification.requests import notify

MAIL_INTERVAL = timedelta(days=1)
"""Least time between two of these mails to one account."""


def follow_device(
    credentials: Credentials, *, is_known_device: bool, request: RequestInfo, now: datetime
) -> None:
    """Record the device of a sign-in, in the open transaction; enqueue a mail if it is new.

    The transaction holds the lock on the user's row, so of two simultaneous sign-ins the second
    sees the mail of the first.

    Args:
        credentials: as read before the sign-in.
        is_known_device: True if the sign-in carried a valid device token of the account.
        now: the time of the sign-in.
    """
    is_new = record_device(credentials.ref.id, request, now=now)
    if is_new and not is_known_device and _is_worth_a_mail(credentials, request, now):
        notify(
            MailKind.NEW_DEVICE_SIGN_IN,
            credentials.email,
            credentials.ref.id,
            values=_describe(request, now),
        )


def _is_worth_a_mail(credentials: Credentials, request: RequestInfo, now: datetime) -> bool:
    """Return False for a first sign-in, without other recorded devices, or after a recent mail.

    If the account has a recent sign-in but no other device, devices were not recorded then: by an
    older release, or with `NEW_DEVICE_MAIL=off`.
    """
    before, user_id = credentials.last_login_at, credentials.ref.id
    if before is None:
        return False
    if before > now - DEVICE_MEMORY and not has_other_devices(user_id, request):
        return False
    return not is_owed_since(MailKind.NEW_DEVICE_SIGN_IN, user_id, since=now - MAIL_INTERVAL)


def _describe(request: RequestInfo, now: datetime) -> dict[str, str | int]:
    """Return the values of the mail; none is free text from the client."""
    return {
        "browser": find_browser(request.user_agent) or "",
        "ip": request.ip or "",
        "time": f"{now:%Y-%m-%d %H:%M} UTC",
    }
