"""Mailed codes that sign in: the requester's token, and the request of a code.

A code opens an account only together with the token that its requester received. So a code that
another person reads, or that its owner types into the page of an attacker who requested one,
opens nothing there. The token names no account and no row; it comes for every address alike.
"""

from datetime import datetime, timedelta
from uuid import UUID

from authserve.core.actor import RequestInfo
from authserve.core.crypto import digest, random_bytes
from authserve.core.errors import InvalidTokenError, TokenExpiredError
from authserve.core.events import DomainEvent
from authserve.core.frozen import frozen
from authserve.database.transactions import transaction
from authserve.mail.notices import describe_request
from authserve.mail.policy import MailKind
from authserve.mfa.email_codes import CODE_LIFETIME, CodePurpose, end_codes
from authserve.mfa.models import EmailCode
from authserve.outbox.enqueue import enqueue
from authserve.outbox.policy import HORIZON
from authserve.ratelimit.throttle_keys import Counted, ThrottleKey, identifier_key
from authserve.settings.model import SETTINGS
from authserve.tokens.signing import TokenKind, sign, verify

SIGN_IN = TokenKind(name="sign-in-code", header_type="code+jwt", claims=("idn",))

TOKEN_LIFETIME = HORIZON + CODE_LIFETIME
"""Lifetime of a requester's token: the mail may be `HORIZON` late, and its code then lasts
`CODE_LIFETIME`."""


@frozen(kw_only=True)
class SignInRequest:
    """A request of a code, as its token describes it.

    Args:
        handle: the SHA-256 of the token's 128 random bits, which the code's row holds.
        key: counts wrong codes by the address, as wrong passwords are counted.
    """

    handle: bytes
    key: ThrottleKey


def request_sign_in_code(
    email: str,
    *,
    is_known_device: bool,
    is_mail_allowed: bool,
    request: RequestInfo,
    public_url: str,
    now: datetime,
) -> tuple[str, timedelta]:
    """Enqueue a code to the account that has an address, if any; the worker looks it up.

    Args:
        email: in canonical form.
        is_known_device: True if the request comes from a device of the account's owner.
        is_mail_allowed: False if the address has had its mails; the answer is the same.
        request: what the mail names as its origin.
        public_url: the service's URL, the token's issuer.
        now: the time of the request.

    Returns:
        The requester's token and its lifetime.
    """
    handle = random_bytes()
    token = sign(
        SIGN_IN,
        {"sub": str(UUID(bytes=handle)), "idn": identifier_key(email).key},
        public_url=public_url,
        issued_at=now,
        expires_at=now + TOKEN_LIFETIME,
    )
    if is_mail_allowed:
        payload = {
            "email": email,
            "handle": digest(handle).hex(),
            "is_known_device": is_known_device,
            "values": describe_request(request, now),
        }
        with transaction():
            enqueue(MailKind.SIGN_IN_CODE, payload)
    return token, TOKEN_LIFETIME


def read_sign_in_token(token: str, *, public_url: str, now: datetime) -> SignInRequest | None:
    """Return the request of a token; None if the token is not ours, of another kind or expired."""
    try:
        claims = verify(SIGN_IN, token, public_url=public_url, now=now)
    except (InvalidTokenError, TokenExpiredError):
        return None
    return SignInRequest(
        handle=digest(UUID(claims["sub"]).bytes),
        key=ThrottleKey(str(claims["idn"]), Counted.IDENTIFIER),
    )


def end_sign_in_codes(event: DomainEvent) -> None:
    """Handle a new password: end the codes that would sign in, as it ends every other session."""
    if SETTINGS.get().email_sign_in and event.subject is not None:
        is_theirs = EmailCode.user_id == event.subject.id
        end_codes(is_theirs & (EmailCode.purpose == CodePurpose.SIGN_IN))
