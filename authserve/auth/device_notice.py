"""The mail to an owner after a sign-in from a new device (ASVS 6.3.5)."""

from datetime import timedelta

from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.mail.mailer import MailKind
from authserve.outbox.inspect import is_owed_since
from authserve.sessions.policy import DEVICE_MEMORY, find_browser
from authserve.sessions.seen_devices import has_other_devices, record_device
from authserve.settings.model import get_settings
from authserve.users.credentials import Credentials
from authserve.verification.requests import notify

MAIL_INTERVAL = timedelta(days=1)
"""Between two of these mails to one account."""


def follow_device(credentials: Credentials, *, is_known_device: bool, request: RequestInfo) -> None:
    """Record the device of a sign-in, in its transaction; owe a mail if it is new to the account.

    The open transaction holds the lock on the user's row, so of two sign-ins at once the second
    sees the mail of the first.

    Args:
        credentials: as read before the sign-in.
        is_known_device: True if a valid device token of the account came along.
    """
    if not get_settings().new_device_mail:
        return
    is_new = record_device(credentials.ref.id, request)
    if is_new and not is_known_device and _is_worth_a_mail(credentials, request):
        notify(
            MailKind.NEW_DEVICE_SIGN_IN,
            credentials.email,
            credentials.ref.id,
            values=_describe(request),
        )


def _is_worth_a_mail(credentials: Credentials, request: RequestInfo) -> bool:
    """Return True but for a first sign-in, without recorded devices, and after a recent mail.

    An account that was signed in to lately, and yet has no other device, was signed in to while
    devices were not recorded: by the release before, or with `NEW_DEVICE_MAIL=off`.
    """
    before, user_id = credentials.last_login_at, credentials.ref.id
    if before is None:
        return False
    if before > now() - DEVICE_MEMORY and not has_other_devices(user_id, request):
        return False
    return not is_owed_since(MailKind.NEW_DEVICE_SIGN_IN, user_id, since=now() - MAIL_INTERVAL)


def _describe(request: RequestInfo) -> dict[str, str | int]:
    """Return the values of the mail; nothing that the caller wrote freely is among them."""
    return {
        "browser": find_browser(request.user_agent) or "",
        "ip": request.ip or "",
        "time": f"{now():%Y-%m-%d %H:%M} UTC",
    }
