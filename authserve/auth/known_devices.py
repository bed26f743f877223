"""Devices that an account knows, by the device token that an earlier sign-in returned.

Rate limits must not count by a device of another account, which is a stranger's here.
"""

from uuid import UUID

from authserve.core.clock import now
from authserve.core.identifiers import canonical_login_identifier
from authserve.mfa.answers import AssertionAnswer
from authserve.mfa.sign_in_codes import SignInRequest
from authserve.ratelimit.throttle_keys import identifier_key
from authserve.settings.model import SETTINGS
from authserve.tokens.device import Device, read_device_token
from authserve.users.credentials import Credentials, find_credentials, find_credentials_by_id


def find_own_device(device_token: str, *, identifier: str) -> Device | None:
    """Return the device of a token if the account that `identifier` names knows it, else None."""
    return _find_own(device_token, identifier)[0]


def find_device_of_mailbox(device_token: str, *, email: str) -> Device | None:
    """Return the device of a token if the account with this verified address knows it, else None.

    Mails to an address that is not verified must not be counted by device: a stranger may have
    opened the account, and each sign-in makes another device known to it.
    """
    device, account = _find_own(device_token, email)
    return device if account is not None and account.email_verified else None


def _find_own(device_token: str, identifier: str) -> tuple[Device | None, Credentials | None]:
    device = _read(device_token)
    canonical = canonical_login_identifier(identifier) if device else None
    account = find_credentials(canonical) if canonical else None
    is_own = device is not None and is_device_of(device, account)
    return (device, account) if is_own else (None, None)


def find_device_of(device_token: str, user_id: UUID) -> Device | None:
    """Return the device of a token if it names this account, which may not know it any more."""
    device = _read(device_token)
    return device if device is not None and device.user_id == user_id else None


def find_requesters_device(device_token: str, requester: SignInRequest) -> Device | None:
    """Return the device of a token if the account that has the request's address knows it.

    The request names its address by a digest alone, so the device's account is looked up.
    """
    device = _read(device_token)
    account = find_credentials_by_id(device.user_id) if device is not None else None
    if device is None or account is None or not is_device_of(device, account):
        return None
    return device if identifier_key(account.email) == requester.key else None


def find_passkey_device(device_token: str, answer: AssertionAnswer) -> Device | None:
    """Return the device of a token if it is one of the account that the answer names, else None."""
    device = _read(device_token)
    if device is None or answer.user_handle != device.user_id.bytes:
        return None
    return device if is_device_of(device, find_credentials_by_id(device.user_id)) else None


def _read(device_token: str) -> Device | None:
    return read_device_token(device_token, public_url=SETTINGS.get().public_url, now=now())


def is_device_of(device: Device, credentials: Credentials | None) -> bool:
    """Return True if the account knows the device since its current password was set."""
    return credentials is not None and (device.user_id, device.password_version) == (
        credentials.ref.id,
        credentials.password_version,
    )
