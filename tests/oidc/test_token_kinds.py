"""Every kind of token at every call that takes one: each opens its own calls, and no other.

`tests/auth/test_token_kinds.py` has tokens that are forged; these are all good.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from flask import Flask
from werkzeug.test import TestResponse

import config
from authserve.clients.kinds import ClientKind
from authserve.core.clock import now
from authserve.federation.identities import ProviderIdentity
from authserve.federation.pending_identities import PendingIdentity, write_pending_identity
from authserve.federation.state import Purpose, State, write_state
from authserve.keys.store import KEY_STORE
from authserve.oidc.hints import read_hint
from authserve.oidc.tokens import sign_for_others
from authserve.rbac.policy import Permission
from authserve.web.continuation import read_continuation
from tests.oidc.conftest import CALLBACK, App, MakeApp, claims_of
from tests.support.api_keys import give_api_key
from tests.support.clients import PASSWORD, Caller, login, register_caller
from tests.support.factors import give_totp
from tests.support.operations import API_FEATURES, read_operations
from tests.support.rows import change_session, count_sessions

ISSUER = "http://localhost:8000"
API = f"{ISSUER}/api/v1"
SHOP = "https://shop.example.com"
PREFIX = "/api/v1"


@dataclass
class Scene:
    """Clients and users that have tokens of every kind."""

    app: Flask
    alice: Caller
    admin: Caller
    wiki: App
    rsa_wiki: App
    job: App
    shop: App
    watcher: App

    def send(self, token: str | None, method: str, path: str, **kwargs: Any) -> TestResponse:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.app.test_client().open(path, method=method, headers=headers, **kwargs)

    def ask(self, client: App, path: str, **fields: str | None) -> TestResponse:
        own = {"client_id": client.client_id, "client_secret": client.secret}
        data = {name: value for name, value in (own | fields).items() if value is not None}
        return self.app.test_client().post(path, data=data)

    def own(self, name: str) -> str:
        token: str = login(self.app.test_client(), "alice").get_json()[name]
        return token

    def of_app(self, name: str, resource: str | None = None) -> str:
        scopes = ("openid", "account", "offline_access")
        token: str = self.wiki.sign_in(*scopes, resource=resource)[name]
        return token

    def of_machine(self, resource: str) -> str:
        answer = self.job.call(grant_type="client_credentials", resource=resource)
        token: str = answer.get_json()["access_token"]
        return token

    def of_second_step(self) -> str:
        refused = login(self.app.test_client(), "bob").get_json()
        token: str = refused["mfa_token"]
        return token

    def of_request(self) -> str:
        query = {"client_id": "wiki", "redirect_uri": CALLBACK, "response_type": "code"}
        query |= {"scope": "openid", "code_challenge": "A" * 43, "code_challenge_method": "S256"}
        answer = self.app.test_client().get(f"/oauth/authorize?{urlencode(query)}")
        (token,) = parse_qs(urlsplit(answer.headers["Location"]).query)["continue"]
        return token

    def of_provider_sign_in(self) -> str:
        """A state, which the provider gets to see."""
        state = State(
            provider="google", flow_id="abcdefgh", purpose=Purpose.SIGN_IN, binding="A" * 43
        )
        with self.app.app_context():
            return write_state(state, now=now())

    def of_pending_identity(self) -> str:
        """An identity that waits for its person, in the cookie of a browser."""
        identity = ProviderIdentity(issuer="https://id.example.com", subject="1", email=None)
        with self.app.app_context():
            return write_pending_identity(
                PendingIdentity(provider="google", identity=identity), now=now()
            )

    def of_logout(self) -> str:
        claims = claims_of(self.of_app("id_token"))
        same = {name: claims[name] for name in ("iss", "aud", "sub", "sid", "iat", "exp")}
        events = {"http://schemas.openid.net/event/backchannel-logout": {}}
        with self.app.app_context():
            key = KEY_STORE.get().signing_key()
            return sign_for_others({**same, "jti": "1", "events": events}, key, "logout+jwt")


KINDS: Mapping[str, Callable[[Scene], str]] = {
    "own access": lambda scene: scene.own("access_token"),
    "own refresh": lambda scene: scene.own("refresh_token"),
    "device": lambda scene: scene.own("device_token"),
    "second step": Scene.of_second_step,
    "app for issuer": lambda scene: scene.of_app("access_token"),
    "app for API": lambda scene: scene.of_app("access_token", API),
    "app for shop": lambda scene: scene.of_app("access_token", SHOP),
    "app refresh": lambda scene: scene.of_app("refresh_token"),
    "ID": lambda scene: scene.of_app("id_token"),
    "ID by RS256": lambda scene: scene.rsa_wiki.sign_in("openid")["id_token"],
    "logout": Scene.of_logout,
    "machine for API": lambda scene: scene.of_machine(API),
    "machine for shop": lambda scene: scene.of_machine(SHOP),
    "API key": lambda scene: give_api_key(scene.app, scene.alice.id)[1],
    "code": lambda scene: scene.wiki.make_code("openid"),
    "continue": Scene.of_request,
    "provider state": Scene.of_provider_sign_in,
    "pending identity": Scene.of_pending_identity,
    "client secret": lambda scene: str(scene.wiki.secret),
}
"""A new token of each kind."""

Result = tuple[int, str | None]

TAKEN: Result = (200, None)
DONE: Result = (204, None)
BAD: Result = (401, "invalid_token")
SCOPE: Result = (403, "insufficient_scope")
LACKING: Result = (403, "insufficient_permissions")
INACTIVE: Result = (200, "inactive")
NO_GRANT: Result = (400, "invalid_grant")

OWN_ACCESS = {"own access": TAKEN}
APPS = ("app for issuer", "app for API", "app for shop")
MACHINES = ("machine for API", "machine for shop")
OTHERS_AT_API = dict.fromkeys(("app for API", "machine for API", "API key"), SCOPE)
EVERY_ACCESS = dict.fromkeys(("own access", *APPS, *MACHINES), TAKEN)


@dataclass(frozen=True)
class Call:
    """A call that takes a token.

    Args:
        present: sends a token.
        refusal: the answer to every kind that is not in `results`.
    """

    present: Callable[[Scene, str], TestResponse | bool]
    refusal: Result
    results: Mapping[str, Result]


def bearer(method: str, path: str, **kwargs: Any) -> Callable[[Scene, str], TestResponse]:
    return lambda scene, token: scene.send(token, method, f"{PREFIX}{path}", **kwargs)


def ends_a_session(scene: Scene, token: str) -> bool:
    """Return True if the client of an app could end a session by a token."""
    before = count_sessions(scene.app, revoked_at=None)
    assert scene.ask(scene.wiki, "/oauth/revoke", token=token).status_code == 200
    return count_sessions(scene.app, revoked_at=None) < before


def is_hint(scene: Scene, token: str) -> bool:
    with scene.app.app_context():
        return read_hint(token, issuer=ISSUER) is not None


def is_continuation(scene: Scene, token: str) -> bool:
    with scene.app.app_context():
        return read_continuation(token) is not None


CALLS: Mapping[str, Call] = {
    "GET /users/me": Call(
        bearer("GET", "/users/me"),
        BAD,
        OWN_ACCESS | OTHERS_AT_API | {"app for API": TAKEN, "API key": TAKEN},
    ),
    "GET /users/me/api-keys": Call(
        bearer("GET", "/users/me/api-keys"), BAD, OWN_ACCESS | OTHERS_AT_API
    ),
    "GET /roles": Call(
        bearer("GET", "/roles"),
        BAD,
        {
            **dict.fromkeys(("own access", "app for API", "API key"), LACKING),
            "machine for API": TAKEN,
        },
    ),
    "POST /auth/refresh": Call(
        lambda scene, token: scene.send(
            None, "POST", f"{PREFIX}/auth/refresh", json={"refresh_token": token}
        ),
        BAD,
        {"own refresh": TAKEN},
    ),
    "POST /auth/refresh, bearer": Call(
        bearer("POST", "/auth/refresh"), BAD, {"own refresh": TAKEN}
    ),
    "POST /auth/reauthenticate": Call(
        bearer("POST", "/auth/reauthenticate", json={"password": PASSWORD}),
        BAD,
        OWN_ACCESS | OTHERS_AT_API,
    ),
    "POST /auth/logout": Call(
        bearer("POST", "/auth/logout"), BAD, {"own access": DONE, "own refresh": DONE}
    ),
    "POST /auth/mfa/verify": Call(
        lambda scene, token: scene.send(
            None,
            "POST",
            f"{PREFIX}/auth/mfa/verify",
            json={"mfa_token": token, "totp_code": "000000"},
        ),
        (401, "mfa_token_invalid"),
        {"second step": (401, "invalid_code")},
    ),
    "POST /auth/introspect": Call(
        lambda scene, token: scene.admin.post(f"{PREFIX}/auth/introspect", json={"token": token}),
        INACTIVE,
        EVERY_ACCESS,
    ),
    "POST /api-keys/verify": Call(
        lambda scene, token: scene.admin.post(f"{PREFIX}/api-keys/verify", json={"key": token}),
        INACTIVE,
        {"API key": TAKEN},
    ),
    "GET /oauth/userinfo": Call(
        lambda scene, token: scene.send(token, "GET", "/oauth/userinfo"),
        BAD,
        {"app for issuer": TAKEN},
    ),
    "POST /oauth/token, refresh": Call(
        lambda scene, token: scene.wiki.refresh(token), NO_GRANT, {"app refresh": TAKEN}
    ),
    "POST /oauth/token, code": Call(
        lambda scene, token: scene.wiki.redeem(token), NO_GRANT, {"code": TAKEN}
    ),
    "POST /oauth/token, secret": Call(
        lambda scene, token: scene.ask(
            scene.wiki, "/oauth/token", client_secret=token, grant_type="client_credentials"
        ),
        (401, "invalid_client"),
        # An app has no token of its own, but its secret is right.
        {"client secret": (400, "unauthorized_client")},
    ),
    "POST /oauth/introspect by the app": Call(
        lambda scene, token: scene.ask(scene.wiki, "/oauth/introspect", token=token),
        INACTIVE,
        dict.fromkeys((*APPS, "machine for API", "machine for shop"), TAKEN),
    ),
    "POST /oauth/introspect by a service": Call(
        lambda scene, token: scene.ask(scene.shop, "/oauth/introspect", token=token),
        INACTIVE,
        {"app for shop": TAKEN, "machine for shop": TAKEN},
    ),
    "POST /oauth/introspect of all": Call(
        lambda scene, token: scene.ask(scene.watcher, "/oauth/introspect", token=token),
        INACTIVE,
        EVERY_ACCESS | {"API key": TAKEN},
    ),
    "POST /oauth/revoke": Call(
        ends_a_session, INACTIVE, dict.fromkeys((*APPS, "app refresh"), TAKEN)
    ),
    "id_token_hint": Call(is_hint, INACTIVE, {"ID": TAKEN, "ID by RS256": TAKEN}),
    "continue": Call(is_continuation, INACTIVE, {"continue": TAKEN}),
    # The last, since it ends what the tokens belong to.
    "POST /auth/logout-all": Call(
        bearer("POST", "/auth/logout-all"), BAD, OTHERS_AT_API | {"own access": DONE}
    ),
}


def result_of(answer: TestResponse | bool) -> Result:
    """Return the status of an answer, and the code of its refusal."""
    if isinstance(answer, bool):
        return TAKEN if answer else INACTIVE
    document = answer.get_json(silent=True) or {}
    # No key is as long as some tokens.
    if document == {"active": False} or document.get("errors", {}).keys() == {"key"}:
        return INACTIVE
    return answer.status_code, document.get("code", document.get("error"))


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with every feature that has tokens."""
    return make_app(features=("pages", "oidc", "api-keys"), ratelimit_enabled=False)


@pytest.fixture
def scene(app: Flask, make_client: MakeApp, alice: Caller, admin: Caller) -> Scene:
    bob = register_caller(app, "bob")
    give_totp(app, bob.id)
    scopes = ("openid", "account", "offline_access", "roles:read")
    machine = {"kind": ClientKind.MACHINE, "first_party": False, "redirect_uris": ()}
    made = {
        "wiki": make_client(scopes=scopes, resources=(API, SHOP)),
        "rsa_wiki": make_client("rsa-wiki", signing_alg="RS256"),
        "job": make_client("job", **machine, scopes=("roles:read",), resources=(API, SHOP)),
        "shop": make_client("shop", **machine, scopes=("shop:sell",), resources=(SHOP,)),
        "watcher": make_client(
            "watcher", **machine, scopes=("tokens:introspect",), resources=(API,)
        ),
    }
    return Scene(app=app, alice=alice, admin=admin, **made)


def test_only_the_right_kind_of_token_opens_a_call(scene: Scene) -> None:
    tokens = {kind: make(scene) for kind, make in KINDS.items()}
    wrong = {}
    for name, call in CALLS.items():
        # Those that are taken come last: some calls end what their token belongs to.
        expected = {kind: call.results.get(kind, call.refusal) for kind in KINDS}
        for kind in sorted(KINDS, key=lambda kind: expected[kind] in (TAKEN, DONE)):
            is_taken = expected[kind] in (TAKEN, DONE)
            token = KINDS[kind](scene) if is_taken else tokens[kind]
            found = result_of(call.present(scene, token))
            if found != expected[kind]:
                wrong[name, kind] = found
    assert not wrong, wrong


def opened_calls(scene: Scene, token: str) -> set[str]:
    """Return the calls of the API that a token opens; `scope` refuses all others."""
    opened = set()
    for operation in read_operations(scene.app):
        # Signing out takes tokens of sessions alone, and refuses others itself.
        if operation.security != [{"accessToken": []}]:
            continue
        path = operation.path.format(**dict.fromkeys(operation.path_parameters, UNKNOWN_ID))
        answer = scene.send(token, operation.method, path, json=operation.example or None)
        result = result_of(answer)
        assert result[0] != 401 or result[1] == "step_up_required", (str(operation), result)
        if result != SCOPE:
            opened.add(f"{operation.method} {operation.path.removeprefix(PREFIX)}")
    return opened


UNKNOWN_ID = "01932f5e-7c1a-7d3b-9f3e-3a5b6c7d8e9f"

ACCOUNT_CALLS = {
    "GET /users/me",
    "PATCH /users/me",
    "GET /users/me/sessions",
    "GET /users/me/events",
}


def permitted_calls() -> set[str]:
    """Return the calls with a permission, as `docs/security-design.md` has them."""
    page = (config.ROOT / "docs" / "security-design.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `[a-z]+(?:-[a-z]+)*:[a-z]+` \| (.+) \|$", page, re.MULTILINE)
    return {call for row in rows for call in row.replace("`", "").split(", ")}


def test_every_scope_opens_calls_with_a_permission_and_no_other(
    make_app: Callable[..., Flask], make_client: MakeApp, scene: Scene
) -> None:
    """A call that is new is one of these, too."""
    app = make_app(features=API_FEATURES, ratelimit_enabled=False)
    machine = {"kind": ClientKind.MACHINE, "first_party": False, "redirect_uris": ()}
    every = tuple(map(str, Permission))
    scene.job = make_client("all", **machine, scopes=every, resources=(API,))
    console = make_client("console", scopes=("account", *every), resources=(API,))
    change_session(app, scene.admin.session_id, kind="browser", cookie_digest=bytes(32))
    console.user_id, console.browser_id = scene.admin.id, scene.admin.session_id
    of_machine = scene.of_machine(API)
    of_app = console.sign_in("account", *every, resource=API)["access_token"]
    scene.app = app
    assert opened_calls(scene, of_machine) == permitted_calls()
    assert opened_calls(scene, of_app) == permitted_calls() | ACCOUNT_CALLS
