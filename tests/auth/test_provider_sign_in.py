"""Signing in by another provider, from the moment when its answer has named the account."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

import pytest
from flask import Flask

from authserve.auth import policy, provider_sign_in
from authserve.auth.browser_sessions import BrowserSession, find_browser_session
from authserve.auth.browser_sign_in import Browser, sign_in_browser_with_provider
from authserve.auth.errors import UnlinkedIdentityError
from authserve.auth.provider_sign_in import ProvenIdentity, start_session_with_provider
from authserve.core.actor import VISITOR, UserRef
from authserve.core.clock import now
from authserve.core.errors import AuthserveError
from authserve.core.levels import Level, Proof
from authserve.database.transactions import transaction
from authserve.federation.identities import ProviderIdentity, link_identity, record_use
from authserve.mfa.assurance import SecondStep
from authserve.mfa.errors import MfaEnrollmentRequiredError, SecondStepRequiredError
from authserve.mfa.pending import Purpose, read_pending
from authserve.settings.model import SETTINGS, EmailVerification, Mfa
from authserve.tokens.access import LiveSession
from authserve.tokens.device import Device, new_device
from authserve.users.accounts import deactivate, delete_user, ref_of
from authserve.users.errors import AccountDisabledError, EmailNotVerifiedError
from authserve.users.lookup import get_user
from tests.factories import REQUEST
from tests.support.clients import Caller, login
from tests.support.factors import give_recovery_codes, give_totp, switch_mfa_on
from tests.support.mail import open_mailbox
from tests.support.marks import both_databases
from tests.support.rows import audit_trail, change_user, count_sessions, live_session_row
from tests.support.second_steps import second_step
from tests.support.totp import code_at, mailed_code

ALICE = ProviderIdentity(
    issuer="https://id.example.com", subject="24400320", email="alice@example.org"
)


def always(_now: datetime) -> bool:
    """Let the identity be the account's."""
    return True


def never(_now: datetime) -> bool:
    """Let the identity be unlinked."""
    return False


def proven(
    user: Caller, *, claim: Callable[[datetime], bool] = always, has_two_factors: bool = False
) -> ProvenIdentity:
    """Return what a provider's answer has proven."""
    return ProvenIdentity(
        user_id=user.id, provider="example", has_two_factors=has_two_factors, claim=claim
    )


def sign_in(
    app: Flask, identity: ProvenIdentity, *, device: Device | None = None
) -> tuple[LiveSession, Device]:
    """Sign in as an API client would."""
    with app.app_context():
        return start_session_with_provider(identity, device=device, request=REQUEST)


def token_of_second_step(app: Flask, user: Caller) -> str:
    """Begin a sign-in that needs a second step."""
    with pytest.raises(SecondStepRequiredError) as caught:
        sign_in(app, proven(user))
    assert caught.value.mfa_token
    return str(caught.value.mfa_token)


def failures(app: Flask) -> list[dict[str, str]]:
    return [event["details"] for event in audit_trail(app, "session.sign_in_failed")]


@both_databases
def test_it_is_one_factor_and_the_trail_names_the_provider(app: Flask, alice: Caller) -> None:
    with app.app_context(), transaction():
        link_identity(alice.id, ALICE, now=now())
    use = partial(record_use, alice.id, ALICE)

    def claim(moment: datetime) -> bool:
        return use(now=moment)

    session, _ = sign_in(app, proven(alice, claim=claim))
    row = live_session_row(app, session.id)
    assert (row["user_id"], row["aal"], row["amr"]) == (alice.id, 1, ["fed"])
    started = audit_trail(app, "session.started")[-1]["details"]
    assert (started["amr"], started["acr"], started["provider"]) == (["fed"], "aal1", "example")
    with app.app_context():
        assert get_user(alice.id).last_login_at == row["created_at"]


def test_a_sign_in_without_a_provider_names_none(app: Flask, alice: Caller) -> None:
    login(app.test_client(), "alice")
    assert all("provider" not in each["details"] for each in audit_trail(app, "session.started"))


def test_a_provider_that_is_trusted_for_two_factors_spares_ours(app: Flask, alice: Caller) -> None:
    give_totp(app, alice.id)
    session, _ = sign_in(app, proven(alice, has_two_factors=True))
    row = live_session_row(app, session.id)
    assert (row["aal"], row["amr"]) == (2, ["fed", "mfa"])


@pytest.mark.parametrize("method", [SecondStep.TOTP, SecondStep.RECOVERY_CODE])
def test_our_second_factor_follows(app: Flask, alice: Caller, method: SecondStep) -> None:
    secret, (code,) = give_totp(app, alice.id), give_recovery_codes(app, alice.id)
    with pytest.raises(SecondStepRequiredError) as caught:
        sign_in(app, proven(alice))
    assert caught.value.methods == (SecondStep.TOTP, SecondStep.RECOVERY_CODE)
    proofs = {
        SecondStep.TOTP: {"totp_code": code_at(secret, now())},
        SecondStep.RECOVERY_CODE: {"recovery_code": code},
    }
    token = str(caught.value.mfa_token)
    answer = second_step(app.test_client(), token, **proofs[method])
    assert answer.status_code == 200, answer.text
    row = live_session_row(app, answer.get_json()["session_id"])
    name = {SecondStep.TOTP: "otp", SecondStep.RECOVERY_CODE: "rcv"}[method]
    assert (row["aal"], row["amr"]) == (2, ["fed", name, "mfa"])
    assert audit_trail(app, "session.started")[-1]["details"]["provider"] == "example"


def test_a_first_factor_needs_the_mailbox(app: Flask, alice: Caller) -> None:
    switch_mfa_on(app, alice.id)
    mailbox, client = open_mailbox(app), app.test_client()
    with pytest.raises(MfaEnrollmentRequiredError) as caught:
        sign_in(app, proven(alice))
    assert caught.value.methods == (SecondStep.PASSKEY, SecondStep.TOTP)
    body = {"mfa_token": str(caught.value.mfa_token), "method": "totp"}
    made = client.post("/api/v1/auth/mfa/enroll/options", json=body).get_json()
    fields = {"mfa_token": body["mfa_token"], "totp_code": code_at(made["secret"], now())}
    refused = client.post("/api/v1/auth/mfa/enroll", json=fields)
    assert refused.status_code == 422
    fields["email_code"] = mailed_code(app, mailbox, alice)
    answer = client.post("/api/v1/auth/mfa/enroll", json=fields)
    assert answer.status_code == 200, answer.text
    row = live_session_row(app, answer.get_json()["session_id"])
    assert (row["aal"], row["amr"]) == (2, ["email", "fed", "otp", "mfa"])


def test_where_every_account_needs_two_factors(
    app: Flask, make_app: Callable[..., Flask], alice: Caller
) -> None:
    strict = make_app(mfa=Mfa.REQUIRED)
    with pytest.raises(MfaEnrollmentRequiredError):
        sign_in(strict, proven(alice))
    session, _ = sign_in(strict, proven(alice, has_two_factors=True))
    assert session.level is Level.AAL2


def test_a_pending_sign_in_changes_no_last_login(app: Flask, alice: Caller) -> None:
    with app.app_context():
        before = get_user(alice.id).last_login_at
    give_totp(app, alice.id)
    token = token_of_second_step(app, alice)
    with app.app_context():
        assert get_user(alice.id).last_login_at == before
        pending = read_pending(token, Purpose.VERIFY, settings=SETTINGS.get(), now=now())
    assert (pending.proofs, pending.provider) == ({Proof.PROVIDER}, "example")


def test_an_account_that_may_not_sign_in_does_not(
    app: Flask, make_app: Callable[..., Flask], alice: Caller
) -> None:
    with pytest.raises(UnlinkedIdentityError):
        sign_in(app, proven(alice, claim=never))
    with pytest.raises(EmailNotVerifiedError):
        sign_in(make_app(email_verification=EmailVerification.REQUIRED), proven(alice))
    with app.app_context():
        deactivate(alice.id, actor=VISITOR, request=REQUEST)
    with pytest.raises(AccountDisabledError):
        sign_in(app, proven(alice))
    reasons = ["unlinked_identity", "email_not_verified", "account_disabled"]
    assert failures(app) == [{"reason": each, "provider": "example"} for each in reasons]
    with app.app_context():
        assert not get_user(alice.id).is_active
        delete_user(ref_of(get_user(alice.id)), actor=VISITOR, request=REQUEST)
    with pytest.raises(UnlinkedIdentityError):
        sign_in(app, proven(alice))
    assert len(audit_trail(app, "session.started")) == 1


CHANGES: dict[str, tuple[Callable[[Flask, UserRef], object], type[AuthserveError]]] = {
    "deactivated": (
        lambda _, user: deactivate(user.id, actor=VISITOR, request=REQUEST),
        AccountDisabledError,
    ),
    "deleted": (
        lambda _, user: delete_user(user, actor=VISITOR, request=REQUEST),
        UnlinkedIdentityError,
    ),
    "second factor switched on": (
        lambda app, user: give_totp(app, user.id),
        SecondStepRequiredError,
    ),
}


@both_databases
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_the_account_meanwhile_leaves_no_session(
    app: Flask, alice: Caller, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    change, error = CHANGES[name]
    check = policy.check_account

    def check_then_change(*args: object, **kwargs: object) -> object:
        monkeypatch.setattr(provider_sign_in, "check_account", check)
        found = check(*args, **kwargs)  # type: ignore[arg-type]
        change(app, ref_of(get_user(alice.id)))
        return found

    monkeypatch.setattr(provider_sign_in, "check_account", check_then_change)
    with pytest.raises(error):
        sign_in(app, proven(alice))
    assert len(audit_trail(app, "session.started")) == 1


def test_an_identity_that_is_unlinked_meanwhile_records_nothing(app: Flask, alice: Caller) -> None:
    with app.app_context():
        before = get_user(alice.id).last_login_at
    with pytest.raises(UnlinkedIdentityError):
        sign_in(app, proven(alice, claim=never))
    with app.app_context():
        assert get_user(alice.id).last_login_at == before


def test_an_account_without_a_password_is_activated(app: Flask, alice: Caller) -> None:
    change_user(app, alice.id, password_hash=None, activated_at=None)
    sign_in(app, proven(alice))
    with app.app_context():
        assert get_user(alice.id).activated_at is not None


def test_counted_wrong_passwords_stay_counted(app: Flask, alice: Caller) -> None:
    login(app.test_client(), "alice", "wrong")
    sign_in(app, proven(alice))
    with app.app_context():
        assert get_user(alice.id).failed_sign_ins == 1


def test_an_own_device_stays_known_and_another_account_s_does_not(
    app: Flask, alice: Caller, bob: Caller
) -> None:
    own, other = new_device(alice.id, 0), new_device(bob.id, 0)
    assert sign_in(app, proven(alice), device=own)[1] == own
    assert sign_in(app, proven(alice), device=other)[1].user_id == alice.id


def test_a_browser_holds_one_session(app: Flask, alice: Caller, bob: Caller) -> None:
    with app.app_context():
        browser = Browser(former=None, is_remembered=True, request=REQUEST)
        first = sign_in_browser_with_provider(browser, proven=proven(bob), device=None)
        former = find_browser_session(first.cookie, now=now())
        assert isinstance(former, BrowserSession)
        browser = Browser(former=former, is_remembered=False, request=REQUEST)
        second = sign_in_browser_with_provider(browser, proven=proven(alice), device=None)
    assert second.user_id == alice.id
    assert live_session_row(app, former.cookie.session_id)["revoke_reason"] == "replaced"
    assert count_sessions(app, kind="browser", revoked_at=None) == 1
