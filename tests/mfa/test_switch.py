"""The switch of an account's second factor, the end of factors, and new recovery codes."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from authserve.core.actor import Actor, UserRef
from authserve.core.clock import now
from authserve.core.errors import SessionRevokedError
from authserve.core.levels import Level
from authserve.database.transactions import transaction
from authserve.mfa.assurance import ProofFailure, SecondStep
from authserve.mfa.code_renewal import ANY_CODES, renew_recovery_codes
from authserve.mfa.factors import list_factors
from authserve.mfa.own_passkeys import begin_registration, remove_passkey
from authserve.mfa.own_passkeys import change_passkey as rename_passkey
from authserve.mfa.recovery_codes import (
    CheckedRecoveryCode,
    check_recovery_code,
    delete_codes,
)
from authserve.mfa.switch import lock_owner, on_factor_added, set_mfa
from authserve.mfa.totp_set_up import remove_totp, set_up_totp
from authserve.settings.model import SETTINGS, Mfa
from authserve.users.accounts import ref_of
from authserve.users.errors import ChangedMeanwhileError
from authserve.users.lookup import get_user
from tests.factories import REQUEST, make_session
from tests.support.audit import all_events
from tests.support.clients import Caller, login, sign_in
from tests.support.factors import raise_caller
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.passkeys import change_passkey, give_passkey, passkey_row
from tests.support.problems import assert_problem
from tests.support.rows import change_session, live_session_row
from tests.support.totp import PATH as TOTP
from tests.support.totp import App, add_app

ME = "/api/v1/users/me"
CODES = f"{ME}/recovery-codes"


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    """Where all mail arrives."""
    return open_mailbox(app)


@pytest.fixture
def phone(app: Flask, alice: Caller, mailbox: Mailbox) -> App:
    """Alice's app, confirmed in her session."""
    return add_app(app, alice, mailbox=mailbox)


def require_mfa(app: Flask, *, enroll_by: datetime | None = None) -> None:
    """Let the operator require a second factor, perhaps later."""
    changed = replace(SETTINGS.of(app), mfa=Mfa.REQUIRED, mfa_enroll_by=enroll_by)
    SETTINGS.fill(app, changed)


def switch(caller: Caller, *, is_enabled: bool) -> dict[str, Any]:
    """Switch a caller's second factor, and return the answer."""
    response = caller.put(f"{ME}/mfa", json={"enabled": is_enabled})
    assert response.status_code == 200, response.get_data(as_text=True)
    answer: dict[str, Any] = response.get_json()
    return answer


def other_session(app: Flask, caller: Caller) -> UUID:
    """Start another session of a caller, with two factors."""
    with app.app_context():
        return make_session(ref_of(get_user(caller.id)), level=Level.AAL2).id


def end_of(app: Flask, session_id: UUID) -> str | None:
    """Return why a session has ended, or None."""
    reason: str | None = live_session_row(app, session_id)["revoke_reason"]
    return reason


def actions(app: Flask) -> list[str]:
    """Return the actions of all events about factors."""
    with app.app_context():
        events = [event.action for event in all_events()]
    return [each for each in events if each.startswith(("mfa.", "factor.", "recovery_codes."))]


def test_switched_off_its_factors_and_codes_stay(app: Flask, alice: Caller, phone: App) -> None:
    other = other_session(app, alice)
    state = switch(alice, is_enabled=False)
    assert state == alice.get(f"{ME}/mfa").get_json()
    assert (state["enabled"], state["recovery_codes_left"]) == (False, 10)
    assert state["totp"] is not None
    assert end_of(app, other) == "factor_removed"
    assert end_of(app, alice.session_id) is None
    assert login(app.test_client(), "alice").status_code == 200


def test_switched_on_again_it_makes_codes_only_if_none_are_left(
    app: Flask, alice: Caller, phone: App
) -> None:
    switch(alice, is_enabled=False)
    other = sign_in(app.test_client(), "alice", user=alice.user)
    assert "recovery_codes" not in switch(alice, is_enabled=True)
    assert end_of(app, other.session_id) == "mfa_enabled"
    assert login(app.test_client(), "alice").get_json()["code"] == "mfa_required"
    switch(alice, is_enabled=False)
    with app.app_context(), transaction():
        delete_codes(alice.id)
    state = switch(alice, is_enabled=True)
    assert len(state["recovery_codes"]) == state["recovery_codes_left"] == 10


def test_a_switch_in_its_position_does_nothing(app: Flask, alice: Caller, phone: App) -> None:
    other = other_session(app, alice)
    before = actions(app)
    assert switch(alice, is_enabled=True)["enabled"] is True
    assert end_of(app, other) is None
    switch(alice, is_enabled=False)
    switch(alice, is_enabled=False)
    assert actions(app) == [*before, "mfa.disabled"]


def test_without_a_usable_factor_it_cannot_be_switched_on(app: Flask, alice: Caller) -> None:
    assert_problem(alice.put(f"{ME}/mfa", json={"enabled": True}), 409, "no_factor")
    flagged = give_passkey(app, alice.id)
    change_passkey(app, flagged, flagged_at=now())
    raise_caller(app, alice)
    assert_problem(alice.put(f"{ME}/mfa", json={"enabled": True}), 409, "no_factor")


def test_the_policy_keeps_it_on_once_its_time_has_come(
    app: Flask, alice: Caller, phone: App
) -> None:
    require_mfa(app)
    for refused in (alice.put(f"{ME}/mfa", json={"enabled": False}), alice.delete(TOTP)):
        assert_problem(refused, 409, "mfa_required_by_policy")
    assert alice.get(f"{ME}/mfa").get_json()["totp"] is not None
    require_mfa(app, enroll_by=now() + timedelta(hours=1))
    state = switch(alice, is_enabled=False)
    assert (state["required"], state["enroll_by"] is not None) == (False, True)


def test_with_the_last_usable_factor_mfa_goes_off_and_the_codes_die(
    app: Flask, alice: Caller, phone: App, mailbox: Mailbox
) -> None:
    change_passkey(app, give_passkey(app, alice.id), flagged_at=now())
    other, before = other_session(app, alice), actions(app)
    assert alice.delete(TOTP).status_code == 204
    state = alice.get(f"{ME}/mfa").get_json()
    assert (state["enabled"], state["totp"], state["recovery_codes_left"]) == (False, None, 0)
    assert end_of(app, other) == "factor_removed"
    assert actions(app) == [*before, "factor.removed", "mfa.disabled"]
    assert login(app.test_client(), "alice").status_code == 200
    assert_problem(alice.delete(TOTP), 404, "factor_not_found")
    work(app)
    assert len({letter.subject for letter in mailbox.to("alice@example.com")[-2:]}) == 2


def test_with_another_factor_left_mfa_stays_on(app: Flask, alice: Caller, phone: App) -> None:
    give_passkey(app, alice.id)
    require_mfa(app)
    other = other_session(app, alice)
    assert alice.delete(TOTP).status_code == 204
    state = alice.get(f"{ME}/mfa").get_json()
    assert (state["enabled"], state["recovery_codes_left"]) == (True, 10)
    assert state["methods"] == ["passkey", "recovery_code"]
    assert end_of(app, other) == "factor_removed"


def test_new_codes_make_the_former_ones_void(
    app: Flask, alice: Caller, phone: App, mailbox: Mailbox
) -> None:
    response = alice.post(CODES)
    assert response.status_code == 201
    codes = response.get_json()["codes"]
    assert len({*codes, *phone.recovery_codes}) == 20
    assert alice.get(CODES).get_json()["left"] == 10
    with app.app_context():
        former = check_recovery_code(alice.id, phone.recovery_codes[0])
        assert former is ProofFailure.WRONG_RECOVERY_CODE
        assert isinstance(check_recovery_code(alice.id, codes[0]), CheckedRecoveryCode)
    assert actions(app)[-1] == "recovery_codes.renewed"
    work(app)
    assert "recovery" in mailbox.to("alice@example.com")[-1].subject.lower()


def test_new_codes_replace_those_that_the_caller_means(alice: Caller, phone: App) -> None:
    seen = {"replaces": alice.get(CODES).get_json()["created_at"]}
    assert alice.post(CODES, json=seen).status_code == 201
    assert_problem(alice.post(CODES, json=seen), 409, "changed_meanwhile")


def test_a_caller_who_saw_no_codes_replaces_none(app: Flask, alice: Caller, phone: App) -> None:
    """The page that makes the first codes, sent twice, must not make a second set."""
    with app.app_context():
        user = ref_of(get_user(alice.id))
        actor = Actor(user=user, session_id=alice.session_id, level=Level.AAL2)
        by = {"actor": actor, "request": REQUEST}
        with pytest.raises(ChangedMeanwhileError):
            renew_recovery_codes(user, replaces=None, **by)
        with transaction():
            delete_codes(alice.id)
        assert len(renew_recovery_codes(user, replaces=None, **by)) == 10


def test_codes_need_a_factor(alice: Caller) -> None:
    assert_problem(alice.post(CODES), 409, "no_factor")


@pytest.mark.parametrize("call", ["PUT /mfa", "DELETE /mfa/totp", "POST /recovery-codes"])
def test_with_a_password_alone_nothing_changes(
    app: Flask, alice: Caller, phone: App, call: str
) -> None:
    """MFA is off, so the session may do all that needs one factor."""
    switch(alice, is_enabled=False)
    change_session(app, alice.session_id, aal=1)
    method, path = call.split()
    body = {"enabled": True} if method == "PUT" else None
    assert_problem(alice.call(method, ME + path, json=body), 401, "step_up_required")


@pytest.mark.parametrize(
    "change",
    [
        lambda user, passkey_id, by: set_up_totp(user, amr=("pwd",), **by),
        lambda user, passkey_id, by: remove_totp(user, **by),
        lambda user, passkey_id, by: begin_registration(user, display_name=None, **by),
        lambda user, passkey_id, by: rename_passkey(user, passkey_id, name="Mine", **by),
        lambda user, passkey_id, by: remove_passkey(user, passkey_id, **by),
        lambda user, passkey_id, by: set_mfa(user, is_enabled=False, **by),
        lambda user, passkey_id, by: renew_recovery_codes(user, replaces=ANY_CODES, **by),
    ],
)
def test_a_session_that_ended_meanwhile_changes_nothing(
    app: Flask, alice: Caller, phone: App, change: Callable[[UserRef, UUID, Any], object]
) -> None:
    """Another session signs it out after the token check."""
    passkey_id = passkey_row(app, give_passkey(app, alice.id))["id"]
    change_session(app, alice.session_id, revoked_at=now())
    before = actions(app)
    with app.app_context():
        user = ref_of(get_user(alice.id))
        actor = Actor(user=user, session_id=alice.session_id, level=Level.AAL2)
        with pytest.raises(SessionRevokedError):
            change(user, passkey_id, {"actor": actor, "request": REQUEST})
        assert list_factors(alice.id)[-1].name == "Passkey"
    assert actions(app) == before


@pytest.mark.parametrize(("mfa", "turned_on"), [(Mfa.OPTIONAL, False), (Mfa.REQUIRED, True)])
def test_a_first_passkey_brings_codes_and_mfa_where_it_is_required(
    app: Flask, alice: Caller, mfa: Mfa, turned_on: bool
) -> None:
    SETTINGS.fill(app, replace(SETTINGS.of(app), mfa=mfa))
    with app.app_context(), transaction():
        owner = lock_owner(alice.id)
        actor = Actor(user=owner.ref, session_id=alice.session_id)
        added = on_factor_added(
            owner,
            SecondStep.PASSKEY,
            name="Phone",
            keep=alice.session_id,
            actor=actor,
            request=REQUEST,
        )
    assert added.turned_on is turned_on
    assert added.recovery_codes is not None
    assert alice.get(ME).get_json()["mfa_enabled"] is turned_on
