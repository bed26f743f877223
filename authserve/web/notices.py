"""The notice of a page after a form was sent: sealed into the URL of the redirect.

Every form ends in a redirect, so that a reload repeats nothing. What the next page says, such as
the address that a mail goes to, is encrypted: no log shows it, and no stranger's link can make a
page say it.
"""

import json
from collections.abc import Mapping
from datetime import timedelta

from flask import request

from authserve.core.base64url import decode_base64url, encode_base64url
from authserve.core.clock import now
from authserve.core.crypto import KEYRING, UndecryptableError

FIELD = "notice"

PURPOSE = "page-notice"

NOTICE_TTL = timedelta(hours=1)
"""Time for which a reload still shows it (chosen)."""

MAX_LENGTH = 1_000
"""Limits the text in the URL, in characters (chosen: twice what the longest address takes)."""


def seal_notice(kind: str, **values: str) -> str:
    """Return the text of a notice for the query of a redirect.

    Args:
        kind: a name that no other notice has.
    """
    body = {**values, "until": int((now() + NOTICE_TTL).timestamp())}
    sealed = KEYRING.get().encrypt(PURPOSE, json.dumps(body).encode(), context=kind.encode())
    return encode_base64url(sealed)


def open_notice(kind: str) -> Mapping[str, str] | None:
    """Return the values of the current request's notice, or None without a valid one of `kind`."""
    text = request.args.get(FIELD, "")
    if not text or len(text) > MAX_LENGTH:
        return None
    try:
        sealed = decode_base64url(text)
        opened = KEYRING.get().decrypt(PURPOSE, sealed, context=kind.encode())
    except (UndecryptableError, ValueError):
        return None
    body = json.loads(opened)
    return body if body.pop("until") > now().timestamp() else None
