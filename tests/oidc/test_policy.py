"""The decision at authorize: its table of outcomes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from authserve.clients.configuration import ClientConfiguration
from authserve.clients.kinds import ClientKind
from authserve.core.levels import Level
from authserve.oidc.authorize_request import AuthorizeRequest, Prompt
from authserve.oidc.errors import OAuthCode, ReturnTarget
from authserve.oidc.policy import (
    AskConsent,
    Consent,
    Decision,
    Grant,
    LevelMissing,
    NotOpen,
    Refuse,
    SignedInUser,
    SignIn,
    StepUp,
    decide,
)

NOW = datetime(2026, 11, 28, 12, 0, 10, tzinfo=UTC)
BEGUN = NOW - timedelta(seconds=10)

ALICE, BOB = UUID(int=1), UUID(int=2)

CLIENT = ClientConfiguration(
    name="App",
    kind=ClientKind.WEB,
    first_party=True,
    scopes=("openid", "profile", "offline_access", "users:read", "shop:sell"),
)

REQUEST = AuthorizeRequest(
    client_id="app",
    target=ReturnTarget(
        redirect_uri="https://app.example.com/callback", state=None, response_mode="query"
    ),
    scopes=("openid", "profile"),
    dropped_scopes=(),
    nonce=None,
    code_challenge="x" * 43,
    prompts=frozenset(),
    max_age_secs=None,
    login_hint=None,
    id_token_hint=None,
    levels=(),
    resource=None,
    begun=BEGUN,
)

USER = SignedInUser(
    id=ALICE,
    level=Level.AAL1,
    reachable_level=Level.AAL1,
    auth_time=BEGUN - timedelta(hours=1),
    roles=frozenset({"user", "staff"}),
    sleeping_roles=frozenset(),
    permissions=frozenset({"users:read"}),
)

GRANTED = Grant(REQUEST.scopes)

STRANGERS = {"first_party": False}
ALLOWED = Consent(scopes=frozenset({"openid", "profile", "offline_access"}))
GIVEN = {"consent": ALLOWED}
LESS = Consent(scopes=frozenset({"openid"}))

LOOPBACK = replace(REQUEST.target, redirect_uri="http://127.0.0.1:8000/callback")
PRIVATE = replace(REQUEST.target, redirect_uri="com.example.app:/callback")

SILENT = {"prompts": frozenset({Prompt.NONE})}
LOGIN = {"prompts": frozenset({Prompt.LOGIN})}
SELECT = {"prompts": frozenset({Prompt.SELECT_ACCOUNT})}
CONSENT = {"prompts": frozenset({Prompt.CONSENT})}

JUST_NOW = {"auth_time": BEGUN}
TOTP = {"reachable_level": Level.AAL2}
PASSKEY = {"reachable_level": Level.PHR}
AT_AAL2 = {"level": Level.AAL2, **TOTP}

R = OAuthCode

Values = dict[str, Any]

CASES: list[tuple[str, Values, Values, Values | None, Values, Decision]] = [
    # name, request, client, user (None: not signed in), further arguments, outcome
    ("not signed in", {}, {}, None, {}, SignIn()),
    ("not signed in, silent", SILENT, {}, None, {}, Refuse(R.LOGIN_REQUIRED)),
    ("not signed in, to a first-party app", {}, {}, None, {"is_confirmed": True}, SignIn()),
    ("signed in", {}, {}, {}, {}, GRANTED),
    ("signed in, silent", SILENT, {}, {}, {}, GRANTED),
    ("the hinted user", {}, {}, {}, {"hinted_user": ALICE}, GRANTED),
    ("another than the hinted user", {}, {}, {}, {"hinted_user": BOB}, SignIn()),
    (
        "another than the hinted user, silent",
        SILENT,
        {},
        {},
        {"hinted_user": BOB},
        Refuse(R.LOGIN_REQUIRED),
    ),
    # How long ago the proof was given.
    ("max_age reached", {"max_age_secs": 3_610}, {}, {}, {}, GRANTED),
    ("max_age passed", {"max_age_secs": 3_609}, {}, {}, {}, StepUp(Level.AAL1)),
    (
        "max_age passed, silent",
        {"max_age_secs": 3_609, **SILENT},
        {},
        {},
        {},
        Refuse(R.LOGIN_REQUIRED),
    ),
    ("max_age=0, confirmed since", {"max_age_secs": 0}, {}, JUST_NOW, {}, GRANTED),
    ("max_age=0", {"max_age_secs": 0}, {}, {}, {}, StepUp(Level.AAL1)),
    ("login", LOGIN, {}, {}, {}, StepUp(Level.AAL1)),
    ("login, confirmed since", LOGIN, {}, JUST_NOW, {}, GRANTED),
    ("login of a session of two factors", LOGIN, {}, AT_AAL2, {}, StepUp(Level.AAL2)),
    ("login, with a level to reach", {**LOGIN, "levels": (Level.PHR,)}, {}, PASSKEY, {}, StepUp(3)),
    ("login by a factor that is gone", LOGIN, {}, {"level": Level.AAL2}, {}, StepUp(Level.AAL2)),
    ("select_account", SELECT, {}, {}, {}, SignIn()),
    ("select_account, signed in since", SELECT, {}, JUST_NOW, {}, GRANTED),
    (
        "select_account and login",
        {"prompts": frozenset({*Prompt} - {Prompt.NONE})},
        {},
        {},
        {},
        SignIn(),
    ),
    # Who may use the app.
    ("a role that opens it", {}, {"allowed_roles": ("other", "staff")}, {}, {}, GRANTED),
    ("no role that opens it", {}, {"allowed_roles": ("other",)}, {}, {}, NotOpen(False)),
    (
        "no role that opens it, silent",
        SILENT,
        {"allowed_roles": ("other",)},
        {},
        {},
        Refuse(R.ACCESS_DENIED),
    ),
    (
        "a sleeping role",
        {},
        {"allowed_roles": ("other",)},
        {"sleeping_roles": frozenset({"other"}), **TOTP},
        {},
        NotOpen(True),
    ),
    (
        "a sleeping role, no factor to wake it",
        {},
        {"allowed_roles": ("other",)},
        {"sleeping_roles": frozenset({"other"})},
        {},
        NotOpen(False),
    ),
    (
        "no role, before a stale proof is asked about",
        LOGIN,
        {"allowed_roles": ("other",)},
        {},
        {},
        StepUp(Level.AAL1),
    ),
    # How sure the sign-in is.
    ("a level that is met", {}, {"min_acr": "aal2"}, AT_AAL2, {}, GRANTED),
    ("a level to reach", {}, {"min_acr": "aal2"}, TOTP, {}, StepUp(Level.AAL2)),
    ("a level out of reach", {}, {"min_acr": "phr"}, AT_AAL2, {}, LevelMissing(Level.PHR)),
    (
        "a level to reach, silent",
        SILENT,
        {"min_acr": "aal2"},
        TOTP,
        {},
        Refuse(R.UNMET_AUTHENTICATION_REQUIREMENTS),
    ),
    ("a level wished for", {"levels": (Level.AAL2,)}, {}, TOTP, {}, StepUp(Level.AAL2)),
    ("a level wished for, met", {"levels": (Level.AAL2,)}, {}, AT_AAL2, {}, GRANTED),
    ("a level wished for, out of reach", {"levels": (Level.PHR,)}, {}, TOTP, {}, GRANTED),
    ("the second wish", {"levels": (Level.PHR, Level.AAL2)}, {}, TOTP, {}, StepUp(Level.AAL2)),
    ("a level wished for, silent", {"levels": (Level.AAL2,), **SILENT}, {}, TOTP, {}, GRANTED),
    (
        "no role and a level to reach",
        {},
        {"min_acr": "aal2", "allowed_roles": ("other",)},
        TOTP,
        {},
        NotOpen(False),
    ),
    # What it may do.
    (
        "a permission of the user",
        {"scopes": ("openid", "users:read", "shop:sell")},
        {},
        {},
        {},
        Grant(("openid", "users:read")),
    ),
    (
        "all permissions of an administrator",
        {"scopes": ("users:read", "shop:sell")},
        {},
        {"holds_everything": True},
        {},
        Grant(("users:read", "shop:sell")),
    ),
    ("no scope left", {"scopes": ("shop:sell",)}, {}, {}, {}, Refuse(R.ACCESS_DENIED)),
    # Whether the user allowed it.
    ("no consent", {}, STRANGERS, {}, {}, AskConsent(REQUEST.scopes)),
    ("no consent, silent", SILENT, STRANGERS, {}, {}, Refuse(R.CONSENT_REQUIRED)),
    ("consent", {}, STRANGERS, {}, GIVEN, GRANTED),
    ("consent, silent", SILENT, STRANGERS, {}, {"consent": ALLOWED}, GRANTED),
    ("consent to less", {}, STRANGERS, {}, {"consent": LESS}, AskConsent(REQUEST.scopes)),
    ("consent withdrawn", {}, STRANGERS, {}, {"is_confirmed": True}, AskConsent(REQUEST.scopes)),
    ("asked again", CONSENT, STRANGERS, {}, {"consent": ALLOWED}, AskConsent(REQUEST.scopes)),
    ("asked again, given", CONSENT, STRANGERS, {}, {"is_confirmed": True, **GIVEN}, GRANTED),
    ("asked again, by the operator's own app", CONSENT, {}, {}, {}, GRANTED),
    # Who may take the answer.
    ("a loopback port", {"target": LOOPBACK}, {}, {}, {}, AskConsent(REQUEST.scopes)),
    ("a private scheme", {"target": PRIVATE}, {}, {}, {}, AskConsent(REQUEST.scopes)),
    ("a loopback port, seen", {"target": LOOPBACK}, {}, {}, {"is_confirmed": True}, GRANTED),
    (
        "a loopback port, silent",
        {"target": LOOPBACK, **SILENT},
        {},
        {},
        {},
        Refuse(R.INTERACTION_REQUIRED),
    ),
    (
        "a loopback port of a stranger, silent",
        {"target": LOOPBACK, **SILENT},
        STRANGERS,
        {},
        {},
        Refuse(R.CONSENT_REQUIRED),
    ),
]


@pytest.mark.parametrize(
    ("request_values", "client", "user", "arguments", "outcome"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_what_a_request_leads_to(
    request_values: Values,
    client: Values,
    user: Values | None,
    arguments: Values,
    outcome: Decision,
) -> None:
    found = decide(
        replace(REQUEST, **request_values),
        client=replace(CLIENT, **client),
        user=None if user is None else replace(USER, **user),
        now=NOW,
        **arguments,
    )
    assert found == outcome


def test_the_second_authorization_of_an_app_is_like_the_first() -> None:
    """Whatever was granted before, the same function decides."""
    for scopes in (("openid",), ("openid", "offline_access")):
        for resource in (None, "https://api.example.com"):
            request = replace(REQUEST, scopes=scopes, resource=resource)
            for consent in (None, ALLOWED):
                assert decide(request, client=CLIENT, user=USER, consent=consent, now=NOW) == Grant(
                    scopes
                )


def test_a_step_up_is_asked_for_once() -> None:
    """A person who has done what was asked is never asked for the same again."""
    for name, values, client, user, arguments, outcome in CASES:
        if isinstance(outcome, StepUp):
            done = {**(user or {}), "auth_time": NOW, "level": outcome.level}
            again = decide(
                replace(REQUEST, **values),
                client=replace(CLIENT, **client),
                user=replace(USER, **done),
                now=NOW,
                **arguments,
            )
            assert not isinstance(again, StepUp | SignIn), name
