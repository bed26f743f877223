"""The passkeys of an account, by the forms; the script fills the field `credential`."""

import json
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from flask import Flask

from authserve.core.clock import now
from authserve.core.levels import Level
from authserve.settings.model import EmailVerification, Mfa
from tests.support.authenticator import Authenticator
from tests.support.browsing import Shown, Visit
from tests.support.clients import Caller, register_caller
from tests.support.crowd import all_at_once
from tests.support.mail import Mailbox, open_mailbox
from tests.support.passkeys import ORIGIN, change_passkey, give_passkey, passkey_row
from tests.support.rows import audit_trail, change_session, change_user, count_sessions
from tests.support.totp import mailed_code

METHODS = "/account/sign-in-methods"
ADD = f"{METHODS}/passkeys/add"


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return open_mailbox(app)


@pytest.fixture
def key(app: Flask, visit: Visit, alice: Caller) -> Authenticator:
    """A passkey of Alice, who has signed in with two factors."""
    visit.sign_in()
    key = give_passkey(app, alice.id, name="Phone")
    change_session(app, visit.session_id, aal=Level.PHR)
    return key


def path_of(app: Flask, key: Authenticator) -> str:
    return f"{METHODS}/passkeys/{passkey_row(app, key)['id']}"


def answer_to(shown: Shown) -> str:
    """Return the answer of a new passkey to the options of a page."""
    (form,) = [each for each in shown.tree.iter("form") if each.get("data-passkey") == "create"]
    return json.dumps(Authenticator(ORIGIN).create(json.loads(form.attrib["data-options"])))


def test_a_first_passkey_needs_a_mailed_code_and_brings_recovery_codes(
    app: Flask, visit: Visit, alice: Caller, mailbox: Mailbox
) -> None:
    visit.sign_in()
    page = visit.open(ADD)
    assert "data-passkey" not in page.html
    begun = visit.give(page)
    mailed, answer = mailed_code(app, mailbox, alice), answer_to(begun)
    assert visit.give(begun, credential=answer).fault("email_code") == "Fill this in."
    wrong = visit.give(begun, credential=answer, email_code="00000000")
    assert wrong.fault("email_code").startswith("That code is wrong")
    # The challenge was not spent, but the page has another one.
    answer = answer_to(wrong)
    done = visit.give(wrong, credential=answer, email_code=mailed, name="Laptop")
    assert done.title.startswith("Save your recovery codes")
    shown = visit.open(METHODS)
    assert "Laptop" in shown.text
    assert "Your password alone opens your account." in shown.text
    again = visit.send(ADD, {**wrong.form(ADD), "credential": answer, "email_code": mailed})
    # It is a change of an account with a factor by now.
    assert again.location.startswith("/account/confirm?level=aal2")
    assert len(audit_trail(app, "factor.added")) == 1


def test_a_further_one_needs_no_mailed_code(
    app: Flask, visit: Visit, alice: Caller, key: Authenticator
) -> None:
    page = visit.open(ADD)
    assert page.form(ADD)["name"] == "Firefox"
    assert "email_code" not in page.form(ADD)
    for bad in ("{}", "[]", "x", json.dumps({"id": "x"})):
        refused = visit.give(page, credential=bad)
        assert (refused.status, refused.alert.startswith("The passkey was not used.")) == (
            422,
            True,
        )
    done = visit.give(page, credential=answer_to(page), name="Laptop")
    # Alice has no recovery codes yet.
    assert done.title.startswith("Save your recovery codes")
    page = visit.open(ADD)
    assert "The passkey is added." in visit.give(page, credential=answer_to(page)).text


def test_of_two_answers_at_once_one_counts(app: Flask, visit: Visit, key: Authenticator) -> None:
    page, cookie = visit.open(ADD), visit.cookie() or ""
    fields = {**page.form(ADD), "credential": answer_to(page)}

    def add() -> Shown:
        tab = Visit(app)
        tab.client.set_cookie("authserve", cookie)
        return tab.send(ADD, fields)

    shown = all_at_once([add] * 4)
    assert sorted(each.status for each in shown) == [200, 422, 422, 422]


def test_where_one_is_required_the_first_turns_it_on_and_rotates_the_cookie(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(
        features=("pages",),
        email_verification=EmailVerification.OFF,
        mfa=Mfa.REQUIRED,
        mfa_enroll_by=now() + timedelta(days=1),
    )
    alice, visit = register_caller(app, "alice"), Visit(app)
    visit.sign_in()
    page, cookie = visit.open(ADD), visit.cookie()
    done = visit.give(page, credential=answer_to(page))
    assert done.title.startswith("Save your recovery codes")
    assert visit.cookie() not in (cookie, None)
    assert visit.open(METHODS).status == 200
    assert alice.get("/api/v1/users/me").status_code == 401


def test_ten_are_all(app: Flask, visit: Visit, alice: Caller, key: Authenticator) -> None:
    page = visit.open(ADD)
    for _ in range(9):
        give_passkey(app, alice.id)
    refused = visit.give(page, credential=answer_to(page))
    assert refused.alert.startswith("An account can have ten passkeys.")
    assert ADD not in visit.open(METHODS).html


def test_it_is_shown_renamed_and_removed(
    app: Flask, visit: Visit, alice: Caller, key: Authenticator
) -> None:
    path = path_of(app, key)
    page = visit.open(path)
    assert page.form(path)["name"] == "Phone"
    long = visit.give(page, name="x" * 65)
    assert (long.status, long.fault("name") != "") == (422, True)
    assert visit.give(page, name="").fault("name") == "Fill this in."
    assert "The passkey has its new name." in visit.give(page, name="<b>My phone</b>").text
    asked = visit.open(f"{path}/remove")
    assert "Remove the passkey <b>My phone</b>?" in asked.text
    assert "your recovery codes stop working" in asked.text
    done = visit.give(asked)
    assert "The passkey is removed." in done.text
    assert count_sessions(app, revoked_at=None) == 1
    for gone in (visit.open(path), visit.send(path, page.form(path))):
        assert gone.status == 404


def test_a_blocked_one_is_accepted_by_its_owner(
    app: Flask, visit: Visit, key: Authenticator
) -> None:
    change_passkey(app, key, flagged_at=now())
    assert "Blocked" in visit.open(METHODS).text
    path = path_of(app, key)
    page = visit.open(path)
    (accept, _rename) = [
        {field.attrib["name"]: field.get("value", "") for field in form.iter("input")}
        for form in page.tree.iterfind(".//main//form")
    ]
    assert "The passkey works again." in visit.follow(visit.send(path, accept)).text
    assert passkey_row(app, key)["flagged_at"] is None


def test_the_only_way_in_is_not_removed(
    app: Flask, visit: Visit, alice: Caller, key: Authenticator
) -> None:
    change_user(app, alice.id, password_hash=None)
    refused = visit.fill(f"{path_of(app, key)}/remove")
    assert refused.alert == "Nothing else would open this account. Set a password first."


def test_a_strangers_passkey_is_not_there(
    app: Flask, visit: Visit, key: Authenticator, bob: Caller
) -> None:
    fields = visit.open(ADD).form(ADD)
    token = {"token": fields["token"]}
    for path in (path_of(app, give_passkey(app, bob.id)), f"{METHODS}/passkeys/{uuid4()}"):
        for shown in (
            visit.open(path),
            visit.open(f"{path}/remove"),
            visit.send(path, {**token, "name": "Mine"}),
            visit.send(f"{path}/remove", token),
        ):
            assert shown.status == 404
    assert audit_trail(app, "factor.removed") == []


def test_without_passkeys_there_is_no_page(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), passkey_rp_id="")
    register_caller(app, "alice")
    visit = Visit(app)
    visit.sign_in()
    assert visit.open(ADD).status == 404
    assert ADD not in visit.open(METHODS).html


@pytest.mark.parametrize("end", ["", "/remove"])
def test_a_change_needs_a_recent_proof(
    clock: time_machine.Traveller, app: Flask, visit: Visit, key: Authenticator, end: str
) -> None:
    path = path_of(app, key) + end
    fields = visit.open(path).form(path)
    clock.shift(timedelta(minutes=6))
    for target in (path, ADD):
        for shown in (visit.open(target), visit.send(target, fields)):
            assert shown.location.startswith("/account/confirm?level=aal2")
    assert passkey_row(app, key)["name"] == "Phone"
