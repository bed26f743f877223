"""Scenarios of each operation: its success, and the refusals that are its own."""

from base64 import b32decode
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import delete, update
from werkzeug.test import TestResponse

from authserve.apikeys.policy import MAX_LIVE_KEYS
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.database.transactions import execute, transaction
from authserve.federation.registry import delete_provider
from authserve.keys.store import KEY_STORE, KeyStore
from authserve.mfa.models import TotpFactor
from authserve.mfa.recovery_codes import delete_codes
from authserve.settings.model import EmailVerification, Mfa, Registration
from authserve.users.models import User
from tests.contracts.scene import API, Answer, Scene, change_settings
from tests.support.api_keys import give_api_key
from tests.support.authenticator import Authenticator, Faults
from tests.support.clients import PASSWORD, login, register_caller
from tests.support.factors import (
    break_totp,
    give_recovery_codes,
    give_totp,
    raise_caller,
    switch_mfa_on,
)
from tests.support.identities import give_identity
from tests.support.mail import work
from tests.support.oauth_clients import allow_client
from tests.support.passkeys import (
    ORIGIN,
    give_passkey,
    new_passkey_options,
    passkey_answer,
    passkey_row,
)
from tests.support.rows import change_role, change_session, change_user
from tests.support.second_steps import first_step, wrong_code
from tests.support.totp import PATH as TOTP
from tests.support.totp import add_app, code_at, mailed_code

Scenario = Callable[[Scene], Iterator[Answer]]

SCENARIOS: dict[str, Scenario] = {}
"""The scenarios by the id of their operation."""

NEW_PASSWORD = "another horse, another staple"
NEW_EMAIL = "new@example.com"


def scenario(function: Scenario) -> Scenario:
    """Register a scenario; its name is the id of its operation."""
    SCENARIOS[function.__name__] = function
    return function


def fail_too_often(scene: Scene) -> None:
    """Make the throttle refuse Alice's password, by her tokens and by her name."""
    # The address of these calls is blocked too, so it is one that no other call has.
    origin = {"REMOTE_ADDR": "198.51.100.1"}
    body = {"identifier": "alice", "password": "wrong"}
    for _ in range(5):
        scene.alice.post(
            f"{API}/auth/reauthenticate", json={"password": "wrong"}, environ_base=origin
        )
        scene.visitor.post(f"{API}/auth/login", json=body, environ_base=origin)


@scenario
def auth_register_user(scene: Scene) -> Iterator[Answer]:
    person = {"email": NEW_EMAIL, "username": "new", "password": PASSWORD}
    yield "success", scene.send(json={**person, "display_name": "New"})
    yield "known address", scene.send(json=person)
    yield "known name", scene.send(json={**person, "email": "other@example.com"})
    yield "weak password", scene.send(json={**person, "password": "password"})
    change_settings(scene, email_verification=EmailVerification.REQUIRED)
    yield "unproven address", scene.send(json={"email": "c@example.com", "password": PASSWORD})
    change_settings(scene, email_verification=EmailVerification.OPTIONAL)
    change_settings(scene, registration=Registration.CLOSED)
    yield "closed", scene.send(json=person)
    change_settings(scene, registration=Registration.OPEN)


@scenario
def auth_login_user(scene: Scene) -> Iterator[Answer]:
    assert scene.alice
    body = {"identifier": "alice", "password": PASSWORD}
    yield "success", scene.send(json=body)
    yield "wrong password", scene.send(json={**body, "password": "wrong"})
    yield "unknown identifier", scene.send(json={**body, "identifier": "nobody"})
    change_settings(scene, email_verification=EmailVerification.REQUIRED)
    yield "unproven address", scene.send(json=body)
    change_settings(scene, email_verification=EmailVerification.OPTIONAL)
    change_settings(scene, mfa=Mfa.REQUIRED)
    yield "without factor", scene.send(json=body)
    change_settings(scene, mfa=Mfa.OPTIONAL)
    give_totp(scene.app, scene.alice.id)
    yield "with factor", scene.send(json=body)
    fail_too_often(scene)
    yield "throttled", scene.send(json=body)
    scene.admin.patch(f"{API}/users/{scene.alice.id}", json={"is_active": False})
    scene.clock.shift(600)
    yield "deactivated", scene.send(json=body)


def begin_enrollment(scene: Scene) -> tuple[str, str]:
    """Return the token of a sign-in that enrols, and the secret of its app."""
    token = first_step(scene.visitor, "alice")
    body = {"mfa_token": token, "method": "totp"}
    made = scene.visitor.post(f"{API}/auth/mfa/enroll/options", json=body).get_json()
    return token, made["secret"]


@scenario
def second_step_post_enrollment_options(scene: Scene) -> Iterator[Answer]:
    switch_mfa_on(scene.app, scene.alice.id)
    token = first_step(scene.visitor, "alice")
    for method in ("totp", "passkey", "recovery_code"):
        yield method, scene.send(json={"mfa_token": token, "method": method})
    scene.clock.shift(900)
    yield "late", scene.send(json={"mfa_token": token, "method": "totp"})
    token = first_step(scene.visitor, "alice")
    scene.admin.patch(f"{API}/users/{scene.alice.id}", json={"is_active": False})
    yield "deactivated", scene.send(json={"mfa_token": token, "method": "totp"})


@scenario
def second_step_post_enrollment(scene: Scene) -> Iterator[Answer]:
    switch_mfa_on(scene.app, scene.alice.id)
    token = first_step(scene.visitor, "alice")
    code = mailed_code(scene.app, scene.mailbox, scene.alice)
    body = {"mfa_token": token, "totp_code": "000000", "email_code": code}
    yield "no set-up", scene.send(json=body)
    yield "without mailed code", scene.send(json={"mfa_token": token, "totp_code": "000000"})
    options = {"mfa_token": token, "method": "passkey"}
    made = scene.visitor.post(f"{API}/auth/mfa/enroll/options", json=options).get_json()
    taken = give_passkey(scene.app, register_caller(scene.app, "bob").id)
    key = Authenticator(ORIGIN, credential_id=taken.credential_id)
    answer = {"mfa_token": token, "credential": key.create(made["public_key"]), "email_code": code}
    yield "taken passkey", scene.send(json=answer)
    yield "spent challenge", scene.send(json=answer)
    secret = begin_enrollment(scene)[1]
    break_totp(scene.app)
    token, secret = begin_enrollment(scene)
    code = mailed_code(scene.app, scene.mailbox, scene.alice)
    right = {"mfa_token": token, "totp_code": code_at(secret, now()), "email_code": code}
    yield "wrong code", scene.send(json={**right, "totp_code": wrong_code(b32decode(secret))})
    break_totp(scene.app)
    yield "unreadable secret", scene.send(json=right)
    scene.clock.shift(900)
    yield "late", scene.send(json=right)
    token, secret = begin_enrollment(scene)
    code = mailed_code(scene.app, scene.mailbox, scene.alice)
    right = {"mfa_token": token, "totp_code": code_at(secret, now()), "email_code": code}
    yield "success", scene.send(json=right)
    yield "spent token", scene.send(json=right)
    remove_factors(scene)
    for _ in range(2):
        token, secret = begin_enrollment(scene)
        for _ in range(4):
            body = {"mfa_token": token, "totp_code": wrong_code(b32decode(secret))}
            answered = scene.send(json={**body, "email_code": "00000000"})
    yield "throttled", answered
    scene.admin.patch(f"{API}/users/{scene.alice.id}", json={"is_active": False})
    yield "deactivated", scene.send(json={**body, "email_code": "00000000"})


def remove_factors(scene: Scene) -> None:
    """Delete Alice's secret and recovery codes, as a reset does."""
    with scene.app.app_context(), transaction():
        execute(delete(TotpFactor).where(TotpFactor.user_id == scene.alice.id))
        delete_codes(scene.alice.id)


@scenario
def second_step_post_verification(scene: Scene) -> Iterator[Answer]:
    secret = give_totp(scene.app, scene.alice.id)
    codes = give_recovery_codes(scene.app, scene.alice.id, count=5)
    right, wrong = code_at(secret, now()), wrong_code(secret)

    def attempt(**proof: object) -> TestResponse:
        return scene.send(json={"mfa_token": first_step(scene.visitor, "alice"), **proof})

    token = first_step(scene.visitor, "alice")
    yield "success", scene.send(json={"mfa_token": token, "totp_code": right})
    yield "spent token", scene.send(json={"mfa_token": token, "totp_code": right})
    yield "reused code", attempt(totp_code=right)
    yield "wrong code", attempt(totp_code=wrong)
    yield "recovery code", attempt(recovery_code=codes[0])
    yield "few recovery codes", attempt(recovery_code=codes[1])
    answer = passkey_answer(scene.visitor, give_passkey(scene.app, scene.alice.id))
    yield "passkey of another call", attempt(credential=answer)
    yield "two proofs", attempt(totp_code=right, recovery_code=codes[2])
    token = first_step(scene.visitor, "alice")
    scene.clock.shift(300)
    yield "late", scene.send(json={"mfa_token": token, "totp_code": right})
    for _ in range(5):
        attempt(totp_code=wrong)
    yield "throttled", attempt(recovery_code=codes[2])
    scene.clock.shift(600)
    break_totp(scene.app)
    yield "unreadable secret", attempt(totp_code=wrong)
    token = first_step(scene.visitor, "alice")
    scene.admin.patch(f"{API}/users/{scene.alice.id}", json={"is_active": False})
    yield "deactivated", scene.send(json={"mfa_token": token, "totp_code": right})


@scenario
def passkey_sign_in_post_passkey_options(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(json={})


@scenario
def passkey_sign_in_post_passkey(scene: Scene) -> Iterator[Answer]:
    key = give_passkey(scene.app, scene.alice.id)

    def body(faults: Faults | None = None) -> dict[str, object]:
        return {"credential": passkey_answer(scene.visitor, key, faults)}

    yield "success", scene.send(json=body())
    yield "wrong signature", scene.send(json=body(Faults(signature=lambda _: b"")))
    change_settings(scene, email_verification=EmailVerification.REQUIRED)
    yield "unproven address", scene.send(json=body())
    change_settings(scene, email_verification=EmailVerification.OPTIONAL)
    scene.admin.patch(f"{API}/users/{scene.alice.id}", json={"is_active": False})
    yield "deactivated", scene.send(json=body())
    key.credential_id = bytes(16)
    yield "unknown passkey", scene.send(json=body())


@scenario
def passkey_sign_in_post_second_step_options(scene: Scene) -> Iterator[Answer]:
    give_passkey(scene.app, scene.alice.id)
    switch_mfa_on(scene.app, scene.alice.id)
    token = login(scene.visitor, "alice").get_json()["mfa_token"]
    yield "success", scene.send(json={"mfa_token": token})
    yield "no token", scene.send(json={"mfa_token": "x"})
    scene.clock.shift(301)
    yield "too late", scene.send(json={"mfa_token": token})
    token = login(scene.visitor, "alice").get_json()["mfa_token"]
    scene.example = {"mfa_token": token}
    scene.again(scene.admin).patch(f"{API}/users/{scene.alice.id}", json={"is_active": False})
    yield "deactivated", scene.send(json=scene.example)


@scenario
def passkey_sign_in_post_reauthentication_options(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.alice, {})


@scenario
def passkeys_post_options(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.alice, {})
    change_settings(scene, mfa=Mfa.OFF)
    yield "switched off", scene.send(scene.alice, {})
    change_settings(scene, mfa=Mfa.OPTIONAL)
    give_passkey(scene.app, scene.alice.id)
    yield "below its level", scene.send(scene.alice, {})


@scenario
def passkey_registration_post_own_passkey(scene: Scene) -> Iterator[Answer]:
    def body(key: Authenticator, faults: Faults | None = None) -> dict[str, object]:
        return {"credential": key.create(new_passkey_options(scene.alice), faults)}

    key = Authenticator(ORIGIN)
    first = body(key)
    code = {"email_code": mailed_code(scene.app, scene.mailbox, scene.alice)}
    yield "without mailed code", scene.send(scene.alice, first)
    yield "wrong code", scene.send(scene.alice, {**first, "email_code": "00000000"})
    yield "success", scene.send(scene.alice, {**first, **code})
    yield "below its level", scene.send(scene.alice, first)
    raise_caller(scene.app, scene.alice)
    yield "second time", scene.send(scene.alice, first)
    yield "registered", scene.send(scene.alice, body(key))
    late = body(Authenticator(ORIGIN))
    change_settings(scene, mfa=Mfa.OFF)
    yield "switched off", scene.send(scene.alice, late)
    change_settings(scene, mfa=Mfa.OPTIONAL)
    for _ in range(9):
        give_passkey(scene.app, scene.alice.id)
    yield "eleventh", scene.send(scene.alice, body(Authenticator(ORIGIN)))
    scene.example = first


@scenario
def passkeys_list_passkeys(scene: Scene) -> Iterator[Answer]:
    yield "empty", scene.send(scene.alice)
    give_passkey(scene.app, scene.alice.id, name="Phone")
    yield "success", scene.send(scene.alice)


def own_passkey(scene: Scene) -> str:
    """Give alice a passkey and a session of two factors; returns the passkey's id."""
    key = give_passkey(scene.app, scene.alice.id)
    raise_caller(scene.app, scene.alice)
    return str(passkey_row(scene.app, key)["id"])


@scenario
def passkeys_patch_passkey(scene: Scene) -> Iterator[Answer]:
    mine, body = own_passkey(scene), {"name": "Phone"}
    yield "success", scene.send(scene.alice, body, passkey_id=mine)
    yield "no passkey", scene.send(scene.alice, body)
    change_session(scene.app, scene.alice.session_id, aal=1)
    yield "below its level", scene.send(scene.alice, body, passkey_id=mine)


@scenario
def passkeys_delete_passkey(scene: Scene) -> Iterator[Answer]:
    mine = own_passkey(scene)
    change_settings(scene, mfa=Mfa.REQUIRED)
    yield "required", scene.send(scene.alice, passkey_id=mine)
    change_settings(scene, mfa=Mfa.OPTIONAL)
    change_session(scene.app, scene.alice.session_id, aal=1)
    yield "below its level", scene.send(scene.alice, passkey_id=mine)
    raise_caller(scene.app, scene.alice)
    with scene.app.app_context(), transaction():
        execute(update(User).where(User.id == scene.alice.id).values(password_hash=None))
    yield "without password", scene.send(scene.alice, passkey_id=mine)
    with scene.app.app_context(), transaction():
        execute(update(User).where(User.id == scene.alice.id).values(password_hash="x"))
    yield "success", scene.send(scene.alice, passkey_id=mine)
    yield "no passkey", scene.send(scene.alice, passkey_id=mine)


KEY = {"name": "Nightly report", "scopes": ["account"]}


@scenario
def api_keys_list_keys(scene: Scene) -> Iterator[Answer]:
    give_api_key(scene.app, scene.alice.id)
    yield "success", scene.send(scene.alice)


@scenario
def api_keys_post_key(scene: Scene) -> Iterator[Answer]:
    yield "unproven address", scene.send(scene.alice, KEY)
    change_user(scene.app, scene.alice.id, email_verified=True)
    yield "success", scene.send(scene.alice, KEY)
    yield "unknown scope", scene.send(scene.alice, {**KEY, "scopes": ["openid"]})
    yield "permission of others", scene.send(scene.alice, {**KEY, "scopes": ["users:read"]})
    change_role(scene.app, "admin", requires_mfa=True)
    yield "sleeping permission", scene.send(scene.admin, {**KEY, "scopes": ["users:read"]})
    for _ in range(MAX_LIVE_KEYS - 1):
        give_api_key(scene.app, scene.alice.id)
    yield "too many", scene.send(scene.alice, KEY)


@scenario
def api_keys_delete_key(scene: Scene) -> Iterator[Answer]:
    mine, _key = give_api_key(scene.app, scene.alice.id)
    yield "success", scene.send(scene.alice, key_id=mine)
    yield "unknown key", scene.send(scene.alice, key_id=mine)


@scenario
def api_keys_list_user_keys(scene: Scene) -> Iterator[Answer]:
    give_api_key(scene.app, scene.alice.id)
    yield "success", scene.send(scene.admin)


@scenario
def api_keys_delete_user_keys(scene: Scene) -> Iterator[Answer]:
    give_api_key(scene.app, scene.alice.id)
    yield "success", scene.send(scene.admin)


@scenario
def api_keys_verify(scene: Scene) -> Iterator[Answer]:
    _id, key = give_api_key(scene.app, scene.alice.id)
    yield "success", scene.send(scene.admin, {"key": key, "scopes": ["account"]})
    yield "missing scope", scene.send(scene.admin, {"key": key, "scopes": ["reports:read"]})
    yield "unknown key", scene.send(scene.admin, {"key": f"{key}x"})


@scenario
def identities_list_identities(scene: Scene) -> Iterator[Answer]:
    give_identity(scene.app, scene.alice.id)
    yield "success", scene.send(scene.alice)
    with scene.app.app_context():
        delete_provider("google", actor=OPERATOR, request=RequestInfo())
    yield "provider gone", scene.send(scene.alice)


@scenario
def identities_list_user_identities(scene: Scene) -> Iterator[Answer]:
    give_identity(scene.app, scene.alice.id)
    yield "success", scene.send(scene.admin)


@scenario
def identities_delete_identity(scene: Scene) -> Iterator[Answer]:
    mine = give_identity(scene.app, scene.alice.id)
    change_user(scene.app, scene.alice.id, password_hash=None)
    yield "last credential", scene.send(scene.alice, identity_id=mine)
    change_user(scene.app, scene.alice.id, password_hash="!")
    yield "success", scene.send(scene.alice, identity_id=mine)
    yield "unknown identity", scene.send(scene.alice, identity_id=mine)


@scenario
def email_sign_in_post_email_code(scene: Scene) -> Iterator[Answer]:
    yield from links_resend_verification(scene)


@scenario
def email_sign_in_post_email_code_verify(scene: Scene) -> Iterator[Answer]:
    change_user(scene.app, scene.alice.id, email_verified=True)
    email = {"email": "alice@example.com"}

    def body() -> dict[str, object]:
        # An address gets one mail a minute.
        scene.clock.shift(60)
        answer = scene.visitor.post(f"{API}/auth/email-code", json=email).get_json()
        work(scene.app)
        code = scene.mailbox.to(email["email"])[-1].code
        return {"sign_in_token": answer["sign_in_token"], "code": code}

    given = body()
    yield "success", scene.send(json=given)
    yield "second time", scene.send(json=given)
    change_settings(scene, mfa=Mfa.REQUIRED)
    yield "without factor", scene.send(json=body())
    change_settings(scene, mfa=Mfa.OPTIONAL)
    given = body()
    for _ in range(5):
        scene.visitor.post(
            f"{API}/auth/login", json={"identifier": email["email"], "password": "wrong"}
        )
    yield "throttled", scene.send(json=given)
    scene.example = given


@scenario
def auth_refresh_tokens(scene: Scene) -> Iterator[Answer]:
    body = {"refresh_token": scene.alice.tokens["refresh_token"]}
    yield "success", scene.send(json=body)
    yield "within the grace", scene.send(json=body)
    change_settings(scene, mfa=Mfa.REQUIRED)
    yield "without second factor", scene.send(json=body)
    change_settings(scene, mfa=Mfa.OPTIONAL)
    scene.clock.shift(11)
    newer = scene.again(scene.alice).tokens["refresh_token"]
    newest = scene.visitor.post(f"{API}/auth/refresh", json={"refresh_token": newer}).get_json()
    newest = {"refresh_token": newest["refresh_token"]}
    assert scene.visitor.post(f"{API}/auth/refresh", json=newest).status_code == 200
    scene.clock.shift(11)
    newest = scene.visitor.post(f"{API}/auth/refresh", json=newest).get_json()
    yield "reused", scene.send(json={"refresh_token": newer})
    yield "after reuse", scene.send(json={"refresh_token": newest["refresh_token"]})
    over = scene.again(scene.alice).tokens["refresh_token"]
    scene.clock.shift(15 * 24 * 3600)
    yield "expired", scene.send(json={"refresh_token": over})
    yield "two tokens", scene.send(scene.again(scene.alice), body)
    yield "no token", scene.send()
    yield "token of another kind", scene.send(scene.alice)
    # The other calls take the token in the body.
    scene.example = {"refresh_token": scene.again(scene.alice).tokens["refresh_token"]}
    scene.is_guarded = False


@scenario
def auth_logout_session(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.alice)
    yield "second time", scene.send(scene.alice)
    caller = scene.again(scene.alice)
    caller.tokens["access_token"] = caller.tokens["refresh_token"]
    scene.clock.shift(15 * 24 * 3600)
    yield "expired refresh token", scene.send(caller)


@scenario
def auth_logout_all(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.alice)


@scenario
def auth_reauthenticate_user(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.alice, {"password": PASSWORD})
    yield "wrong password", scene.send(scene.alice, {"password": "wrong"})
    secret = give_totp(scene.app, scene.alice.id)
    right, wrong = code_at(secret, now()), wrong_code(secret)
    yield "without second factor", scene.send(scene.alice, {"password": PASSWORD})
    for name, code in (("with it", right), ("reused code", right), ("wrong code", wrong)):
        yield name, scene.send(scene.alice, {"password": PASSWORD, "totp_code": code})
    answer = passkey_answer(scene.visitor, give_passkey(scene.app, scene.alice.id))
    yield "passkey of another call", scene.send(scene.alice, {"credential": answer})
    break_totp(scene.app)
    body = {"password": PASSWORD, "totp_code": right}
    yield "unreadable secret", scene.send(scene.alice, body)
    scene.clock.shift(60)
    fail_too_often(scene)
    yield "throttled", scene.send(scene.alice, {"password": PASSWORD})


@scenario
def auth_introspect_token(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.admin, {"token": scene.alice.tokens["access_token"]})
    refresh = {"token": scene.alice.tokens["refresh_token"]}
    yield "token of another kind", scene.send(scene.admin, refresh)


@scenario
def auth_post_first_administrator(scene: Scene) -> Iterator[Answer]:
    runner = scene.app.test_cli_runner(capture="fd")
    token = runner.invoke(args=["users", "first-link"]).stdout.strip().partition("#")[2]
    body = {"token": token, "email": NEW_EMAIL, "password": PASSWORD}
    yield "weak password", scene.send(json={**body, "password": "password"})
    yield "success", scene.send(json=body)
    yield "second time", scene.send(json=body)


@scenario
def links_verify_email(scene: Scene) -> Iterator[Answer]:
    assert scene.alice
    body = {"token": scene.link("alice@example.com"), "password": PASSWORD}
    yield "wrong password", scene.send(json={**body, "password": "wrong"})
    fail_too_often(scene)
    yield "throttled", scene.send(json=body)
    yield "success", scene.send(scene.alice, {"token": body["token"]})
    yield "second time", scene.send(scene.alice, {"token": body["token"]})


@scenario
def links_resend_verification(scene: Scene) -> Iterator[Answer]:
    assert scene.alice
    yield "success", scene.send(json={"email": "alice@example.com"})
    yield "unknown address", scene.send(json={"email": "nobody@example.com"})


@scenario
def links_forgot_password(scene: Scene) -> Iterator[Answer]:
    yield from links_resend_verification(scene)


@scenario
def links_reset(scene: Scene) -> Iterator[Answer]:
    scene.alice.post(f"{API}/auth/password/forgot", json={"email": "alice@example.com"})
    body = {"token": scene.link("alice@example.com"), "new_password": NEW_PASSWORD}
    yield "weak password", scene.send(json={**body, "new_password": "password"})
    yield "success", scene.send(json=body)
    yield "second time", scene.send(json=body)
    scene.example = body


@scenario
def links_accept(scene: Scene) -> Iterator[Answer]:
    assert scene.alice
    scene.admin.post(f"{API}/users", json={"email": NEW_EMAIL})
    body = {"token": scene.link(NEW_EMAIL), "password": PASSWORD}
    yield "known name", scene.send(json={**body, "username": "alice"})
    yield "success", scene.send(json=body)
    yield "second time", scene.send(json=body)
    scene.example = body


@scenario
def users_get_me(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.alice)


@scenario
def users_patch_me(scene: Scene) -> Iterator[Answer]:
    assert scene.admin
    yield "success", scene.send(scene.alice, {"username": "alicia", "display_name": "Alicia"})
    yield "known name", scene.send(scene.alice, {"username": "admin"})
    yield "malformed name", scene.send(scene.alice, {"username": "-"})


@scenario
def users_delete_me(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.alice)
    yield "last administrator", scene.send(scene.admin)


@scenario
def users_put_password(scene: Scene) -> Iterator[Answer]:
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    yield "wrong password", scene.send(scene.alice, {**body, "current_password": "wrong"})
    yield "weak password", scene.send(scene.alice, {**body, "new_password": "password"})
    yield "success", scene.send(scene.alice, body)
    fail_too_often(scene)
    yield "throttled", scene.send(scene.alice, body)


@scenario
def sessions_list_sessions(scene: Scene) -> Iterator[Answer]:
    scene.again(scene.alice)
    yield "success", scene.send(scene.alice)
    yield "first page", scene.send(scene.alice, query="?limit=1")
    yield "malformed cursor", scene.send(scene.alice, query="?cursor=x")


@scenario
def sessions_delete_other_sessions(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.alice)


@scenario
def sessions_delete_session(scene: Scene) -> Iterator[Answer]:
    other = scene.again(scene.alice).session_id
    yield "success", scene.send(scene.alice, session_id=other)
    yield "unknown session", scene.send(scene.alice)


@scenario
def mfa_get_mfa(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.alice)
    add_app(scene.app, scene.alice, mailbox=scene.mailbox)
    yield "with an app", scene.send(scene.alice)


@scenario
def mfa_put_mfa(scene: Scene) -> Iterator[Answer]:
    yield "no factor", scene.send(scene.alice, {"enabled": True})
    add_app(scene.app, scene.alice, mailbox=scene.mailbox)
    yield "off", scene.send(scene.alice, {"enabled": False})
    with scene.app.app_context(), transaction():
        delete_codes(scene.alice.id)
    yield "on", scene.send(scene.alice, {"enabled": True})
    change_settings(scene, mfa=Mfa.REQUIRED)
    yield "required", scene.send(scene.alice, {"enabled": False})
    change_settings(scene, mfa=Mfa.OPTIONAL)


@scenario
def mfa_post_totp(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.alice)
    change_settings(scene, mfa=Mfa.OFF)
    yield "switched off", scene.send(scene.alice)
    change_settings(scene, mfa=Mfa.OPTIONAL)
    add_app(scene.app, scene.alice, mailbox=scene.mailbox)
    yield "a newer app", scene.send(scene.alice)
    change_session(scene.app, scene.alice.session_id, aal=1)
    yield "below its level", scene.send(scene.alice)


@scenario
def mfa_delete_totp(scene: Scene) -> Iterator[Answer]:
    yield "no app", scene.send(scene.alice)
    add_app(scene.app, scene.alice, mailbox=scene.mailbox)
    change_settings(scene, mfa=Mfa.REQUIRED)
    yield "required", scene.send(scene.alice)
    change_settings(scene, mfa=Mfa.OPTIONAL)
    yield "success", scene.send(scene.alice)


@scenario
def mfa_get_recovery_codes(scene: Scene) -> Iterator[Answer]:
    yield "none", scene.send(scene.alice)
    add_app(scene.app, scene.alice, mailbox=scene.mailbox)
    yield "success", scene.send(scene.alice)


@scenario
def mfa_post_recovery_codes(scene: Scene) -> Iterator[Answer]:
    yield "no factor", scene.send(scene.alice)
    add_app(scene.app, scene.alice, mailbox=scene.mailbox)
    yield "changed meanwhile", scene.send(scene.alice, {"replaces": "2029-01-01T00:00:00Z"})
    yield "success", scene.send(scene.alice)


@scenario
def factors_post_confirmation(scene: Scene) -> Iterator[Answer]:
    set_up = scene.alice.post(TOTP).get_json()
    body = {"code": code_at(set_up["secret"], now())}
    yield "without mailed code", scene.send(scene.alice, body)
    body["email_code"] = mailed_code(scene.app, scene.mailbox, scene.alice)
    yield "wrong code", scene.send(scene.alice, {**body, "code": code_at("A" * 32, now())})
    with scene.app.app_context(), transaction():
        execute(update(TotpFactor).values(secret=b"x" * 48))
    yield "secret that no key decrypts", scene.send(scene.alice, body)
    set_up = scene.alice.post(TOTP).get_json()
    body["code"] = code_at(set_up["secret"], now())
    body["email_code"] = mailed_code(scene.app, scene.mailbox, scene.alice)
    change_settings(scene, mfa=Mfa.OFF)
    yield "switched off", scene.send(scene.alice, body)
    change_settings(scene, mfa=Mfa.OPTIONAL)
    yield "success", scene.send(scene.alice, body)
    yield "second time", scene.send(scene.alice, body)
    raise_caller(scene.app, scene.alice)
    set_up = scene.alice.post(TOTP).get_json()
    change_session(scene.app, scene.alice.session_id, aal=1)
    yield "below its level", scene.send(scene.alice, {"code": code_at(set_up["secret"], now())})
    scene.example = body


@scenario
def email_post_email(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.alice, {"new_email": NEW_EMAIL})
    yield "known address", scene.send(scene.alice, {"new_email": scene.admin.user["email"]})


@scenario
def email_delete_email(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.alice)


def change_link(scene: Scene, address: str) -> str:
    """Return the token that changes Alice's address."""
    body = {"new_email": address}
    assert scene.alice.post(f"{API}/users/me/email", json=body).status_code == 202
    return scene.link(address)


@scenario
def email_confirm_email(scene: Scene) -> Iterator[Answer]:
    body = {"token": change_link(scene, NEW_EMAIL), "password": PASSWORD}
    yield "wrong password", scene.send(json={**body, "password": "wrong"})
    fail_too_often(scene)
    yield "throttled", scene.send(json=body)
    body = {"token": body["token"]}
    runner = scene.app.test_cli_runner(capture="fd")
    assert runner.invoke(args=["users", "create", NEW_EMAIL]).exit_code == 0
    yield "known address", scene.send(scene.alice, body)
    body = {"token": change_link(scene, "newer@example.com")}
    yield "success", scene.send(scene.alice, body)
    yield "second time", scene.send(scene.alice, body)


@scenario
def audit_list_events(scene: Scene) -> Iterator[Answer]:
    login(scene.visitor, scene.alice.user["email"], "wrong")
    yield "success", scene.send(scene.admin, query=f"?actor_id={scene.alice.id}")
    yield "first page", scene.send(scene.admin, query="?limit=1&action=session.sign_in_failed")
    yield "unknown action", scene.send(scene.admin, query="?action=x")


@scenario
def audit_list_own_events(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.alice)


@scenario
def audit_read_client_address(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.admin)


@scenario
def admin_list_users(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.admin, query="?q=alice" if scene.alice else "")
    yield "first page", scene.send(scene.admin, query="?limit=1")
    yield "malformed filter", scene.send(scene.admin, query="?is_active=perhaps")


@scenario
def admin_post_user(scene: Scene) -> Iterator[Answer]:
    assert scene.alice
    body = {"email": NEW_EMAIL, "username": "new", "display_name": "New", "roles": ["user"]}
    yield "success", scene.send(scene.admin, body)
    yield "known address", scene.send(scene.admin, {"email": NEW_EMAIL})
    yield "known name", scene.send(scene.admin, {"email": "a@example.com", "username": "alice"})
    unknown = {"email": "b@example.com", "roles": ["nothing"]}
    yield "unknown role", scene.send(scene.admin, unknown)
    stale = scene.stale(scene.admin)
    yield "role by a stale token", scene.send(stale, {"email": "c@example.com", "roles": ["admin"]})


@scenario
def admin_export_me(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.alice)


@scenario
def admin_read_user(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.admin)


@scenario
def admin_patch_user(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.admin, {"email": NEW_EMAIL, "display_name": "New"})
    yield "known address", scene.send(scene.admin, {"email": scene.admin.user["email"]})
    yield "known name", scene.send(scene.admin, {"username": "admin"})
    own = scene.send(scene.admin, {"is_active": False}, user_id=scene.admin.id)
    yield "own account", own
    late = {"display_name": "Newer", "expected_updated_at": "2029-01-01T00:00:00Z"}
    yield "changed meanwhile", scene.send(scene.admin, late)


@scenario
def admin_delete_user(scene: Scene) -> Iterator[Answer]:
    yield "own account", scene.send(scene.admin, user_id=scene.admin.id)
    yield "success", scene.send(scene.admin)


@scenario
def admin_post_invitation(scene: Scene) -> Iterator[Answer]:
    made = scene.admin.post(f"{API}/users", json={"email": NEW_EMAIL}).get_json()
    yield "success", scene.send(scene.admin, user_id=made["id"])
    yield "active account", scene.send(scene.admin)


@scenario
def admin_put_roles(scene: Scene) -> Iterator[Answer]:
    scene.make_role()
    yield "success", scene.send(scene.admin, {"roles": ["user", "support"]})
    yield "unknown role", scene.send(scene.admin, {"roles": ["nothing"]})
    own = scene.send(scene.admin, {"roles": ["user"]}, user_id=scene.admin.id)
    yield "last administrator", own
    late = {"roles": ["user"], "expected_updated_at": "2029-01-01T00:00:00Z"}
    yield "changed meanwhile", scene.send(scene.admin, late)


@scenario
def admin_list_user_sessions(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.admin)


@scenario
def admin_delete_user_sessions(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.admin)


@scenario
def admin_read_sign_in_status(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.admin)
    fail_too_often(scene)
    yield "throttled", scene.send(scene.admin)


@scenario
def admin_post_password_reset(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.admin)


@scenario
def admin_read_factors(scene: Scene) -> Iterator[Answer]:
    yield "none", scene.send(scene.admin)
    give_totp(scene.app, scene.alice.id)
    give_passkey(scene.app, scene.alice.id, name="Phone")
    yield "success", scene.send(scene.admin)


@scenario
def admin_post_mfa_reset(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.admin)
    yield "own account", scene.send(scene.admin, user_id=scene.admin.id)


@scenario
def roles_list_roles(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.admin)


@scenario
def roles_post_role(scene: Scene) -> Iterator[Answer]:
    body = {"name": "support", "description": "Support", "permissions": ["users:read"]}
    yield "success", scene.send(scene.admin, body)
    yield "known role", scene.send(scene.admin, body)


@scenario
def roles_read_role(scene: Scene) -> Iterator[Answer]:
    scene.make_role()
    yield "success", scene.send(scene.admin)
    yield "unknown role", scene.send(scene.admin, name="nothing")
    yield "malformed name", scene.send(scene.admin, name="%2F")


@scenario
def roles_put_role(scene: Scene) -> Iterator[Answer]:
    scene.make_role()
    body = {"description": "Support", "permissions": ["audit:read"]}
    yield "success", scene.send(scene.admin, body)
    yield "built-in role", scene.send(scene.admin, body, name="user")
    yield "unknown role", scene.send(scene.admin, body, name="nothing")
    yield "malformed name", scene.send(scene.admin, body, name="%2F")


@scenario
def roles_patch_role(scene: Scene) -> Iterator[Answer]:
    scene.make_role()
    body = {"requires_mfa": True}
    raise_caller(scene.app, scene.admin)
    yield "success", scene.send(scene.admin, body)
    yield "built-in role", scene.send(scene.admin, body, name="user")
    yield "unknown role", scene.send(scene.admin, body, name="nothing")
    yield "malformed name", scene.send(scene.admin, body, name="%2F")


@scenario
def roles_remove_role(scene: Scene) -> Iterator[Answer]:
    scene.make_role()
    yield "built-in role", scene.send(scene.admin, name="user")
    yield "unknown role", scene.send(scene.admin, name="nothing")
    yield "malformed name", scene.send(scene.admin, name="%2F")
    roles = f"{API}/users/{scene.alice.id}/roles"
    scene.admin.put(roles, json={"roles": ["user", "support"]})
    yield "role in use", scene.send(scene.admin)
    scene.admin.put(roles, json={"roles": ["user"]})
    yield "success", scene.send(scene.admin)


NEW_CLIENT = {
    "client_id": "wiki",
    "name": "Wiki",
    "kind": "web",
    "redirect_uris": ["https://wiki.example.com/callback"],
    "scopes": ["openid", "users:read"],
}


def make_client(scene: Scene) -> dict[str, Any]:
    """Register a client; returns it with its secret."""
    response = scene.admin.post(f"{API}/clients", json=NEW_CLIENT)
    assert response.status_code == 201
    made: dict[str, Any] = response.get_json()
    return made


def allow_app(scene: Scene) -> None:
    """Let the user allow a client."""
    make_client(scene)
    user_id, session_id = scene.alice.id, scene.alice.session_id
    allow_client(scene.app, "wiki", "openid", user_id=user_id, session_id=session_id)


@scenario
def apps_list_own_apps(scene: Scene) -> Iterator[Answer]:
    allow_app(scene)
    yield "success", scene.send(scene.alice)


@scenario
def apps_delete_own_app(scene: Scene) -> Iterator[Answer]:
    allow_app(scene)
    yield "success", scene.send(scene.alice)
    yield "unknown app", scene.send(scene.alice)


@scenario
def clients_list_clients(scene: Scene) -> Iterator[Answer]:
    make_client(scene)
    yield "success", scene.send(scene.admin)


@scenario
def clients_post_client(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.admin, NEW_CLIENT)
    yield "known client", scene.send(scene.admin, NEW_CLIENT)
    machine = {"client_id": "report", "name": "Report", "kind": "machine"}
    yield "machine with address", scene.send(scene.admin, {**NEW_CLIENT, **machine})
    native = {"client_id": "app", "kind": "native", "redirect_uris": ["com.example.app:/back"]}
    yield "without secret", scene.send(scene.admin, {**NEW_CLIENT, **native})


@scenario
def clients_read_client(scene: Scene) -> Iterator[Answer]:
    make_client(scene)
    yield "success", scene.send(scene.admin)
    yield "unknown client", scene.send(scene.admin, client_id="nothing")


@scenario
def clients_read_status(scene: Scene) -> Iterator[Answer]:
    make_client(scene)
    form = {"grant_type": "authorization_code", "client_id": "wiki", "client_secret": "x"}
    scene.visitor.post("/oauth/token", data=form, headers={"X-Correlation-ID": "failed"})
    yield "success", scene.send(scene.admin)
    yield "unknown client", scene.send(scene.admin, client_id="nothing")


@scenario
def clients_patch_client(scene: Scene) -> Iterator[Answer]:
    make_client(scene)
    yield "success", scene.send(scene.admin, {"name": "Docs"})
    yield "unknown client", scene.send(scene.admin, {"name": "Docs"}, client_id="nothing")
    yield "no address", scene.send(scene.admin, {"redirect_uris": []})


@scenario
def clients_remove_client(scene: Scene) -> Iterator[Answer]:
    make_client(scene)
    yield "unknown client", scene.send(scene.admin, client_id="nothing")
    yield "success", scene.send(scene.admin)


@scenario
def clients_post_secret(scene: Scene) -> Iterator[Answer]:
    make_client(scene)
    native = {"client_id": "app", "kind": "native", "redirect_uris": ["com.example.app:/back"]}
    scene.admin.post(f"{API}/clients", json={**NEW_CLIENT, **native})
    yield "success", scene.send(scene.admin, {"expires_in": 3600})
    yield "a third one", scene.send(scene.admin)
    yield "unknown client", scene.send(scene.admin, client_id="nothing")
    yield "kind without secrets", scene.send(scene.admin, client_id="app")


@scenario
def clients_remove_secret(scene: Scene) -> Iterator[Answer]:
    secret_id = make_client(scene)["secrets"][0]["id"]
    yield "unknown client", scene.send(scene.admin, client_id="nothing")
    yield "unknown secret", scene.send(scene.admin)
    yield "success", scene.send(scene.admin, secret_id=secret_id)


@scenario
def clients_revoke(scene: Scene) -> Iterator[Answer]:
    make_client(scene)
    yield "unknown client", scene.send(scene.admin, client_id="nothing")
    yield "success", scene.send(scene.admin)


NEW_PROVIDER = {
    "preset": "google",
    "client_id": "1234.apps.googleusercontent.com",
    "client_secret": "GOCSPX-0123456789",
}


def make_provider(scene: Scene) -> None:
    """Register a provider."""
    assert scene.admin.post(f"{API}/identity-providers", json=NEW_PROVIDER).status_code == 201


@scenario
def identity_providers_read_providers(scene: Scene) -> Iterator[Answer]:
    make_provider(scene)
    yield "success", scene.send(scene.admin)


@scenario
def identity_providers_post_provider(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send(scene.admin, NEW_PROVIDER)
    yield "known slug", scene.send(scene.admin, NEW_PROVIDER)
    yield "without issuer", scene.send(scene.admin, {**NEW_PROVIDER, "preset": "oidc"})
    plain = {"issuer": "http://id.example.com", "scopes": ["email"], "allowed_domains": ["a b"]}
    yield "unusable values", scene.send(scene.admin, {**NEW_PROVIDER, "slug": "A", **plain})


@scenario
def identity_providers_read_provider(scene: Scene) -> Iterator[Answer]:
    make_provider(scene)
    yield "success", scene.send(scene.admin)
    yield "unknown provider", scene.send(scene.admin, slug="nothing")


@scenario
def identity_providers_patch_provider(scene: Scene) -> Iterator[Answer]:
    make_provider(scene)
    yield "success", scene.send(scene.admin, {"link": "never", "client_secret": "another"})
    yield "unknown provider", scene.send(scene.admin, {"link": "never"}, slug="nothing")


@scenario
def identity_providers_remove_provider(scene: Scene) -> Iterator[Answer]:
    make_provider(scene)
    yield "unknown provider", scene.send(scene.admin, slug="nothing")
    yield "success", scene.send(scene.admin)


@scenario
def keys_jwks(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send()
    # A process that has read the keys answers without the database; this one has not.
    KEY_STORE.fill(scene.app, KeyStore())


@scenario
def health_healthz(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send()


@scenario
def health_readyz(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send()


@scenario
def root_root(scene: Scene) -> Iterator[Answer]:
    yield "success", scene.send()
    yield "browser", scene.send(headers={"Accept": "text/html"})
