"""The use cases of signing up and in."""

from authserve.auth.service.first_administrator import (
    FIRST_LINK_LIFETIME,
    make_first_administrator,
    make_first_link,
)
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
    "FIRST_LINK_LIFETIME",
    "Device",
    "SignedIn",
    "find_own_device",
    "get_live_sign_in",
    "login",
    "logout",
    "logout_everywhere",
    "make_first_administrator",
    "make_first_link",
    "new_device",
    "reauthenticate",
    "refresh",
    "register",
]
