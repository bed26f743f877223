"""The step-up: giving a proof again."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import update

from authserve.core.actor import OPERATOR
from authserve.core.clock import now
from authserve.core.levels import Level
from authserve.database.transactions import transaction
from authserve.federation.configuration import ProviderConfiguration
from authserve.federation.identities import ProviderIdentity, link_identity
from authserve.federation.presets import Preset
from authserve.federation.registry import add_provider
from authserve.pages.blueprint import path_to_target
from authserve.users.models import User
from tests.factories import REQUEST
from tests.support.browsing import Shown, Visit
from tests.support.clients import PASSWORD, Caller, register_caller
from tests.support.factors import break_totp, give_recovery_codes, give_totp
from tests.support.passkeys import give_passkey
from tests.support.rows import audit_trail, change_session, change_user, live_session_row
from tests.support.second_steps import wrong_code
from tests.support.totp import code_at

CONFIRM = "/account/confirm"

APP = "/account/sign-in-methods/totp"
"""A page that needs a recent proof."""


def raise_visit(app: Flask, visit: Visit, level: Level = Level.AAL2) -> None:
    """Raise a browser's session past the service."""
    change_session(app, visit.session_id, aal=level)


def test_a_password_freshens_a_session_of_one_factor(
    clock: time_machine.Traveller, app: Flask, visit: Visit, alice: Caller
) -> None:
    visit.sign_in()
    clock.shift(timedelta(minutes=4))
    shown = visit.fill(CONFIRM, password=PASSWORD)
    assert shown.title.startswith("Your account")
    row = live_session_row(app, visit.session_id)
    assert (row["auth_time"], row["aal"]) == (now(), Level.AAL1)
    event = audit_trail(app, "session.reauthenticated")[-1]
    assert event["details"] == {
        "session_id": str(visit.session_id),
        "amr": ["pwd"],
        "acr": "aal1",
    }


@pytest.mark.parametrize("remember", [{}, {"remember": "1"}], ids=["window", "remembered"])
def test_it_rotates_the_cookie(visit: Visit, alice: Caller, remember: dict[str, str]) -> None:
    visit.sign_in(**remember)
    before, page = visit.cookie(), visit.open(CONFIRM)
    shown = visit.send(CONFIRM, {**page.form(CONFIRM), "password": PASSWORD})
    assert visit.cookie() not in (before, None)
    assert ("Max-Age" in shown.headers["Set-Cookie"]) is bool(remember)
    # The former secret is good for another tab's page, whose form is good too.
    after = visit.cookie()
    visit.client.set_cookie("authserve", before or "")
    again = visit.send(CONFIRM, {**page.form(CONFIRM), "password": PASSWORD})
    assert (again.status, "Set-Cookie" in again.headers) == (303, False)
    visit.client.set_cookie("authserve", after or "")
    assert visit.open("/account").status == 200


def test_a_former_cookie_is_no_session_after_ten_seconds(
    clock: time_machine.Traveller, visit: Visit, alice: Caller
) -> None:
    visit.sign_in()
    former = visit.cookie()
    visit.fill(CONFIRM, password=PASSWORD)
    newer = visit.cookie()
    clock.shift(11)
    visit.client.set_cookie("authserve", former or "")
    late = visit.open("/account")
    assert late.location.startswith("/sign-in?")
    # A slow tab's answer must not take the newer cookie away.
    assert "Set-Cookie" not in late.headers
    visit.client.set_cookie("authserve", newer or "")
    assert visit.open("/account").status == 200


def test_a_former_cookie_opens_nothing_that_needs_the_proof_after_it(
    clock: time_machine.Traveller, visit: Visit, alice: Caller
) -> None:
    visit.sign_in()
    stolen = visit.cookie()
    clock.shift(timedelta(minutes=5))
    visit.fill(CONFIRM, password=PASSWORD)
    assert visit.open(APP).status == 200
    visit.client.set_cookie("authserve", stolen or "")
    assert visit.open(APP).location.startswith(f"{CONFIRM}?")


def test_a_session_of_two_factors_needs_both(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    secret = give_totp(app, alice.id)
    raise_visit(app, visit)
    page = visit.open(CONFIRM)
    action = f"{CONFIRM}?method=totp"
    assert set(page.form(action)) == {"token", "username", "password", "code"}
    shown = visit.send(CONFIRM, {**page.form(action), "password": PASSWORD, "code": ""})
    assert (shown.status, shown.alert) == (422, "Confirm with your second factor, too.")
    code = code_at(secret, now())
    fields = {**page.form(action), "password": PASSWORD, "code": f"{code[:3]} {code[3:]}"}
    assert visit.send(action, fields).location == "/account"
    shown = visit.send(action, fields)
    assert shown.fault("code") == "That code was used already. Wait for the next one."
    assert code not in shown.html


def test_a_wrong_code_is_named_at_its_field(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    secret = give_totp(app, alice.id)
    raise_visit(app, visit)
    shown = visit.fill(CONFIRM, password=PASSWORD, code=wrong_code(secret))
    assert (shown.status, shown.fault("code")) == (
        422,
        "That code is not right. Codes change every 30 seconds: wait for the next one.",
    )


def test_a_recovery_code_has_its_own_form(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    give_totp(app, alice.id)
    (code,) = give_recovery_codes(app, alice.id)
    raise_visit(app, visit)
    action = f"{CONFIRM}?method=recovery-code"
    assert action in visit.open(CONFIRM).html
    assert "code" not in visit.open(action).form(action)
    wrong = visit.fill(action, password=PASSWORD, recovery_code="7Q0D-4RTY")
    assert (
        wrong.fault("recovery_code") == "That recovery code is not right, or it was used already."
    )
    assert "7Q0D" not in wrong.html
    assert visit.fill(action, password=PASSWORD, recovery_code=code).title.startswith(
        "Your account"
    )
    assert audit_trail(app, "session.reauthenticated")[-1]["details"]["amr"] == ["pwd", "rcv"]


PASSKEY = f"{CONFIRM}?method=passkey"


def test_a_passkey_is_enough_and_a_session_by_one_needs_it(
    clock: time_machine.Traveller, app: Flask, visit: Visit, alice: Caller, bob: Caller
) -> None:
    visit.sign_in()
    key, other = give_passkey(app, alice.id), give_passkey(app, bob.id)
    give_totp(app, alice.id)
    raise_visit(app, visit, Level.PHR)
    clock.shift(timedelta(minutes=4))
    shown = visit.open(CONFIRM)
    assert set(shown.form(PASSKEY)) == {"token", "credential"}
    assert "method=totp" not in shown.html
    for answer in ("", "[]", json.dumps(other.get(shown.passkey_options))):
        shown = visit.give(shown, credential=answer)
        assert shown.alert == "The passkey was not used. Try again, or choose another way."
    done = visit.give(shown, credential=json.dumps(key.get(shown.passkey_options)))
    assert done.title.startswith("Your account")
    assert live_session_row(app, visit.session_id)["auth_time"] == now()
    assert audit_trail(app, "session.reauthenticated")[-1]["details"]["amr"] == ["pop"]


def test_a_passkey_answers_the_options_of_its_session_alone(
    app: Flask, visit: Visit, alice: Caller
) -> None:
    key, other = give_passkey(app, alice.id), Visit(app)
    visit.sign_in()
    other.sign_in()
    answer = key.get(other.open(PASSKEY).passkey_options)
    shown = visit.give(visit.open(PASSKEY), credential=json.dumps(answer))
    assert shown.alert == "The passkey was not used. Try again, or choose another way."


def test_a_session_of_one_factor_offers_the_password_first(
    app: Flask, visit: Visit, alice: Caller
) -> None:
    visit.sign_in()
    give_passkey(app, alice.id)
    shown = visit.open(CONFIRM)
    assert "password" in shown.form(CONFIRM)
    assert f'href="{PASSKEY}"' in shown.html
    assert f'href="{CONFIRM}"' in visit.open(PASSKEY).html
    shown = visit.open(f"{CONFIRM}?method=%3Cb%3E")
    assert "password" in shown.form(CONFIRM)


def test_an_account_without_a_password_uses_its_passkey(
    app: Flask, visit: Visit, alice: Caller
) -> None:
    visit.sign_in()
    key = give_passkey(app, alice.id)
    change_user(app, alice.id, password_hash=None)
    shown = visit.open(CONFIRM)
    done = visit.give(shown, credential=json.dumps(key.get(shown.passkey_options)))
    assert done.title.startswith("Your account")


def test_a_session_below_its_need_is_raised(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    secret = give_totp(app, alice.id)
    assert visit.open("/account").location.startswith("/sign-in?")
    shown = visit.fill(CONFIRM, password=PASSWORD, code=code_at(secret, now()))
    assert shown.title.startswith("Your account")


def test_the_wrong_password_is_named_and_throttled(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    for _ in range(5):
        shown = visit.fill(CONFIRM, password="wrong password 12")
        assert (shown.status, shown.fault("password")) == (422, "The password is wrong.")
    shown = visit.fill(CONFIRM, password=PASSWORD)
    assert (shown.status, shown.headers["Retry-After"]) == (429, "30")
    assert shown.alert == "There were too many attempts. Wait 30 seconds, then try again."


def test_it_counts_with_the_calls_of_the_api(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), ratelimit_enabled=True)
    alice, visit = register_caller(app, "alice"), Visit(app)
    visit.sign_in()
    for _ in range(10):
        alice.post("/api/v1/auth/reauthenticate", json={"password": PASSWORD})
    assert visit.fill(CONFIRM, password=PASSWORD).status == 429


def test_an_unavailable_secret_is_explained(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    secret = give_totp(app, alice.id)
    raise_visit(app, visit)
    break_totp(app)
    shown = visit.fill(CONFIRM, password=PASSWORD, code=code_at(secret, now()))
    assert (shown.status, "Retry-After" in shown.headers) == (503, True)
    assert shown.alert.startswith("Codes cannot be checked right now.")


def test_an_account_without_a_proof_signs_in_again(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    change_user(app, alice.id, password_hash=None)
    shown = visit.open(CONFIRM)
    assert shown.forms == []
    assert 'href="/sign-in?switch=1"' in shown.html


@pytest.mark.parametrize("token", ["", "00" * 32])
def test_it_needs_the_token_of_the_session(visit: Visit, alice: Caller, token: str) -> None:
    visit.sign_in()
    assert visit.send(CONFIRM, {"password": PASSWORD, "token": token}).status == 403


@pytest.mark.parametrize("field", ["surprise", "totp_code", "credential"])
def test_an_unknown_field_is_refused(visit: Visit, alice: Caller, field: str) -> None:
    visit.sign_in()
    fields = visit.open(CONFIRM).form(CONFIRM)
    assert visit.send(CONFIRM, {**fields, "password": PASSWORD, field: "1"}).status == 422


@pytest.fixture
def federated(make_app: Callable[..., Flask]) -> Flask:
    """An application with a provider that opens Alice's account, and one that does not."""
    app = make_app(features=("pages", "federation"))
    alice = register_caller(app, "alice")
    identity = ProviderIdentity(issuer="https://id.example.com", subject="7", email=None)
    with app.app_context():
        for slug in ("linked", "other"):
            configuration = ProviderConfiguration(
                preset=Preset.OIDC,
                name=slug.title(),
                issuer=f"https://{slug.replace('linked', 'id')}.example.com",
                client_id="authserve",
                scopes=("openid",),
            )
            add_provider(slug, configuration, secret="x", actor=OPERATOR, request=REQUEST)
        with transaction():
            link_identity(alice.id, identity, now=now())
    return app


def provider_forms(shown: Shown) -> list[str]:
    """Return the paths of the forms that lead to providers."""
    paths = [each.get("action", "") for each in shown.tree.iter("form")]
    return [path for path in paths if "/sign-in/with/" in path]


def test_a_linked_provider_is_another_way_to_confirm(
    federated: Flask, clock: time_machine.Traveller
) -> None:
    visit = Visit(federated)
    visit.sign_in(remember="1")
    clock.shift(timedelta(minutes=6))
    shown = visit.follow(visit.open(APP))
    (path,) = provider_forms(shown)
    form = shown.form(path)
    assert (path, form["remember"]) == ("/sign-in/with/linked", "1")
    # The sign-in is fresh, so the person goes straight on.
    with federated.test_request_context():
        assert path_to_target(form["continue"]) == APP


def test_without_a_password_it_is_the_first_way(federated: Flask) -> None:
    visit = Visit(federated)
    visit.sign_in()
    with federated.app_context(), transaction() as session:
        session.execute(update(User).values(password_hash=None))
    shown = visit.open(CONFIRM)
    assert "Sign in once more with a service" in shown.text
    assert "nothing to confirm with" not in shown.text


def test_one_factor_is_not_offered_where_two_are_asked(federated: Flask) -> None:
    """The person would come back and be asked again."""
    visit = Visit(federated)
    visit.sign_in()
    assert provider_forms(visit.open(f"{CONFIRM}?level=aal2")) == []
    with federated.app_context(), transaction() as session:
        session.execute(update(User).values(mfa_enabled=True))
    # Then the second factor is asked after the provider.
    assert provider_forms(visit.open(f"{CONFIRM}?level=aal2")) == ["/sign-in/with/linked"]
