"""Every way to tokens, for each need of an account: no way is easier than another (ASVS 6.3.4).

The table is compared with the OpenAPI document: a call whose answer can hold tokens and that has no
row fails, and so does a call of `start_session` from a module that has none.
"""

import ast
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from authserve.auth.provider_sign_in import ProvenIdentity, start_session_with_provider
from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.core.levels import Level
from authserve.http.openapi_document import OPENAPI
from authserve.mfa.errors import SecondStepRequiredError
from tests.architecture.sources import PACKAGE, parse, source_files
from tests.support.authenticator import Authenticator
from tests.support.clients import PASSWORD, Caller, login, register_caller
from tests.support.factors import give_totp, switch_mfa_on
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.passkeys import ORIGIN, give_passkey, passkey_login
from tests.support.rows import change_session, change_user
from tests.support.second_steps import second_step, verification_answer
from tests.support.tokens import claims_of
from tests.support.totp import add_app, code_at, mailed_code

AUTH, ME = "/api/v1/auth", "/api/v1/users/me"


class Need(Enum):
    """The need of an account, and its factors."""

    ONE_FACTOR = auto()
    """`AAL1`; a factor may be there, but signing in does not ask for it."""

    SECOND_FACTOR = auto()
    """`AAL2`, with an app and a passkey."""

    ENROLLMENT = auto()
    """`AAL2`, without any factor."""


@dataclass
class Scene:
    """Alice with a session of her password, made before her account needed more.

    Args:
        need: of her account.
    """

    app: Flask
    need: Need
    mailbox: Mailbox = field(init=False)
    alice: Caller = field(init=False)
    secret: bytes = b""
    key: Authenticator | None = None

    def __post_init__(self) -> None:
        self.mailbox = open_mailbox(self.app)
        self.alice = register_caller(self.app, "alice")
        change_user(self.app, self.alice.id, email_verified=True)
        if self.need is Need.ENROLLMENT:
            switch_mfa_on(self.app, self.alice.id)
            return
        self.key = give_passkey(self.app, self.alice.id)
        if self.need is Need.SECOND_FACTOR:
            self.secret = give_totp(self.app, self.alice.id)

    def post(self, path: str, **body: Any) -> TestResponse:
        """Call as a visitor."""
        return self.app.test_client().post(f"{AUTH}/{path}", json=body)


Play = Callable[[Scene], TestResponse | None]


def sign_in(scene: Scene) -> TestResponse:
    return login(scene.app.test_client(), "alice")


def verify_with_code(scene: Scene) -> TestResponse | None:
    begun = sign_in(scene).get_json()
    if begun.get("code") != "mfa_required":
        return None
    code = code_at(scene.secret, now())
    return second_step(scene.app.test_client(), begun["mfa_token"], totp_code=code)


def verify_with_passkey(scene: Scene) -> TestResponse | None:
    begun = sign_in(scene).get_json()
    if begun.get("code") != "mfa_required" or scene.key is None:
        return None
    token = begun["mfa_token"]
    answer = verification_answer(scene.app, token, scene.alice.id, scene.key)
    return second_step(scene.app.test_client(), token, credential=answer)


def enroll(scene: Scene) -> TestResponse | None:
    begun = sign_in(scene).get_json()
    if begun.get("code") != "mfa_enrollment_required":
        return None
    token = begun["mfa_token"]
    made = scene.post("mfa/enroll/options", mfa_token=token, method="totp").get_json()
    code = mailed_code(scene.app, scene.mailbox, scene.alice)
    app_code = code_at(made["secret"], now())
    return scene.post("mfa/enroll", mfa_token=token, totp_code=app_code, email_code=code)


def sign_in_with_passkey(scene: Scene) -> TestResponse | None:
    return scene.key and passkey_login(scene.app.test_client(), scene.key)


def sign_in_by_mail(scene: Scene) -> TestResponse:
    asked = scene.post("email-code", email="alice@example.com").get_json()
    work(scene.app)
    mails = [letter for letter in scene.mailbox.letters if "code" in letter.subject.lower()]
    digits = [word for mail in mails for word in mail.text.split() if word.isdigit()]
    code = next((word for word in digits if len(word) == 8), "00000000")
    return scene.post("email-code/verify", sign_in_token=asked["sign_in_token"], code=code)


def refresh(scene: Scene) -> TestResponse:
    return scene.post("refresh", refresh_token=scene.alice.tokens["refresh_token"])


def refresh_raised(scene: Scene) -> TestResponse:
    change_session(scene.app, scene.alice.session_id, aal=Level.AAL2)
    return refresh(scene)


def reauthenticate(scene: Scene) -> TestResponse:
    return scene.alice.post(f"{AUTH}/reauthenticate", json={"password": PASSWORD})


def step_up(scene: Scene) -> TestResponse | None:
    if not scene.secret:
        return None
    body = {"password": PASSWORD, "totp_code": code_at(scene.secret, now())}
    return scene.alice.post(f"{AUTH}/reauthenticate", json=body)


def confirm_app(scene: Scene) -> TestResponse:
    path = f"{ME}/mfa/totp"
    begun = scene.alice.post(path)
    if begun.status_code != 201:
        return begun
    made = begun.get_json()
    body = {"code": code_at(made["secret"], now())}
    if made["email_code_required"]:
        body["email_code"] = mailed_code(scene.app, scene.mailbox, scene.alice)
    return scene.alice.post(f"{path}/confirm", json=body)


def register_passkey(scene: Scene) -> TestResponse:
    begun = scene.alice.post(f"{ME}/passkeys/options", json={})
    if begun.status_code != 200:
        return begun
    body: dict[str, Any] = {
        "credential": Authenticator(ORIGIN).create(begun.get_json()["public_key"])
    }
    if begun.get_json()["email_code_required"]:
        body["email_code"] = mailed_code(scene.app, scene.mailbox, scene.alice)
    return scene.alice.post(f"{ME}/passkeys", json=body)


@dataclass(frozen=True)
class Way:
    """One way to tokens, and what it leads to: a level, or the code of a refusal.

    Args:
        call: the operation that answers.
        one_factor, second_factor, enrollment: by `Need`; None where the way is not open at all.
    """

    call: str
    play: Play
    one_factor: str | None
    second_factor: str | None
    enrollment: str | None


WAYS = {
    "password": Way("POST /auth/login", sign_in, "aal1", "mfa_required", "mfa_enrollment_required"),
    "password and code": Way("POST /auth/mfa/verify", verify_with_code, None, "aal2", None),
    "password and passkey": Way("POST /auth/mfa/verify", verify_with_passkey, None, "phr", None),
    "password and first factor": Way("POST /auth/mfa/enroll", enroll, None, None, "aal2"),
    "passkey": Way("POST /auth/passkey", sign_in_with_passkey, "phr", "phr", None),
    "mailed code": Way(
        "POST /auth/email-code/verify",
        sign_in_by_mail,
        "aal1",
        "invalid_code",
        "mfa_enrollment_required",
    ),
    "refresh": Way("POST /auth/refresh", refresh, "aal1", "step_up_required", "step_up_required"),
    "refresh at two factors": Way("POST /auth/refresh", refresh_raised, "aal2", "aal2", "aal2"),
    # The last one opens nothing but the set-up of a factor.
    "step-up by password": Way(
        "POST /auth/reauthenticate", reauthenticate, "aal1", "mfa_required", "aal1"
    ),
    "step-up by code": Way("POST /auth/reauthenticate", step_up, None, "aal2", None),
    # An account that has a factor adds another one only in a session of two factors.
    "new app": Way(
        "POST /users/me/mfa/totp/confirm",
        confirm_app,
        "step_up_required",
        "step_up_required",
        "aal2",
    ),
    "new passkey": Way(
        "POST /users/me/passkeys",
        register_passkey,
        "step_up_required",
        "step_up_required",
        "no token",
    ),
}


def outcome(response: TestResponse | None) -> str | None:
    """Return what an answer gives: a level, or the code of a refusal."""
    if response is None:
        return None
    body = response.get_json()
    if response.status_code >= 400:
        return str(body["code"])
    if "access_token" not in body:
        return "no token"
    return str(claims_of(body["access_token"])["acr"])


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with every way to sign in."""
    return make_app(email_sign_in=True)


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("need", Need)
def test_a_way_leads_where_the_table_says(app: Flask, need: Need, name: str) -> None:
    way = WAYS[name]
    expected = {
        Need.ONE_FACTOR: way.one_factor,
        Need.SECOND_FACTOR: way.second_factor,
        Need.ENROLLMENT: way.enrollment,
    }
    assert outcome(way.play(Scene(app, need))) == expected[need]


@pytest.mark.parametrize(
    ("need", "has_two_factors", "expected"),
    [
        (Need.ONE_FACTOR, False, "aal1"),
        (Need.SECOND_FACTOR, False, "mfa_required"),
        (Need.ENROLLMENT, False, "mfa_enrollment_required"),
        (Need.ONE_FACTOR, True, "aal2"),
        (Need.SECOND_FACTOR, True, "aal2"),
        (Need.ENROLLMENT, True, "aal2"),
    ],
)
def test_a_provider_leads_where_a_password_does_unless_it_is_trusted_for_two_factors(
    app: Flask, need: Need, has_two_factors: bool, expected: str
) -> None:
    """No call of the API signs a person in by a provider: only a browser comes back from one."""
    proven = ProvenIdentity(
        user_id=Scene(app, need).alice.id,
        provider="google",
        has_two_factors=has_two_factors,
        claim=bool,
    )
    with app.app_context():
        assert outcome_of_provider(proven) == expected


def outcome_of_provider(proven: ProvenIdentity) -> str:
    """Return what a provider's answer gives, as `outcome` does."""
    try:
        session, _ = start_session_with_provider(proven, device=None, request=RequestInfo())
    except SecondStepRequiredError as error:
        return str(error.code)
    return session.level.acr


def test_a_first_factor_in_a_session_of_one_factor_raises_it(app: Flask) -> None:
    """The row "new app" has a passkey already; this account has nothing."""
    alice = register_caller(app, "alice")
    add_app(app, alice)
    assert claims_of(alice.tokens["access_token"])["acr"] == "aal2"


def test_every_call_that_returns_tokens_has_a_row(app: Flask) -> None:
    with app.app_context():
        document = json.loads(OPENAPI.get().text)
    schemas = document["components"]["schemas"]
    found = set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            for status, response in operation["responses"].items():
                media = response.get("content", {}).get("application/json", {})
                name = media.get("schema", {}).get("$ref", "").rpartition("/")[2]
                has_tokens = "access_token" in schemas.get(name, {}).get("properties", {})
                if status.startswith("2") and has_tokens:
                    found.add(f"{method.upper()} {path.removeprefix('/api/v1')}")
    assert found == {way.call for way in WAYS.values()}


STARTERS = {"first_step", "passkey_sign_in", "second_step"}
"""The modules of `auth` that start sessions; each takes an assessment for it."""

FIRST_STEPS = {"login", "email_sign_in", "provider_sign_in"}
"""Those that do so by `finish_first_step`, or begin a second step."""


def callers_of(name: str) -> set[str]:
    """Return the files of the service that call a function of this name."""
    return {
        str(path.relative_to(PACKAGE))
        for path in source_files()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    }


def test_no_other_module_starts_a_session() -> None:
    assert callers_of("start_session") == {f"auth/{name}.py" for name in STARTERS}
    assert callers_of("finish_first_step") == {f"auth/{name}.py" for name in FIRST_STEPS}
    assert callers_of("insert_session") == {"auth/start_session.py"}
