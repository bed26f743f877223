"""Every way in by pages: the same verdict as by the API, for each need of an account.

Each row plays the way that has the same name in the table of `test_ways_in.py`.
"""

import json
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from flask import Flask

from authserve.core.clock import now
from authserve.core.levels import Level
from tests.flows.test_ways_in import WAYS, Need, Scene
from tests.support.authenticator import Authenticator
from tests.support.browsing import Shown, Visit
from tests.support.clients import PASSWORD
from tests.support.identities import give_identity
from tests.support.mail import work
from tests.support.provider_sign_in import LOOPBACK, SLUG, register_server, set_out
from tests.support.providers import provider_server
from tests.support.rows import live_session_row
from tests.support.totp import code_at, mailed_code

SECOND_STEP, SET_UP = "/sign-in/second-step", "/sign-in/set-up"

VERDICTS = {SECOND_STEP: "mfa_required", SET_UP: "mfa_enrollment_required"}
"""The API's code for each page to which a first step leads."""

Play = Callable[[Scene, Visit], Shown | None]


def sign_in(_scene: Scene, visit: Visit) -> Shown:
    return visit.send("/sign-in", {"identifier": "alice", "password": PASSWORD})


def begin(scene: Scene, visit: Visit, path: str) -> Shown | None:
    """Return the page after the password, if it is this one."""
    answer = sign_in(scene, visit)
    is_there = urlsplit(answer.location).path == path
    return visit.follow(answer) if is_there else None


def answer_of(key: Authenticator, shown: Shown) -> str:
    """Return a passkey's answer to the options in a page."""
    (form,) = [each for each in shown.tree.iter("form") if "data-options" in each.attrib]
    options = json.loads(form.attrib["data-options"])
    key.rp_id = options["rpId"]
    return json.dumps(key.get(options))


def verify_with_code(scene: Scene, visit: Visit) -> Shown | None:
    shown = begin(scene, visit, SECOND_STEP)
    if shown is None:
        return None
    fields = {**shown.form(), "code": code_at(scene.secret, now())}
    fields.pop("credential")
    return visit.send(f"{SECOND_STEP}/totp", fields)


def verify_with_passkey(scene: Scene, visit: Visit) -> Shown | None:
    shown = begin(scene, visit, SECOND_STEP)
    if shown is None or scene.key is None:
        return None
    fields = {**shown.form(), "credential": answer_of(scene.key, shown)}
    return visit.send(f"{SECOND_STEP}/passkey", fields)


def enroll(scene: Scene, visit: Visit) -> Shown | None:
    methods = begin(scene, visit, SET_UP)
    if methods is None:
        return None
    shown = visit.give(methods)
    secret = shown.form()["secret"]
    email_code = mailed_code(scene.app, scene.mailbox, scene.alice)
    return visit.give(shown, code=code_at(secret, now()), email_code=email_code)


def sign_in_with_passkey(scene: Scene, visit: Visit) -> Shown | None:
    if scene.key is None:
        return None
    credential = answer_of(scene.key, visit.open("/sign-in"))
    return visit.send("/sign-in/passkey", {"credential": credential})


def sign_in_by_mail(scene: Scene, visit: Visit) -> Shown:
    asked = visit.fill("/sign-in/email-code", email="alice@example.com")
    work(scene.app)
    mails = [letter for letter in scene.mailbox.letters if "code" in letter.subject.lower()]
    digits = [word for mail in mails for word in mail.text.split() if word.isdigit()]
    code = next((word for word in digits if len(word) == 8), "00000000")
    return visit.send("/sign-in/email-code/verify", {**asked.form(), "code": code})


PLAYS: dict[str, Play] = {
    "password": sign_in,
    "password and code": verify_with_code,
    "password and passkey": verify_with_passkey,
    "password and first factor": enroll,
    "passkey": sign_in_with_passkey,
    "mailed code": sign_in_by_mail,
}


def outcome(app: Flask, visit: Visit, shown: Shown | None) -> str | None:
    """Return what an answer gives: a level, or the API's code of the refusal."""
    if shown is None:
        return None
    if visit.cookie() is not None:
        return Level(live_session_row(app, visit.session_id)["aal"]).acr
    if shown.status == 422:
        assert shown.fault("code").startswith("That code is wrong")
        return "invalid_code"
    return VERDICTS[urlsplit(shown.location).path]


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with pages and every way to sign in."""
    return make_app(email_sign_in=True, features=("pages",))


@pytest.mark.parametrize("name", PLAYS)
@pytest.mark.parametrize("need", Need)
def test_a_way_leads_where_the_way_of_the_api_leads(app: Flask, need: Need, name: str) -> None:
    way, scene, visit = WAYS[name], Scene(app, need), Visit(app)
    expected = {
        Need.ONE_FACTOR: way.one_factor,
        Need.SECOND_FACTOR: way.second_factor,
        Need.ENROLLMENT: way.enrollment,
    }
    assert outcome(app, visit, PLAYS[name](scene, visit)) == expected[need]


@pytest.mark.parametrize("need", Need)
def test_a_provider_leads_where_a_password_leads(
    make_app: Callable[..., Flask], need: Need
) -> None:
    """No call of the API signs in by a provider, so no row of its table does."""
    app = make_app(features=("pages", "federation"), outbound_hosts=LOOPBACK)
    scene, visit, way = Scene(app, need), Visit(app), WAYS["password"]
    expected = {
        Need.ONE_FACTOR: way.one_factor,
        Need.SECOND_FACTOR: way.second_factor,
        Need.ENROLLMENT: way.enrollment,
    }
    with provider_server() as server:
        register_server(app, server)
        person = {"subject": str(server.claims["sub"]), "issuer": server.issuer, "slug": SLUG}
        give_identity(app, scene.alice.id, **person)
        shown = set_out(visit, server).come_back()
    assert outcome(app, visit, shown) == expected[need]
    if need is Need.ENROLLMENT:
        made = visit.give(visit.follow(shown))
        code = code_at(made.form()["secret"], now())
        email_code = mailed_code(app, scene.mailbox, scene.alice)
        done = visit.give(made, code=code, email_code=email_code)
        assert outcome(app, visit, done) == WAYS["password and first factor"].enrollment


def test_every_way_to_sign_in_has_a_page() -> None:
    sign_ins = {"/auth/login", "/auth/mfa", "/auth/passkey", "/auth/email-code"}
    names = {name for name, way in WAYS.items() if any(part in way.call for part in sign_ins)}
    assert names == set(PLAYS)
