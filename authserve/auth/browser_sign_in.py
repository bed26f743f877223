"""The ways to a session of a browser: those of the API, with a cookie in place of tokens.

A browser holds one session, so that lists show none that its user cannot reach. Each function here
ends the session that the browser had, of any user.
"""

from dataclasses import field
from uuid import UUID

from authserve.auth.browser_sessions import (
    SECRET_BYTES,
    BrowserCookie,
    BrowserSession,
    end_browser_session,
)
from authserve.auth.email_sign_in import start_session_with_email_code
from authserve.auth.enrollment import GivenFactor, start_session_with_first_factor
from authserve.auth.login import start_session_with_password
from authserve.auth.passkey_sign_in import start_session_with_passkey
from authserve.auth.provider_sign_in import ProvenIdentity, start_session_with_provider
from authserve.auth.second_step import start_session_with_second_proof
from authserve.auth.start_session import NewCookie
from authserve.core.actor import RequestInfo
from authserve.core.crypto import random_bytes
from authserve.core.frozen import frozen
from authserve.mfa.answers import AssertionAnswer
from authserve.mfa.proving import GivenProof
from authserve.mfa.sign_in_codes import SignInRequest
from authserve.sessions.policy import RevokeReason
from authserve.tokens.access import LiveSession
from authserve.tokens.device import Device


@frozen(kw_only=True)
class Browser:
    """A browser that signs in.

    Args:
        former: the session that its present cookie holds, of any user.
        is_remembered: True if its user asked to be kept signed in.
    """

    former: BrowserSession | None
    is_remembered: bool
    request: RequestInfo

    def new_cookie(self) -> NewCookie:
        """Return the cookie of a session that is about to start."""
        return NewCookie(random_bytes(SECRET_BYTES), self.is_remembered)


@frozen()
class BrowserSignIn:
    """A new session of a browser.

    Args:
        user_id: the user's.
        device: the device that is known at the next sign-in.
        recovery_codes: of an account that has just set up its first factor, shown this once.
    """

    cookie: BrowserCookie
    user_id: UUID
    device: Device
    recovery_codes: tuple[str, ...] = field(default=(), repr=False)


def sign_in_browser(
    browser: Browser, *, identifier: str, password: str, device: Device | None
) -> BrowserSignIn:
    """Sign a browser in with a password.

    Args:
        identifier, password, device: see `login.start_session_with_password`.

    Raises:
        AuthserveError: see `login.start_session_with_password`.
    """
    cookie = browser.new_cookie()
    session, device = start_session_with_password(
        identifier=identifier,
        password=password,
        device=device,
        request=browser.request,
        cookie=cookie,
    )
    return _replace(browser, cookie, session, device)


def verify_second_step_of_browser(
    browser: Browser, *, mfa_token: str, given: GivenProof
) -> BrowserSignIn:
    """Complete a browser's sign-in with a second proof.

    Args:
        mfa_token, given: see `second_step.start_session_with_second_proof`.

    Raises:
        AuthserveError: see `second_step.start_session_with_second_proof`.
    """
    cookie = browser.new_cookie()
    completed = start_session_with_second_proof(
        mfa_token, given, request=browser.request, cookie=cookie
    )
    return _replace(browser, cookie, completed.session, completed.device)


def enroll_browser(
    browser: Browser,
    *,
    mfa_token: str,
    given: GivenFactor,
    email_code: str | None,
    name: str | None,
) -> BrowserSignIn:
    """Store an account's first factor, and complete the browser's sign-in that needed it.

    Args:
        mfa_token, given, email_code, name: see `enrollment.start_session_with_first_factor`.

    Raises:
        AuthserveError: see `enrollment.start_session_with_first_factor`.
    """
    cookie = browser.new_cookie()
    completed, codes = start_session_with_first_factor(
        mfa_token,
        given,
        email_code=email_code,
        name=name,
        request=browser.request,
        cookie=cookie,
    )
    return _replace(browser, cookie, completed.session, completed.device, codes)


def sign_in_browser_with_passkey(
    browser: Browser, *, answer: AssertionAnswer, device: Device | None
) -> BrowserSignIn:
    """Sign a browser in with a passkey alone.

    Args:
        answer, device: see `passkey_sign_in.start_session_with_passkey`.

    Raises:
        AuthserveError: see `passkey_sign_in.start_session_with_passkey`.
    """
    cookie = browser.new_cookie()
    completed = start_session_with_passkey(
        answer, device=device, request=browser.request, cookie=cookie
    )
    return _replace(browser, cookie, completed.session, completed.device)


def sign_in_browser_with_email_code(
    browser: Browser, *, requester: SignInRequest, code: str, device: Device | None
) -> BrowserSignIn:
    """Sign a browser in with a mailed code.

    Args:
        requester, code, device: see `email_sign_in.start_session_with_email_code`.

    Raises:
        AuthserveError: see `email_sign_in.start_session_with_email_code`.
    """
    cookie = browser.new_cookie()
    session, device = start_session_with_email_code(
        requester,
        code,
        device=device,
        request=browser.request,
        cookie=cookie,
    )
    return _replace(browser, cookie, session, device)


def sign_in_browser_with_provider(
    browser: Browser, *, proven: ProvenIdentity, device: Device | None
) -> BrowserSignIn:
    """Sign a browser in by another provider.

    Args:
        proven, device: see `provider_sign_in.start_session_with_provider`.

    Raises:
        AuthserveError: see `provider_sign_in.start_session_with_provider`.
    """
    cookie = browser.new_cookie()
    session, device = start_session_with_provider(
        proven, device=device, request=browser.request, cookie=cookie
    )
    return _replace(browser, cookie, session, device)


def _replace(
    browser: Browser,
    cookie: NewCookie,
    session: LiveSession,
    device: Device,
    recovery_codes: tuple[str, ...] = (),
) -> BrowserSignIn:
    """End the session that the browser had, and return the new one."""
    if browser.former is not None:
        end_browser_session(browser.former, RevokeReason.REPLACED, request=browser.request)
    held = BrowserCookie(session.id, cookie.secret)
    return BrowserSignIn(held, session.user_id, device, recovery_codes)
