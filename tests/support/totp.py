"""An authenticator app: the codes of a TOTP secret, computed without the code under test."""

import hashlib
import hmac
import re
import struct
from base64 import b32decode
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Flask

from authserve.core.clock import now
from tests.support.clients import Caller
from tests.support.mail import Mailbox, open_mailbox, work

PATH = "/api/v1/users/me/mfa/totp"

STEP = timedelta(seconds=30)


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


@dataclass(frozen=True)
class App:
    """An authenticator app that an account has confirmed.

    Args:
        secret: in base 32.
        recovery_codes: those that its confirmation returned.
    """

    secret: str
    recovery_codes: list[str]

    def code(self, *, steps: int = 0) -> str:
        """Return the code that it shows `steps` time steps from now."""
        return code_at(self.secret, now() + steps * STEP)


def add_app(app: Flask, caller: Caller, *, mailbox: Mailbox | None = None) -> App:
    """Set an authenticator app up for a caller, who goes on with the risen session.

    Args:
        app: the application.
        caller: with a fresh token.
        mailbox: gets the mailed code; None opens a new one.
    """
    mailbox = mailbox or open_mailbox(app)
    set_up = caller.post(PATH).get_json()
    body = {"code": code_at(set_up["secret"], now())}
    if set_up["email_code_required"]:
        body["email_code"] = mailed_code(app, mailbox, caller)
    response = caller.post(f"{PATH}/confirm", json=body)
    assert response.status_code == 200, response.get_data(as_text=True)
    answer = response.get_json()
    caller.tokens["access_token"] = answer["access_token"]
    return App(set_up["secret"], answer.get("recovery_codes", []))


def mailed_code(app: Flask, mailbox: Mailbox, caller: Caller) -> str:
    """Return the code of the newest mail of a set-up."""
    work(app)
    letters = mailbox.to(caller.user["email"])
    return [letter for letter in letters if re.search(r"\s[0-9]{8}\s", letter.text)][-1].code
