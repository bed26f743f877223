"""Sessions that a browser's cookie holds."""

from base64 import urlsafe_b64encode
from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from authserve.auth.browser_sessions import (
    BrowserCookie,
    BrowserSession,
    DeadCookie,
    find_browser_session,
    record_use,
    rotate_cookie,
    sign_browser_out,
)
from authserve.auth.browser_sign_in import Browser, BrowserSignIn, sign_in_browser
from authserve.auth.errors import InvalidCredentialsError
from authserve.auth.reauthenticate import reauthenticate_browser
from authserve.core.clock import now
from authserve.core.crypto import digest, random_bytes
from authserve.database.transactions import transaction
from authserve.mfa.errors import CodeReusedError
from authserve.mfa.proving import GivenCode
from tests.factories import REQUEST
from tests.support.clients import PASSWORD, Caller, register_caller
from tests.support.crowd import all_at_once
from tests.support.factors import give_totp
from tests.support.marks import both_databases
from tests.support.rows import (
    audit_trail,
    change_session,
    change_user,
    count_sessions,
    live_session_row,
)
from tests.support.totp import code_at


def sign_in(
    app: Flask,
    name: str = "alice",
    *,
    is_remembered: bool = False,
    former: BrowserSession | None = None,
    password: str = PASSWORD,
) -> BrowserSignIn:
    """Sign a browser in."""
    with app.app_context():
        browser = Browser(former=former, is_remembered=is_remembered, request=REQUEST)
        return sign_in_browser(browser, identifier=name, password=password, device=None)


def find(app: Flask, cookie: BrowserCookie) -> BrowserSession | DeadCookie:
    """Look a cookie up."""
    with app.app_context():
        return find_browser_session(cookie, now=now())


def find_live(app: Flask, cookie: BrowserCookie) -> BrowserSession:
    """Look a cookie up that holds a session."""
    found = find(app, cookie)
    assert isinstance(found, BrowserSession)
    return found


def rotate(app: Flask, cookie: BrowserCookie) -> BrowserCookie | None:
    """Give a session another secret, if the cookie has the current one."""
    with app.app_context(), transaction():
        return rotate_cookie(cookie, now=now())


@both_databases
def test_a_cookie_holds_its_user(clock: time_machine.Traveller, app: Flask, alice: Caller) -> None:
    cookie = sign_in(app).cookie
    session = find_live(app, cookie)
    assert (session.account.email, session.is_enough) == ("alice@example.com", True)
    assert session.actor.session_id == cookie.session_id
    row = live_session_row(app, cookie.session_id)
    assert (row["kind"], row["cookie_digest"]) == ("browser", digest(cookie.secret))
    assert row["idle_expires_at"] == now() + timedelta(hours=12)
    assert row["expires_at"] == now() + timedelta(hours=24)
    started = audit_trail(app, "session.started")[-1]
    assert started["details"]["kind"] == "browser"
    kinds = [item["kind"] for item in alice.get("/api/v1/users/me/sessions").get_json()["items"]]
    assert kinds == ["browser", "api"]


def test_a_proof_is_fresh_until_the_last_instant(app: Flask, alice: Caller) -> None:
    session, ttl = find_live(app, sign_in(app).cookie), timedelta(minutes=5)
    assert session.is_fresh(session.auth_time + ttl - timedelta(microseconds=1), ttl)
    assert not session.is_fresh(session.auth_time + ttl, ttl)


def test_a_remembered_session_has_no_idle_limit(
    clock: time_machine.Traveller, app: Flask, alice: Caller
) -> None:
    cookie = sign_in(app, is_remembered=True).cookie
    clock.shift(timedelta(days=14) - timedelta(seconds=1))
    assert isinstance(find(app, cookie), BrowserSession)
    clock.shift(1)
    assert find(app, cookie) is DeadCookie.ENDED


def test_visits_move_the_idle_limit_up_to_a_day(
    clock: time_machine.Traveller, app: Flask, alice: Caller
) -> None:
    cookie = sign_in(app).cookie
    clock.shift(timedelta(hours=11))
    find_live(app, cookie)
    clock.shift(timedelta(hours=11))
    find_live(app, cookie)
    clock.shift(timedelta(hours=2))
    assert find(app, cookie) is DeadCookie.ENDED


def test_an_idle_session_ends(clock: time_machine.Traveller, app: Flask, alice: Caller) -> None:
    cookie = sign_in(app).cookie
    clock.shift(timedelta(hours=12))
    assert find(app, cookie) is DeadCookie.ENDED


def test_a_deactivated_user_has_no_session(app: Flask, alice: Caller) -> None:
    cookie = sign_in(app).cookie
    change_user(app, alice.id, is_active=False)
    assert find(app, cookie) is DeadCookie.ENDED


def test_a_use_is_written_once_in_five_minutes(
    clock: time_machine.Traveller, app: Flask, alice: Caller
) -> None:
    cookie, began_at = sign_in(app).cookie, now()
    clock.shift(timedelta(minutes=5) - timedelta(seconds=1))
    find_live(app, cookie)
    assert live_session_row(app, cookie.session_id)["last_used_at"] == began_at
    clock.shift(1)
    find_live(app, cookie)
    assert live_session_row(app, cookie.session_id)["last_used_at"] == now()


def test_a_use_moves_no_limit_past_the_end(
    clock: time_machine.Traveller, app: Flask, alice: Caller
) -> None:
    cookie, ends_at = sign_in(app).cookie, now() + timedelta(hours=1)
    change_session(app, cookie.session_id, expires_at=ends_at)
    clock.shift(timedelta(minutes=5))
    find_live(app, cookie)
    assert live_session_row(app, cookie.session_id)["idle_expires_at"] == ends_at


@pytest.mark.parametrize(("passed_secs", "is_written"), [(59, False), (60, True)])
def test_a_short_idle_limit_is_moved_after_a_tenth_of_it(
    clock: time_machine.Traveller, app: Flask, alice: Caller, passed_secs: int, is_written: bool
) -> None:
    cookie, began_at = sign_in(app).cookie, now()
    clock.shift(passed_secs)
    with app.app_context():
        record_use(
            cookie.session_id,
            last_used_at=began_at,
            expires_at=began_at + timedelta(days=1),
            is_remembered=False,
            now=now(),
            idle_ttl=timedelta(minutes=10),
        )
    row = live_session_row(app, cookie.session_id)
    assert (row["last_used_at"] == now()) is is_written


def test_another_secret_is_ignored(app: Flask, alice: Caller) -> None:
    cookie = sign_in(app).cookie
    other = BrowserCookie(cookie.session_id, random_bytes(32))
    assert find(app, other) is DeadCookie.OTHER_SECRET
    find_live(app, cookie)


def test_no_cookie_holds_a_session_of_the_api(app: Flask, alice: Caller) -> None:
    secret = random_bytes(32)
    change_session(app, alice.session_id, cookie_digest=digest(secret))
    assert find(app, BrowserCookie(alice.session_id, secret)) is DeadCookie.ENDED


def test_the_cookie_is_no_bearer_token(app: Flask, alice: Caller) -> None:
    cookie = sign_in(app).cookie
    secret = urlsafe_b64encode(cookie.secret).decode().rstrip("=")
    for token in (secret, f"{cookie.session_id}.{secret}"):
        headers = {"Authorization": f"Bearer {token}"}
        assert app.test_client().get("/api/v1/users/me", headers=headers).status_code == 401


@both_databases
def test_a_replaced_secret_is_accepted_for_ten_seconds(
    clock: time_machine.Traveller, app: Flask, alice: Caller
) -> None:
    before = sign_in(app).cookie
    after = rotate(app, before)
    assert after is not None
    assert (after.session_id, after.secret != before.secret) == (before.session_id, True)
    clock.shift(10)
    find_live(app, before)
    clock.shift(1)
    assert find(app, before) is DeadCookie.OTHER_SECRET
    find_live(app, after)


def test_a_replaced_secret_rotates_nothing(app: Flask, alice: Caller) -> None:
    before = sign_in(app).cookie
    after = rotate(app, before)
    assert after is not None
    assert rotate(app, before) is None
    find_live(app, after)


@both_databases
def test_of_simultaneous_rotations_one_succeeds(app: Flask, alice: Caller) -> None:
    cookie = sign_in(app).cookie
    results = all_at_once([lambda: rotate(app, cookie)] * 4)
    rotated = [result for result in results if result is not None]
    assert len(rotated) == 1
    find_live(app, rotated[0])


def step_up(app: Flask, session: BrowserSession, code: str | None = None) -> BrowserCookie | None:
    """Give the password again, perhaps with a code."""
    with app.app_context():
        return reauthenticate_browser(
            password=PASSWORD,
            given=None if code is None else GivenCode(code),
            session=session,
            request=REQUEST,
        )


@both_databases
def test_a_replaced_secret_has_not_seen_the_proof_that_replaced_it(
    clock: time_machine.Traveller, app: Flask, alice: Caller
) -> None:
    before, began_at = sign_in(app).cookie, now()
    clock.shift(timedelta(minutes=5))
    after = step_up(app, find_live(app, before))
    assert after is not None
    assert find_live(app, after).auth_time == now()
    assert find_live(app, before).auth_time == began_at


@both_databases
def test_of_simultaneous_step_ups_all_succeed_and_one_rotates(app: Flask, alice: Caller) -> None:
    session = find_live(app, sign_in(app).cookie)
    results = all_at_once([lambda: step_up(app, session)] * 3)
    rotated = [result for result in results if result is not None]
    assert len(rotated) == 1
    for cookie in (rotated[0], session.cookie):
        find_live(app, cookie)
    assert len(audit_trail(app, "session.reauthenticated")) == 3


@both_databases
def test_a_refused_step_up_rotates_nothing(
    clock: time_machine.Traveller, app: Flask, alice: Caller
) -> None:
    session = find_live(app, sign_in(app).cookie)
    code = code_at(give_totp(app, alice.id), now())
    rotated = step_up(app, session, code)
    assert rotated is not None
    clock.shift(11)
    again = find_live(app, rotated)
    with pytest.raises(CodeReusedError):
        step_up(app, again, code)
    find_live(app, rotated)


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_a_sign_in_ends_the_former_session(app: Flask, alice: Caller, name: str) -> None:
    if name == "bob":
        register_caller(app, name)
    former = find_live(app, sign_in(app).cookie)
    cookie = sign_in(app, name, former=former).cookie
    assert find(app, former.cookie) is DeadCookie.ENDED
    assert find_live(app, cookie).account.username == name
    assert count_sessions(app, revoke_reason="replaced") == 1


def test_a_refused_sign_in_ends_nothing(app: Flask, alice: Caller) -> None:
    former = find_live(app, sign_in(app).cookie)
    with pytest.raises(InvalidCredentialsError):
        sign_in(app, former=former, password="wrong password 12345")
    find_live(app, former.cookie)


def test_signing_out_ends_the_session_once(app: Flask, alice: Caller) -> None:
    session = find_live(app, sign_in(app).cookie)
    for _ in range(2):
        with app.app_context():
            sign_browser_out(session, request=REQUEST)
    assert find(app, session.cookie) is DeadCookie.ENDED
    (event,) = audit_trail(app, "session.revoked")
    assert event["details"]["reason"] == "logout"


@pytest.mark.parametrize("call", ["/api/v1/auth/logout-all", "/api/v1/users/me/password"])
def test_the_api_ends_it_too(app: Flask, alice: Caller, call: str) -> None:
    cookie = sign_in(app).cookie
    body = {"current_password": PASSWORD, "new_password": "a much newer password 7"}
    is_password = call.endswith("password")
    answer = alice.put(call, json=body) if is_password else alice.post(call, json={})
    assert answer.status_code in (200, 204), answer.get_json()
    assert find(app, cookie) is DeadCookie.ENDED


def test_a_session_below_its_need_is_not_enough(app: Flask, alice: Caller) -> None:
    cookie = sign_in(app).cookie
    change_user(app, alice.id, mfa_enabled=True)
    assert not find_live(app, cookie).is_enough
