"""The caller's own identities: listing and unlinking them, and what follows."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from authserve.core.actor import OPERATOR, VISITOR, Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.errors import SessionRevokedError, StepUpRequiredError
from authserve.core.ids import new_id
from authserve.database.transactions import transaction
from authserve.federation.identities import ProviderIdentity, find_identities
from authserve.federation.own_identities import add_identity, unlink_identity
from authserve.federation.registry import change_provider, delete_provider, get_provider
from authserve.settings.model import EmailVerification
from authserve.users.accounts import lock_user, ref_of
from authserve.users.lookup import get_user
from tests.support.clients import Caller, register_caller, sign_in
from tests.support.crowd import all_at_once, persistently
from tests.support.factors import raise_caller
from tests.support.identities import GOOGLE, ensure_provider, give_identity
from tests.support.mail import open_mailbox, work
from tests.support.marks import both_databases
from tests.support.passkeys import PATH as PASSKEYS
from tests.support.passkeys import give_passkey, passkey_row
from tests.support.problems import assert_problem
from tests.support.rows import (
    audit_trail,
    change_session,
    change_user,
    live_session_row,
    session_row,
)
from tests.support.second_steps import first_step, second_step
from tests.support.totp import add_app

PATH = "/api/v1/users/me/identities"

CROWD = 20

OTHER = "https://id.example.com/realm"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with providers."""
    return make_app(features=("pages", "federation"))


def listed(caller: Caller, query: str = "") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = caller.get(f"{PATH}{query}").get_json()["items"]
    return items


def find_identity_ids(app: Flask, user_id: UUID) -> list[UUID]:
    with app.app_context():
        return [each.id for each in find_identities(user_id)]


def test_without_the_feature_there_are_no_calls(make_app: Callable[..., Flask]) -> None:
    caller = register_caller(make_app(), "alice")
    assert caller.get(PATH).status_code == 404


def test_the_list_is_the_callers_own_newest_first(app: Flask, alice: Caller, bob: Caller) -> None:
    first = give_identity(app, alice.id)
    second = give_identity(
        app, alice.id, slug="work", name="Work", issuer=OTHER, email=None, subject="subject-there"
    )
    newest, oldest = listed(alice)
    assert (newest["id"], oldest["id"]) == (second, first)
    assert {**newest, "id": None, "created_at": None} == {
        "id": None,
        "provider": "work",
        "provider_name": "Work",
        "issuer": OTHER,
        "email": None,
        "created_at": None,
        "last_used_at": None,
        "usable": True,
    }
    assert oldest["email"] == "alice@gmail.com"
    page = alice.get(f"{PATH}?limit=1").get_json()
    assert [each["id"] for each in page["items"]] == [second]
    assert [each["id"] for each in listed(alice, f"?cursor={page['next_cursor']}")] == [first]
    assert listed(bob) == []


def test_administrators_list_those_of_a_user(app: Flask, alice: Caller, admin: Caller) -> None:
    mine = give_identity(app, alice.id)
    path = f"/api/v1/users/{alice.id}/identities"
    assert [each["id"] for each in admin.get(path).get_json()["items"]] == [mine]
    assert alice.get(path).status_code == 403
    missing = f"/api/v1/users/{new_id()}/identities"
    assert_problem(admin.get(missing), 404, "user_not_found")


def test_the_sign_in_status_names_providers_as_ways_in(
    app: Flask, alice: Caller, admin: Caller
) -> None:
    path = f"/api/v1/users/{alice.id}/sign-in-status"
    change_user(app, alice.id, password_hash=None)
    status = admin.get(path).get_json()
    assert (status["providers"], status["reasons"]) == ([], ["no_password"])
    give_identity(app, alice.id)
    status = admin.get(path).get_json()
    assert (status["providers"], status["reasons"]) == (["google"], [])
    shown = app.test_cli_runner(capture="fd").invoke(args=["users", "why", "alice"])
    assert "Other providers that open the account: google." in shown.output
    with app.app_context():
        change_provider("google", {"enabled": False}, actor=OPERATOR, request=RequestInfo())
    assert admin.get(path).get_json()["can_sign_in"] is False


def test_a_provider_that_is_off_or_gone_is_named_as_such(app: Flask, alice: Caller) -> None:
    give_identity(app, alice.id, slug="work", name="Work", issuer=OTHER)
    with app.app_context():
        change_provider("work", {"enabled": False}, actor=OPERATOR, request=RequestInfo())
    (off,) = listed(alice)
    assert (off["provider"], off["provider_name"], off["usable"]) == ("work", "Work", False)
    # Of two providers of one issuer, the enabled one.
    ensure_provider(app, "again", name="Work again", issuer=OTHER)
    assert [each["provider"] for each in listed(alice)] == ["again"]
    with app.app_context():
        for slug in ("work", "again"):
            delete_provider(slug, actor=OPERATOR, request=RequestInfo())
    (gone,) = listed(alice)
    shown = (gone["provider"], gone["provider_name"], gone["usable"])
    assert shown == (None, "id.example.com", False)


def test_an_identity_is_unlinked_and_other_sessions_end(app: Flask, alice: Caller) -> None:
    mailbox = open_mailbox(app)
    other = sign_in(app.test_client(), "alice", user=alice.user).tokens["session_id"]
    mine = give_identity(app, alice.id, subject="subject-there")
    assert alice.delete(f"{PATH}/{mine}").status_code == 204
    assert listed(alice) == []
    assert session_row(app, other)["revoke_reason"] == "factor_removed"
    assert live_session_row(app, alice.session_id)["revoked_at"] is None
    (event,) = audit_trail(app, "identity.unlinked")
    assert event["details"] == {"provider": "google"}
    work(app)
    letter = mailbox.to(alice.user["email"])[-1]
    assert letter.subject == "Sign-in by another provider was removed"
    assert 'The account at "Google" is not linked to your account any more.' in letter.text
    assert "subject-there" not in letter.text


def test_one_of_a_provider_that_is_gone_can_be_unlinked(app: Flask, alice: Caller) -> None:
    mine = give_identity(app, alice.id, slug="work", issuer=OTHER)
    with app.app_context():
        delete_provider("work", actor=OPERATOR, request=RequestInfo())
    assert alice.delete(f"{PATH}/{mine}").status_code == 204
    (event,) = audit_trail(app, "identity.unlinked")
    assert event["details"] == {"issuer": OTHER}


def test_another_users_identity_is_not_found(app: Flask, alice: Caller, bob: Caller) -> None:
    theirs = give_identity(app, bob.id)
    assert_problem(alice.delete(f"{PATH}/{theirs}"), 404, "identity_not_found")
    assert len(listed(bob)) == 1


def test_with_a_second_factor_one_factor_unlinks_nothing(app: Flask, alice: Caller) -> None:
    mine = give_identity(app, alice.id)
    give_passkey(app, alice.id)
    assert_problem(alice.delete(f"{PATH}/{mine}"), 401, "step_up_required")
    raise_caller(app, alice)
    assert alice.delete(f"{PATH}/{mine}").status_code == 204


def test_the_session_is_checked_again_beside_other_changes(app: Flask, alice: Caller) -> None:
    """The check before the call may be outdated by a simultaneous call."""
    mine = UUID(give_identity(app, alice.id))
    with app.app_context():
        actor = Actor(user=ref_of(get_user(alice.id)), session_id=alice.session_id)

    def unlink() -> None:
        with app.app_context():
            unlink_identity(actor.signed_in_user, mine, actor=actor, request=RequestInfo())

    give_passkey(app, alice.id)
    with pytest.raises(StepUpRequiredError):
        unlink()
    change_session(app, alice.session_id, revoked_at=now())
    with pytest.raises(SessionRevokedError):
        unlink()
    assert find_identity_ids(app, alice.id) == [mine]


def test_the_last_credential_stays(app: Flask, alice: Caller) -> None:
    change_user(app, alice.id, password_hash=None)
    google, work_ = (
        give_identity(app, alice.id),
        give_identity(app, alice.id, slug="work", issuer=OTHER),
    )
    with app.app_context():
        change_provider("work", {"enabled": False}, actor=OPERATOR, request=RequestInfo())
    assert_problem(alice.delete(f"{PATH}/{google}"), 409, "last_credential")
    assert alice.delete(f"{PATH}/{work_}").status_code == 204
    give_passkey(app, alice.id)
    raise_caller(app, alice)
    assert alice.delete(f"{PATH}/{google}").status_code == 204


def test_an_identity_at_a_disabled_provider_keeps_no_passkey_removable(
    app: Flask, alice: Caller
) -> None:
    change_user(app, alice.id, password_hash=None)
    give_identity(app, alice.id)
    path = f"{PASSKEYS}/{passkey_row(app, give_passkey(app, alice.id))['id']}"
    raise_caller(app, alice)
    for is_enabled, status in ((False, 409), (True, 204)):
        with app.app_context():
            changes = {"enabled": is_enabled}
            change_provider("google", changes, actor=OPERATOR, request=RequestInfo())
        assert alice.delete(path).status_code == status


def test_a_pending_sign_in_ends_with_the_identity(make_app: Callable[..., Flask]) -> None:
    """Its first step may have been the identity."""
    app = make_app(features=("pages", "federation"), email_verification=EmailVerification.OFF)
    alice = register_caller(app, "alice")
    phone = add_app(app, alice)
    token = first_step(app.test_client(), "alice")
    mine = give_identity(app, alice.id)
    assert alice.delete(f"{PATH}/{mine}").status_code == 204
    answer = second_step(app.test_client(), token, totp_code=phone.code(steps=1))
    assert_problem(answer, 401, "mfa_token_invalid")


def link(app: Flask, user_id: UUID, *, notified_email: str | None) -> bool:
    ensure_provider(app)
    person = ProviderIdentity(issuer=GOOGLE, subject="subject-there", email="alice@gmail.com")
    with app.app_context(), transaction():
        user = ref_of(lock_user(user_id))
        return add_identity(
            user,
            person,
            provider=get_provider("google"),
            notified_email=notified_email,
            actor=VISITOR,
            request=RequestInfo(),
            now=now(),
        )


def test_a_link_is_recorded_and_its_owner_gets_a_mail(app: Flask, alice: Caller) -> None:
    mailbox, email = open_mailbox(app), alice.user["email"]
    assert link(app, alice.id, notified_email=email)
    assert not link(app, alice.id, notified_email=email), "it is there already"
    (event,) = audit_trail(app, "identity.linked")
    assert event["details"] == {"provider": "google"}
    work(app)
    letters = [each for each in mailbox.to(email) if "provider" in each.subject]
    assert [each.subject for each in letters] == ["You can sign in with another provider now"]
    assert 'An account at "Google" was linked to your account.' in letters[0].text
    assert "alice@gmail.com" not in letters[0].text


def test_an_account_that_is_opened_with_it_gets_no_notice(app: Flask, alice: Caller) -> None:
    mailbox = open_mailbox(app)
    assert link(app, alice.id, notified_email=None)
    work(app)
    assert "provider" not in "".join(each.subject for each in mailbox.to(alice.user["email"]))


@both_databases
def test_of_the_two_last_credentials_removed_at_once_one_stays(app: Flask, alice: Caller) -> None:
    change_user(app, alice.id, password_hash=None)
    identity_id = give_identity(app, alice.id)
    passkey_id = passkey_row(app, give_passkey(app, alice.id))["id"]
    raise_caller(app, alice)

    def remove(path: str) -> tuple[int, str]:
        own = Caller(app.test_client(), alice.user, alice.tokens)
        answer = persistently(lambda: own.delete(path))
        return answer.status_code, (answer.get_json(silent=True) or {}).get("code", "")

    paths = [f"{PATH}/{identity_id}", f"{PASSKEYS}/{passkey_id}"] * (CROWD // 2)
    answers = Counter(all_at_once([partial(remove, path) for path in paths]))
    # The removed one is not found again; the other one is refused.
    assert answers.pop((204, "")) == 1
    assert answers.pop((409, "last_credential")) == CROWD // 2
    assert {code for _, code in answers} <= {"identity_not_found", "factor_not_found"}


@both_databases
def test_of_the_two_last_identities_unlinked_at_once_one_stays(app: Flask, alice: Caller) -> None:
    change_user(app, alice.id, password_hash=None)
    paths = [f"{PATH}/{give_identity(app, alice.id)}" for _ in range(2)]

    def unlink(path: str) -> int:
        own = Caller(app.test_client(), alice.user, alice.tokens)
        return persistently(lambda: own.delete(path)).status_code

    answers = Counter(all_at_once([partial(unlink, path) for path in paths * (CROWD // 2)]))
    assert answers[204] == 1
    assert len(listed(alice)) == 1
