"""An authenticator app: the codes of a TOTP secret, computed without the code under test."""

import hashlib
import hmac
import struct
from base64 import b32decode
from datetime import datetime


def code_at(secret: bytes | str, moment: datetime) -> str:
    """Return the code of six digits that an app shows (RFC 6238 §4.2, RFC 4226 §5.3).

    Args:
        secret: its bytes, or the base 32 that a set-up returned.
        moment: the app's time.
    """
    key = b32decode(secret) if isinstance(secret, str) else secret
    mac = hmac.digest(key, struct.pack(">Q", int(moment.timestamp()) // 30), hashlib.sha1)
    start = mac[-1] & 15
    (number,) = struct.unpack(">I", mac[start : start + 4])
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06}"
