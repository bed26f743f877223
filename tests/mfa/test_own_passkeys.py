"""The caller's own passkeys: registering, listing, changing and deleting them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from authserve.auth import factor_confirmation
from authserve.core.actor import Actor
from authserve.core.clock import now
from authserve.core.errors import StepUpRequiredError
from authserve.core.ids import new_id
from authserve.database.transactions import read_all, transaction
from authserve.mfa.factors import FURTHER_CREDENTIALS
from authserve.mfa.models import Passkey, RecoveryCode
from authserve.mfa.own_passkeys import MAX_PASSKEYS, begin_registration, remove_passkey
from authserve.mfa.own_passkeys import change_passkey as change_own_passkey
from authserve.settings.model import SETTINGS, EmailVerification, Mfa
from authserve.users.accounts import ref_of
from authserve.users.lookup import get_user
from authserve.users.models import User
from tests.factories import REQUEST
from tests.mfa.corpus import nested
from tests.support.authenticator import AAGUID, BE, BS, UV, Authenticator, Faults
from tests.support.clients import Caller, login, register_caller, sign_in
from tests.support.crowd import all_at_once, persistently
from tests.support.factors import switch_mfa_on
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.marks import both_databases
from tests.support.passkeys import (
    ORIGIN,
    PATH,
    SIGN_IN,
    change_passkey,
    give_passkey,
    new_passkey_options,
    passkey_answer,
    passkey_login,
    passkey_row,
    register_passkey,
    step_up,
)
from tests.support.problems import assert_problem
from tests.support.rows import (
    audit_trail,
    change_session,
    count_sessions,
    live_session_row,
    session_row,
)
from tests.support.tokens import claims_of, encode
from tests.support.totp import add_app, mailed_code


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    """Where all mail arrives."""
    return open_mailbox(app)


@pytest.fixture
def unmailed(make_app: Callable[..., Flask]) -> Flask:
    """An application where no code is mailed before a first factor."""
    return make_app(email_verification=EmailVerification.OFF)


def holder(app: Flask, name: str = "alice", **key: Any) -> tuple[Caller, Authenticator]:
    """A caller who has signed in with the only passkey of the account."""
    caller = register_caller(app, name)
    authenticator = give_passkey(app, caller.id, **key)
    step_up(app, caller, authenticator)
    return caller, authenticator


def count_passkeys(app: Flask) -> int:
    with app.app_context():
        return int(read_all(select(func.count()).select_from(Passkey))[0][0])


def test_options_ask_for_a_discoverable_and_verified_passkey(
    app: Flask, alice: Caller, mailbox: Mailbox
) -> None:
    response = alice.post(f"{PATH}/options", json={})
    body = response.get_json()
    options = body["public_key"]
    assert (body["expires_in"], body["email_code_required"]) == (300, True)
    assert options == {
        "rp": {"id": "localhost", "name": "localhost"},
        "user": {
            "id": encode(alice.id.bytes),
            "name": "alice@example.com",
            "displayName": "alice@example.com",
        },
        "challenge": options["challenge"],
        "pubKeyCredParams": [{"type": "public-key", "alg": each} for each in (-7, -8, -257)],
        "timeout": 300_000,
        "excludeCredentials": [],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
        "extensions": {"credProps": True},
    }


@both_databases
def test_the_first_one_needs_the_mailed_code_and_brings_recovery_codes(
    app: Flask, alice: Caller, mailbox: Mailbox
) -> None:
    other = sign_in(alice.client, "alice", user=alice.user)
    key = Authenticator(ORIGIN, flags=BE | BS, sign_count=3)
    answer = key.create(new_passkey_options(alice))
    body = {"credential": answer, "name": " Phone ", "email_code": mailed_code(app, mailbox, alice)}
    added = alice.post(PATH, json=body)
    assert added.status_code == 201, added.get_data(as_text=True)
    passkey = added.get_json()
    assert len(passkey.pop("recovery_codes")) == 10
    assert passkey == {
        "id": passkey["id"],
        "name": "Phone",
        "created_at": passkey["created_at"],
        "last_used_at": None,
        "synced": True,
        "aaguid": str(AAGUID),
        "rp_id": "localhost",
        "usable": True,
        "clone_suspected": False,
    }
    row = passkey_row(app, key)
    assert (row["user_id"], row["sign_count"], row["algorithm"]) == (alice.id, 3, -7)
    assert row["transports"] == ["internal", "hybrid"]
    # It changes how the account is opened, not how its password works.
    assert session_row(app, other.session_id)["revoked_at"] is None  # type: ignore[index]
    assert live_session_row(app, alice.session_id)["aal"] == 1
    me = alice.get("/api/v1/users/me").get_json()
    assert (me["mfa_enabled"], me["email_verified"]) == (False, True)
    assert login(app.test_client(), "alice").status_code == 200
    (event,) = audit_trail(app, "factor.added")
    assert event["details"] == {"factor": "passkey"}
    work(app)
    assert "Phone" in mailbox.to("alice@example.com")[-1].text
    assert passkey_login(app.test_client(), key).status_code == 200


def test_a_wrong_mailed_code_leaves_the_answer_good_and_a_wrong_answer_the_code(
    app: Flask, alice: Caller, mailbox: Mailbox
) -> None:
    key = Authenticator(ORIGIN)
    answer = key.create(new_passkey_options(alice))
    code = mailed_code(app, mailbox, alice)
    wrong = "1" * 8 if code != "1" * 8 else "2" * 8
    problem = assert_problem(
        alice.post(PATH, json={"credential": answer}), 422, "validation_failed"
    )
    assert problem["errors"].keys() == {"email_code"}
    body = {"credential": answer, "email_code": wrong}
    assert_problem(alice.post(PATH, json=body), 403, "invalid_code")
    broken = key.create(new_passkey_options(alice), Faults(flags=lambda flags: flags & ~UV))
    code = mailed_code(app, mailbox, alice)
    body = {"credential": broken, "email_code": code}
    assert_problem(alice.post(PATH, json=body), 403, "invalid_passkey")
    assert count_passkeys(app) == 0
    assert alice.post(PATH, json={"credential": answer, "email_code": code}).status_code == 201


def test_where_mfa_is_required_it_switches_mfa_on_and_the_session_rises(
    app: Flask, make_app: Callable[..., Flask]
) -> None:
    register_caller(app, "alice")
    strict = make_app(
        email_verification=EmailVerification.OFF,
        mfa=Mfa.REQUIRED,
        mfa_enroll_by=now() + timedelta(days=1),
    )
    client = strict.test_client()
    alice, other = (sign_in(client, "alice", user={}) for _ in range(2))
    answer = register_passkey(alice, Authenticator(ORIGIN)).get_json()
    claims = claims_of(answer["access_token"])
    # Registering signs nothing, so it is no phishing-resistant sign-in.
    assert (claims["acr"], claims["amr"]) == ("aal2", ["pwd", "mfa"])
    assert claims["fresh"] > now().timestamp()
    assert answer["expires_in"] == 600
    assert len(answer["recovery_codes"]) == 10
    assert live_session_row(strict, alice.session_id)["aal"] == 2
    assert session_row(strict, other.session_id)["revoke_reason"] == "mfa_enabled"  # type: ignore[index]
    assert_problem(login(client, "alice"), 403, "mfa_required")


def test_where_mfa_is_on_another_one_ends_no_session(app: Flask) -> None:
    alice, key = holder(app)
    SETTINGS.fill(app, replace(SETTINGS.of(app), mfa=Mfa.REQUIRED))
    switch_mfa_on(app, alice.id)
    other = passkey_login(app.test_client(), key).get_json()["session_id"]
    answer = register_passkey(alice, Authenticator(ORIGIN)).get_json()
    assert "access_token" not in answer, "nothing was switched on"
    assert live_session_row(app, other)["aal"] == 3


def test_a_session_that_ended_meanwhile_registers_nothing(
    unmailed: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session ends between the token check and the transaction."""
    alice = register_caller(unmailed, "alice")
    checked = factor_confirmation.check_registration

    def end_it(*args: Any, **kwargs: Any) -> Any:
        change_session(unmailed, alice.session_id, revoked_at=now())
        return checked(*args, **kwargs)

    monkeypatch.setattr(factor_confirmation, "check_registration", end_it)
    refused = register_passkey(alice, Authenticator(ORIGIN))
    assert_problem(refused, 401, "session_revoked")
    assert count_passkeys(unmailed) == 0


def test_a_challenge_is_for_the_session_that_asked(unmailed: Flask) -> None:
    alice = register_caller(unmailed, "alice")
    other = sign_in(alice.client, "alice", user=alice.user)
    bob = register_caller(unmailed, "bob")
    key = Authenticator(ORIGIN)
    answer = key.create(new_passkey_options(alice))
    for caller in (other, bob):
        refused = caller.post(PATH, json={"credential": answer})
        assert_problem(refused, 403, "invalid_passkey")
        assert "WWW-Authenticate" not in refused.headers
    assert alice.post(PATH, json={"credential": answer}).status_code == 201
    assert_problem(alice.post(PATH, json={"credential": answer}), 401, "step_up_required")


def test_after_the_first_a_password_alone_changes_nothing(app: Flask, alice: Caller) -> None:
    key = give_passkey(app, alice.id)
    path = f"{PATH}/{passkey_row(app, key)['id']}"
    answer = {"credential": Authenticator(ORIGIN).create({"rp": {"id": "localhost"}, **USER})}
    calls = (
        ("POST", f"{PATH}/options", {}),
        ("POST", PATH, answer),
        ("PATCH", path, {"name": "Mine"}),
        ("DELETE", path, None),
    )
    for method, url, body in calls:
        refused = alice.call(method, url, json=body)
        assert_problem(refused, 401, "step_up_required")
        assert 'acr_values="aal2"' in refused.headers["WWW-Authenticate"]
    assert alice.get(PATH).status_code == 200
    assert passkey_row(app, key)["name"] == "Passkey"


USER = {"user": {"id": encode(bytes(16))}, "challenge": encode(bytes(56))}


def test_a_factor_that_came_after_the_check_of_the_level_counts(app: Flask, alice: Caller) -> None:
    key = give_passkey(app, alice.id)
    passkey_id = passkey_row(app, key)["id"]
    with app.app_context():
        user = ref_of(get_user(alice.id))
        by = {"actor": Actor(user=user, session_id=alice.session_id), "request": REQUEST}
        with pytest.raises(StepUpRequiredError):
            begin_registration(user, display_name=None, **by)
        with pytest.raises(StepUpRequiredError):
            change_own_passkey(user, passkey_id, name="Mine", **by)
        with pytest.raises(StepUpRequiredError):
            remove_passkey(user, passkey_id, **by)
    assert passkey_row(app, key)["name"] == "Passkey"


def test_changes_need_a_fresh_token(app: Flask) -> None:
    alice, key = holder(app)
    body = {"refresh_token": alice.tokens["refresh_token"]}
    alice.tokens = alice.client.post("/api/v1/auth/refresh", json=body).get_json()
    path = f"{PATH}/{passkey_row(app, key)['id']}"
    for method, url, sent in (
        ("POST", f"{PATH}/options", {}),
        ("PATCH", path, {"name": "Mine"}),
        ("DELETE", path, None),
    ):
        assert_problem(alice.call(method, url, json=sent), 401, "reauthentication_required")


def test_options_exclude_the_accounts_own(app: Flask) -> None:
    alice, key = holder(app)
    give_passkey(app, register_caller(app, "bob").id)
    assert new_passkey_options(alice)["excludeCredentials"] == [
        {
            "type": "public-key",
            "id": encode(key.credential_id),
            "transports": ["internal", "hybrid"],
        }
    ]


def test_with_mfa_off_no_factor_is_added(make_app: Callable[..., Flask]) -> None:
    app = make_app(mfa=Mfa.OFF, email_verification=EmailVerification.OFF)
    alice = register_caller(app, "alice")
    assert_problem(alice.post(f"{PATH}/options", json={}), 403, "mfa_off")
    switch_mfa_on(app, alice.id)
    # Otherwise the account could not replace what it lost.
    assert alice.post(f"{PATH}/options", json={}).status_code == 200


def test_a_passkey_of_another_account_is_taken(app: Flask) -> None:
    alice, key = holder(app)
    bob, _ = holder(app, "bob")
    assert_problem(register_passkey(bob, key), 409, "passkey_taken")
    assert_problem(register_passkey(alice, key), 409, "passkey_taken")
    assert passkey_row(app, key)["user_id"] == alice.id


@both_databases
def test_two_accounts_that_register_one_credential_at_once_leave_one_owner(app: Flask) -> None:
    callers = [holder(app, name)[0] for name in ("alice", "bob")]
    key = Authenticator(ORIGIN)
    answers = [key.create(new_passkey_options(caller)) for caller in callers for _ in range(10)]

    def register(place: int) -> int:
        caller, body = callers[place // 10], {"credential": answers[place]}
        return persistently(lambda: caller.post(PATH, json=body)).status_code

    calls = [lambda place=place: register(place) for place in range(20)]
    assert sorted(all_at_once(calls)) == [201] + [409] * 19
    assert count_passkeys(app) == 3


@both_databases
def test_of_twenty_at_once_ten_are_registered(app: Flask) -> None:
    alice, _ = holder(app)
    for _ in range(MAX_PASSKEYS - 4):
        give_passkey(app, alice.id)
    answers = [Authenticator(ORIGIN).create(new_passkey_options(alice)) for _ in range(20)]

    def register(answer: dict[str, Any]) -> int:
        return persistently(lambda: alice.post(PATH, json={"credential": answer})).status_code

    statuses = all_at_once([lambda answer=answer: register(answer) for answer in answers])
    assert sorted(statuses) == [201] * 3 + [409] * 17
    assert count_passkeys(app) == MAX_PASSKEYS
    refused = register_passkey(alice, Authenticator(ORIGIN))
    assert_problem(refused, 409, "too_many_passkeys")


def test_a_list_shows_ones_own_newest_first(app: Flask) -> None:
    alice, first = holder(app)
    second = give_passkey(app, alice.id, name="Key")
    give_passkey(app, register_caller(app, "bob").id)
    change_passkey(app, second, rp_id="example.org")
    page = alice.get(f"{PATH}?limit=1").get_json()
    assert [each["name"] for each in page["items"]] == ["Key"]
    assert (page["items"][0]["usable"], page["items"][0]["rp_id"]) == (False, "example.org")
    rest = alice.get(f"{PATH}?cursor={page['next_cursor']}").get_json()
    assert [each["id"] for each in rest["items"]] == [str(passkey_row(app, first)["id"])]
    assert rest["items"][0]["last_used_at"] is not None
    assert rest["next_cursor"] is None
    for secret in ("public_key", "credential_id", "sign_count"):
        assert secret not in rest["items"][0]


def test_a_new_name_is_cleaned(app: Flask) -> None:
    alice, key = holder(app)
    path = f"{PATH}/{passkey_row(app, key)['id']}"
    assert alice.patch(path, json={"name": "  Yubi\u0301 "}).get_json()["name"] == "Yub\u00ed"
    for name in ("", " ", "x" * 65, "a\u202eb", 5, None):
        assert_problem(alice.patch(path, json={"name": name}), 422, "validation_failed")
    assert alice.patch(path, json={}).get_json()["name"] == "Yub\u00ed"
    assert alice.patch(path, json={"name": "x" * 64}).status_code == 200


def test_the_owner_accepts_a_suspected_clone(app: Flask) -> None:
    alice, key = holder(app, sign_count=10)
    path = f"{PATH}/{passkey_row(app, key)['id']}"
    key.sign_count = 2
    assert_problem(passkey_login(app.test_client(), key), 401, "invalid_passkey")
    (shown,) = alice.get(PATH).get_json()["items"]
    assert (shown["usable"], shown["clone_suspected"]) == (False, True)
    for wrong in (True, None, "false"):
        refused = alice.patch(path, json={"clone_suspected": wrong})
        assert_problem(refused, 422, "validation_failed")
    for _ in range(2):
        cleared = alice.patch(path, json={"clone_suspected": False}).get_json()
        assert (cleared["usable"], cleared["clone_suspected"]) == (True, False)
    (event,) = audit_trail(app, "factor.unflagged")
    assert event["details"] == {"factor": "passkey", "factor_id": shown["id"]}
    assert passkey_login(app.test_client(), key).status_code == 200


def test_anothers_passkey_is_not_found(app: Flask) -> None:
    alice, _ = holder(app)
    _, theirs = holder(app, "bob")
    for passkey_id in (passkey_row(app, theirs)["id"], new_id()):
        for method, body in (("PATCH", {"name": "Mine"}), ("DELETE", None)):
            refused = alice.call(method, f"{PATH}/{passkey_id}", json=body)
            assert_problem(refused, 404, "factor_not_found")
    assert passkey_row(app, theirs)["name"] == "Passkey"


@both_databases
def test_deleting_the_last_factor_ends_other_sessions_and_the_codes(
    app: Flask, alice: Caller, mailbox: Mailbox
) -> None:
    add_app(app, alice, mailbox=mailbox)
    key = Authenticator(ORIGIN)
    assert register_passkey(alice, key, name="Phone").status_code == 201
    other = passkey_login(app.test_client(), key).get_json()
    assert alice.delete("/api/v1/users/me/mfa/totp").status_code == 204
    path = f"{PATH}/{passkey_row(app, key)['id']}"
    assert alice.get("/api/v1/users/me").get_json()["mfa_enabled"] is True
    assert alice.delete(path).status_code == 204
    assert session_row(app, other["session_id"])["revoke_reason"] == "factor_removed"  # type: ignore[index]
    assert alice.get("/api/v1/users/me").get_json()["mfa_enabled"] is False
    assert count_passkeys(app) == 0
    with app.app_context():
        assert read_all(select(RecoveryCode.digest)) == []
    removed = audit_trail(app, "factor.removed")[-1]
    assert removed["details"] == {"factor": "passkey"}
    work(app)
    assert any("Phone" in letter.text for letter in mailbox.to("alice@example.com")[-2:])
    assert_problem(passkey_login(app.test_client(), key), 401, "unknown_passkey")


@both_databases
def test_no_session_of_a_deleted_passkey_is_left_however_many_sign_in_meanwhile(app: Flask) -> None:
    alice, key = holder(app, flags=BE)
    path = f"{PATH}/{passkey_row(app, key)['id']}"
    answers = [passkey_answer(app.test_client(), key) for _ in range(19)]

    def use(answer: dict[str, Any]) -> int:
        call = app.test_client().post
        return persistently(lambda: call(SIGN_IN, json={"credential": answer})).status_code

    calls = [lambda answer=answer: use(answer) for answer in answers]
    calls.insert(10, lambda: persistently(lambda: alice.delete(path)).status_code)
    statuses = all_at_once(calls)
    assert statuses[10] == 204
    assert set(statuses) <= {200, 204, 401}
    assert count_sessions(app, revoked_at=None) == 1
    assert live_session_row(app, alice.session_id)["revoked_at"] is None


def test_the_last_factor_stays_where_one_is_required(
    app: Flask, make_app: Callable[..., Flask]
) -> None:
    alice, key = holder(app)
    path = f"{PATH}/{passkey_row(app, key)['id']}"
    strict = make_app(mfa=Mfa.REQUIRED)
    alice.client = strict.test_client()
    assert_problem(alice.delete(path), 409, "mfa_required_by_policy")
    give_passkey(app, alice.id)
    assert alice.delete(path).status_code == 204


def take_password(app: Flask, alice: Caller) -> None:
    with app.app_context(), transaction() as session:
        session.execute(update(User).where(User.id == alice.id).values(password_hash=None))


def test_the_last_passkey_of_an_account_without_a_password_stays(app: Flask) -> None:
    alice, key = holder(app)
    take_password(app, alice)
    path = f"{PATH}/{passkey_row(app, key)['id']}"
    assert_problem(alice.delete(path), 409, "last_credential")
    assert passkey_row(app, key)["name"] == "Passkey"
    give_passkey(app, alice.id)
    assert alice.delete(path).status_code == 204


def test_the_last_passkey_goes_if_a_further_credential_opens_the_account(app: Flask) -> None:
    alice, key = holder(app)
    take_password(app, alice)
    path = f"{PATH}/{passkey_row(app, key)['id']}"
    FURTHER_CREDENTIALS.fill(app, lambda user_id: () if user_id == alice.id else ("google",))
    assert_problem(alice.delete(path), 409, "last_credential")
    FURTHER_CREDENTIALS.fill(app, lambda user_id: ("google",) if user_id == alice.id else ())
    assert alice.delete(path).status_code == 204


@pytest.mark.parametrize("body", [{}, {"credential": {}}, {"credential": []}, {"credential": "x"}])
def test_a_credential_of_another_shape_is_refused(alice: Caller, body: dict[str, Any]) -> None:
    assert_problem(alice.post(PATH, json=body), 422, "validation_failed")


HOSTILE = {
    "lists nested deep": (nested(12_000), 403, "invalid_passkey"),
    "lists nested deeper than any object is long": (nested(40_000), 422, "validation_failed"),
    "maps nested deep": (b"\xa1\x00" * 6_000 + b"\x00", 403, "invalid_passkey"),
    "a map of 2^63 members": (b"\xbb\x7f" + b"\xff" * 7, 403, "invalid_passkey"),
    "a string of 2^63 bytes": (b"\x5b\x7f" + b"\xff" * 7, 403, "invalid_passkey"),
    "a tag": (b"\xc0\x00", 403, "invalid_passkey"),
    "nothing": (b"", 403, "invalid_passkey"),
}


def test_hostile_bytes_are_refused_and_change_nothing(unmailed: Flask) -> None:
    alice = register_caller(unmailed, "alice")
    for name, (raw, status, code) in HOSTILE.items():
        options = new_passkey_options(alice)
        credential = Authenticator(ORIGIN).create(
            options, Faults(response={"attestationObject": encode(raw)})
        )
        refused = alice.post(PATH, json={"credential": credential})
        assert (refused.status_code, refused.get_json()["code"]) == (status, code), name
    assert count_passkeys(unmailed) == 0
    assert register_passkey(alice, Authenticator(ORIGIN)).status_code == 201


def test_without_an_rp_id_no_call_exists(make_app: Callable[..., Flask]) -> None:
    alice = register_caller(make_app(passkey_rp_id="", passkey_origins=()), "alice")
    for method, path in (("GET", PATH), ("POST", PATH), ("POST", f"{PATH}/options")):
        assert_problem(alice.call(method, path, json={}), 404, "not_found")
