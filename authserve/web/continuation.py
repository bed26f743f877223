"""The target after a page: a signed token in the URL of each tab.

Nothing about it lives in a cookie or a session, so two tabs never end at one address. The token
carries no credential. An address is checked against `RETURN_URLS` when it is signed and again when
it is used, so a changed setting holds at once.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

from flask import request, url_for
from werkzeug.routing import BuildError

from authserve.core.clock import now
from authserve.core.errors import UnauthenticatedError
from authserve.core.frozen import frozen
from authserve.settings.model import SETTINGS
from authserve.settings.return_urls import is_return_url_allowed
from authserve.tokens.signing import LEEWAY_SECS, TokenKind, sign, verify

logger = logging.getLogger(__name__)

CONTINUE = TokenKind(
    name="continue", header_type="continue+jwt", claims=("kind", "target", "begun")
)

CONTINUE_TTL = timedelta(hours=24)
"""Lifetime of a token (design: a person may come back to a tab the next day)."""

AUTHORIZE_TTL = timedelta(hours=1)
"""Lifetime of the token of an app's request: the app has forgotten it by then (design)."""

ANSWER_TTL = timedelta(minutes=5)
"""Time in which an answer to an app's request counts (chosen: the browser goes on at once)."""

MAX_TOKEN_LENGTH = 3_000
"""Limits a token, in characters, so that it fits into a request line (design; ASVS 4.2.5)."""

RESUME_PATH = "/oauth/resume"
"""The path at which an app's request goes on; its view is in `oidc`, above this package."""

LOGOUT_PATH = "/oauth/logout"
"""The path at which an app asks to sign a person out, and from which they go back to it."""

FIELD = "continue"
"""The name of the query parameter and of the hidden form field."""

_NIL_SUBJECT = str(UUID(int=0))
"""`sub` of every token, since no user is known yet (RFC 9562 §5.9)."""


class TargetKind(StrEnum):
    """The target of a token."""

    PAGE = "page"
    RETURN = "return"
    AUTHORIZE = "authorize"
    LOGOUT = "logout"


class Answer(StrEnum):
    """A person's answer to an app's request."""

    ALLOWED = "allowed"
    DENIED = "denied"


@frozen()
class Continuation:
    """A verified target.

    Args:
        target: for a page its endpoint and arguments as a query; for an app's request, to sign in
            or out, its query; else the address.
        is_expired: True if the token's lifetime has passed.
        session_id: of the browser's session that it is bound to; None if it is bound to none.
        begun: when the person set out; None means now.
        answer: to an app's request, given within `ANSWER_TTL`; None means that it is not answered.
    """

    kind: TargetKind
    target: str
    is_expired: bool = False
    session_id: UUID | None = None
    begun: datetime | None = None
    answer: Answer | None = None

    @property
    def host(self) -> str | None:
        """The host of an address, to show it to the person; None for a page or an installed app."""
        if self.kind is TargetKind.PAGE:
            return None
        name = _ADDRESS_PARAMETERS.get(self.kind)
        address = self.find_parameter(name) if name is not None else self.target
        return urlsplit(address).hostname

    @property
    def login_hint(self) -> str:
        """The identifier that an app expects to sign in; empty text without one."""
        return self.find_parameter("login_hint") if self.kind is TargetKind.AUTHORIZE else ""

    @property
    def provider_hint(self) -> str:
        """The slug of the provider that an app wants to be offered; empty text without one."""
        return self.find_parameter("idp_hint") if self.kind is TargetKind.AUTHORIZE else ""

    @property
    def max_age_secs(self) -> int | None:
        """The greatest age of a sign-in that an app accepts, in seconds; 0 for a new one only.

        None if any will do (OpenID Connect Core §3.1.2.1).
        """
        if self.kind is not TargetKind.AUTHORIZE:
            return None
        if not _NEW_SIGN_INS.isdisjoint(self.find_parameter("prompt").split(" ")):
            return 0
        age = self.find_parameter("max_age")
        return int(age) if age.isascii() and age.isdecimal() else None

    def find_parameter(self, name: str) -> str:
        """Return a parameter of the query in `target`; empty text without one."""
        return dict(parse_qsl(self.target)).get(name, "")


_NEW_SIGN_INS = frozenset({"login", "select_account"})
"""Values of `prompt` for which a former sign-in is not enough."""

_ADDRESS_PARAMETERS = {
    TargetKind.AUTHORIZE: "redirect_uri",
    TargetKind.LOGOUT: "post_logout_redirect_uri",
}
"""The parameter of an app's request that names the address to return to."""

TTLS = {
    TargetKind.PAGE: CONTINUE_TTL,
    TargetKind.RETURN: CONTINUE_TTL,
    TargetKind.AUTHORIZE: AUTHORIZE_TTL,
    TargetKind.LOGOUT: AUTHORIZE_TTL,
}


def to_return(address: str) -> Continuation | None:
    """Return the continuation to an address that a request names, or None if it is not allowed."""
    if not is_return_url_allowed(address, SETTINGS.get().return_urls):
        logger.info("return address is not in RETURN_URLS")
        return None
    return Continuation(TargetKind.RETURN, address)


def to_current_page(endpoint: str, *, session_id: UUID | None = None) -> Continuation:
    """Return the continuation to the page that was asked for, with its query.

    Args:
        endpoint: the view that shows it, perhaps to a form that another view has answered.
        session_id: see `Continuation`.
    """
    arguments = {**request.args.to_dict(), **(request.view_args or {})}
    # A token within a token would grow with each round.
    arguments.pop(FIELD, None)
    target = f"{endpoint}?{urlencode(arguments)}"
    return Continuation(TargetKind.PAGE, target, session_id=session_id)


def write_continuation(continuation: Continuation) -> str | None:
    """Return the token of a continuation, or None if it would be too long."""
    moment = now()
    begun = continuation.begun or moment
    claims = {
        "sub": _NIL_SUBJECT,
        "kind": continuation.kind,
        "target": continuation.target,
        "begun": int(begun.timestamp()),
    }
    if continuation.session_id is not None:
        claims["sid"] = str(continuation.session_id)
    if continuation.answer is not None:
        claims["answer"] = continuation.answer
    token = sign(
        CONTINUE,
        claims,
        public_url=SETTINGS.get().public_url,
        issued_at=moment,
        expires_at=begun + TTLS[continuation.kind],
    )
    return token if len(token) <= MAX_TOKEN_LENGTH else None


def read_continuation(token: str) -> Continuation | None:
    """Return the continuation of a token, or None if it is not valid or not allowed (any more)."""
    if not token or len(token) > MAX_TOKEN_LENGTH:
        return None
    try:
        claims = verify(
            CONTINUE,
            token,
            public_url=SETTINGS.get().public_url,
            now=now(),
            # The caller decides what an expired one is good for.
            allow_expired=True,
        )
        kind, target = TargetKind(claims["kind"]), str(claims["target"])
        session_id = UUID(claims["sid"]) if "sid" in claims else None
    except (UnauthenticatedError, ValueError):
        return None
    is_expired = claims["exp"] <= now().timestamp() - LEEWAY_SECS
    begun = datetime.fromtimestamp(claims["begun"], UTC)
    answer = _find_answer(claims)
    found = Continuation(kind, target, is_expired, session_id, begun, answer)
    return found if _is_allowed(found) else None


def _find_answer(claims: Mapping[str, Any]) -> Answer | None:
    is_recent = now().timestamp() - claims["iat"] <= ANSWER_TTL.total_seconds()
    return Answer(claims["answer"]) if "answer" in claims and is_recent else None


def _is_allowed(found: Continuation) -> bool:
    if found.kind is TargetKind.RETURN:
        return is_return_url_allowed(found.target, SETTINGS.get().return_urls)
    if found.kind in _ADDRESS_PARAMETERS:
        # `oidc` verifies the request anew; without it, no token has these kinds.
        return True
    return page_path(found) is not None


def page_path(continuation: Continuation) -> str | None:
    """Return path and query of a page of ours, or None if this release has no such page."""
    endpoint, _, query = continuation.target.partition("?")
    # Names with an underscore are Flask's own options, such as the scheme and the host.
    pairs = parse_qsl(query, keep_blank_values=True)
    arguments: dict[str, Any] = {n: value for n, value in pairs if not n.startswith("_")}
    try:
        return url_for(endpoint, _method="GET", **arguments)
    except BuildError:
        return None
