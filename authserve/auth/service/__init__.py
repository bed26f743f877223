"""The use cases of signing up and in."""

from authserve.auth.service.live import Device, SignedIn, get_live_sign_in, new_device
from authserve.auth.service.registration import register
from authserve.auth.service.session_use import (
    logout,
    logout_everywhere,
    reauthenticate,
    refresh,
)
from authserve.auth.service.sign_in import find_own_device, login

__all__ = [
    "Device",
    "SignedIn",
    "find_own_device",
    "get_live_sign_in",
    "login",
    "logout",
    "logout_everywhere",
    "new_device",
    "reauthenticate",
    "refresh",
    "register",
]
