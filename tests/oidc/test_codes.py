"""Codes: redeemed once, by the app that began."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from authserve.clients.client_secrets import PREFIX
from authserve.clients.configuration import PROXY_SCOPES
from authserve.clients.kinds import ClientKind
from authserve.clients.registry import change_client, get_client, revoke_client
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.core.key_text import new_key_text
from authserve.oidc.codes import CODE_TTL, KEPT, purge_dead_codes
from authserve.oidc.redeem import REPLAY_GRACE, PresentedCode, redeem_for_cookie
from authserve.outbox.worker import PURGE_TASKS
from tests.oidc.conftest import API, CALLBACK, VERIFIER, App, MakeApp, claims_of
from tests.support.clients import Caller
from tests.support.crowd import all_at_once
from tests.support.marks import both_databases
from tests.support.rows import (
    audit_trail,
    change_session,
    change_user,
    count_sessions,
    live_session_row,
)

ISSUER = "http://localhost:8000"


def error(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["error"]


FILES = {"origins": ("https://files.example.com",), "scopes": PROXY_SCOPES, "resources": ()}

INVALID = (400, "invalid_grant")


@both_databases
def test_a_code_becomes_tokens_of_a_grant(wiki: App, alice: Caller) -> None:
    answer = wiki.redeem(wiki.make_code("openid", "email", "offline_access"))
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    tokens = answer.get_json()
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 600)
    assert tokens["scope"] == "openid email offline_access"
    access, identity = claims_of(tokens["access_token"]), claims_of(tokens["id_token"])
    assert access["iss"] == identity["iss"] == ISSUER
    assert (access["aud"], identity["aud"]) == (ISSUER, "wiki")
    assert access["sub"] == identity["sub"] == str(alice.id)
    assert (access["client_id"], access["scope"]) == ("wiki", tokens["scope"])
    assert identity["nonce"] == "a nonce"
    row = live_session_row(wiki.app, access["sid"])
    browser = live_session_row(wiki.app, alice.session_id)
    assert (row["kind"], row["client_id"], row["parent_id"]) == ("app", "wiki", alice.session_id)
    for name in ("aal", "amr", "auth_time", "user_id"):
        assert row[name] == browser[name]
    assert row["is_offline"]
    (event,) = audit_trail(wiki.app, "oauth.authorized")
    assert event["details"] == {
        "session_id": access["sid"],
        "kind": "app",
        "client_id": "wiki",
    }


@both_databases
def test_a_code_of_a_proxy_becomes_a_session_with_a_cookie(make_client: MakeApp) -> None:
    files = make_client("files", kind=ClientKind.PROXY, redirect_uris=(), **FILES)
    presented = PresentedCode(
        code=files.make_code("openid"), verifier=VERIFIER, redirect_uri=CALLBACK, resource=None
    )
    with files.app.app_context():
        client = get_client("files")
        session_id = redeem_for_cookie(
            presented, client=client, cookie_digest=bytes(32), request=RequestInfo()
        )
    row = live_session_row(files.app, session_id)
    assert (row["kind"], row["cookie_digest"]) == ("proxy", bytes(32))
    assert row["parent_id"] == files.browser_id
    assert row["idle_expires_at"] - row["created_at"] == timedelta(hours=12)
    assert error(files.redeem(files.make_code("openid"))) == (401, "invalid_client")


@both_databases
def test_twenty_at_once_have_one_winner_whose_tokens_live(wiki: App) -> None:
    code = wiki.make_code("openid")
    answers = all_at_once([lambda: wiki.redeem(code)] * 20)
    winners = [answer for answer in answers if answer.status_code == 200]
    assert len(winners) == 1
    assert {error(answer) for answer in answers if answer not in winners} == {INVALID}
    tokens = winners[0].get_json()
    assert wiki.userinfo(tokens["access_token"]).status_code == 200
    assert wiki.refresh(tokens["refresh_token"]).status_code == 200
    assert count_sessions(wiki.app, kind="app") == 1


class TestSecondUse:
    @both_databases
    def test_soon_it_is_refused_and_ends_nothing(
        self, clock: time_machine.Traveller, wiki: App
    ) -> None:
        code = wiki.make_code("openid")
        tokens = wiki.redeem(code).get_json()
        clock.shift(REPLAY_GRACE)
        assert error(wiki.redeem(code)) == INVALID
        assert wiki.userinfo(tokens["access_token"]).status_code == 200

    @both_databases
    def test_later_it_ends_what_the_first_made(
        self, clock: time_machine.Traveller, wiki: App
    ) -> None:
        code = wiki.make_code("openid")
        tokens = wiki.redeem(code).get_json()
        clock.shift(REPLAY_GRACE + timedelta(seconds=1))
        assert error(wiki.redeem(code)) == INVALID
        assert error(wiki.userinfo(tokens["access_token"])) == (401, "invalid_token")
        assert error(wiki.refresh(tokens["refresh_token"])) == INVALID
        (event,) = audit_trail(wiki.app, "oauth.code_reused")
        assert event["details"]["client_id"] == "wiki"

    def test_again_and_again_it_is_recorded_once(
        self, clock: time_machine.Traveller, wiki: App
    ) -> None:
        code = wiki.make_code("openid")
        wiki.redeem(code)
        clock.shift(REPLAY_GRACE + timedelta(seconds=1))
        for _ in range(3):
            assert error(wiki.redeem(code)) == INVALID
        assert len(audit_trail(wiki.app, "oauth.code_reused", "session.revoked")) == 2

    def test_without_the_verifier_or_past_its_life_it_ends_nothing(
        self, clock: time_machine.Traveller, wiki: App, make_client: MakeApp
    ) -> None:
        code = wiki.make_code("openid")
        tokens = wiki.redeem(code).get_json()
        clock.shift(REPLAY_GRACE + timedelta(seconds=1))
        for fields in ({"code_verifier": "x" * 43}, {"redirect_uri": f"{CALLBACK}2"}):
            assert error(wiki.redeem(code, **fields)) == INVALID
        assert error(make_client("other").redeem(code)) == INVALID
        clock.shift(CODE_TTL)
        assert error(wiki.redeem(code)) == INVALID
        assert wiki.userinfo(tokens["access_token"]).status_code == 200


class TestProof:
    def test_a_code_is_good_for_a_minute(self, clock: time_machine.Traveller, wiki: App) -> None:
        first, second = wiki.make_code(), wiki.make_code()
        clock.shift(CODE_TTL - timedelta(seconds=1))
        assert wiki.redeem(first).status_code == 200
        clock.shift(1)
        assert error(wiki.redeem(second)) == INVALID

    @pytest.mark.parametrize(
        "fields",
        [
            {"code_verifier": None},
            {"code_verifier": "x" * 43},
            {"redirect_uri": f"{CALLBACK}/"},
            {"code": "0" * 64},
            {"code": "\u00e9"},
        ],
    )
    def test_another_proof_is_refused(self, wiki: App, fields: dict[str, str | None]) -> None:
        code = wiki.make_code()
        answer = wiki.redeem(**{"code": code, **fields})
        assert error(answer) == INVALID
        assert wiki.redeem(code).status_code == 200

    def test_the_address_may_be_left_out_with_pkce_alone(self, wiki: App) -> None:
        assert wiki.redeem(wiki.make_code(), redirect_uri=None).status_code == 200
        without = wiki.make_code(code_challenge=None)
        assert error(wiki.redeem(without, code_verifier=None, redirect_uri=None)) == INVALID
        # A verifier without a challenge: the challenge was stripped on the way.
        assert error(wiki.redeem(without)) == INVALID
        assert wiki.redeem(without, code_verifier=None).status_code == 200

    def test_another_clients_code_is_refused(self, wiki: App, make_client: MakeApp) -> None:
        assert error(make_client("other").redeem(wiki.make_code())) == INVALID

    @pytest.mark.parametrize(
        "fields",
        [
            {"client_secret": None},
            {"client_secret": new_key_text(PREFIX)},
            {"client_secret": "x"},
            {"client_id": "unknown"},
            {"client_id": "Unknown!"},
            {"client_id": None, "client_secret": None},
        ],
    )
    def test_a_client_that_is_not_authenticated_learns_nothing(
        self, wiki: App, fields: dict[str, str | None]
    ) -> None:
        for answer in (wiki.redeem(wiki.make_code(), **fields), wiki.refresh("x", **fields)):
            assert error(answer) == (401, "invalid_client")
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")

    def test_a_client_authenticates_in_one_way(self, wiki: App) -> None:
        basic = {"auth": (wiki.client_id, wiki.secret)}
        client = wiki.app.test_client()
        fields = {
            "grant_type": "authorization_code",
            "code": wiki.make_code(),
            "code_verifier": VERIFIER,
        }
        for extra in ({"client_secret": wiki.secret}, {"client_id": "other"}):
            answer = client.post("/oauth/token", data={**fields, **extra}, **basic)
            assert error(answer) == (400, "invalid_request")
        fields["client_id"] = wiki.client_id
        assert client.post("/oauth/token", data=fields, **basic).status_code == 200

    def test_an_app_without_a_secret_proves_itself_by_pkce(self, make_client: MakeApp) -> None:
        spa = make_client("spa", kind=ClientKind.SPA, scopes=("openid",))
        assert spa.redeem(spa.make_code()).status_code == 200
        answer = spa.redeem(spa.make_code(), client_secret=new_key_text(PREFIX))
        assert error(answer) == (401, "invalid_client")


def sign_out(wiki: App) -> None:
    change_session(wiki.app, wiki.browser_id, revoked_at=now())


CHANGES: dict[str, Callable[[App], None]] = {
    "the browser signed out": sign_out,
    "the browser's session is gone": lambda wiki: change_session(
        wiki.app, wiki.browser_id, kind="api"
    ),
    "the user was deactivated": lambda wiki: change_user(wiki.app, wiki.user_id, is_active=False),
    "the account needs more": lambda wiki: change_user(wiki.app, wiki.user_id, mfa_enabled=True),
    "the app is open to others": lambda wiki: change(wiki, allowed_roles=("staff",)),
    "the app needs more": lambda wiki: change(wiki, min_acr="aal2"),
    "the app lost the scope": lambda wiki: change(wiki, scopes=("profile",)),
    "the app was revoked": lambda wiki: revoke(wiki),
}


def change(wiki: App, **values: Any) -> None:
    with wiki.app.app_context():
        change_client(wiki.client_id, values, actor=OPERATOR, request=RequestInfo())  # type: ignore[arg-type]


def revoke(wiki: App) -> None:
    with wiki.app.app_context():
        revoke_client(wiki.client_id, actor=OPERATOR, request=RequestInfo())


@pytest.mark.parametrize("happens", CHANGES.values(), ids=CHANGES)
def test_what_has_changed_since_the_request_refuses_it(
    wiki: App, happens: Callable[[App], None]
) -> None:
    code = wiki.make_code("openid")
    happens(wiki)
    assert error(wiki.redeem(code)) == INVALID
    assert count_sessions(wiki.app, kind="app") == 0


def test_a_resource_is_the_audience(wiki: App) -> None:
    tokens = wiki.sign_in("openid", resource=API)
    assert claims_of(tokens["access_token"])["aud"] == API
    assert error(wiki.userinfo(tokens["access_token"])) == (401, "invalid_token")
    # A second token of the grant is for userinfo.
    second = wiki.refresh(tokens["refresh_token"], resource=ISSUER).get_json()
    assert wiki.userinfo(second["access_token"]).status_code == 200
    other = wiki.redeem(wiki.make_code(), resource=API)
    assert error(other) == (400, "invalid_target")


def test_a_resource_that_the_client_has_lost_is_no_audience_any_more(wiki: App) -> None:
    code = wiki.make_code("openid", resource=API)
    tokens = wiki.sign_in("openid", "offline_access", resource=API)
    change(wiki, resources=())
    assert error(wiki.redeem(code)) == (400, "invalid_target")
    assert error(wiki.refresh(tokens["refresh_token"])) == (400, "invalid_target")
    # Nothing was spent, and the grant is still good for userinfo.
    answer = wiki.refresh(tokens["refresh_token"], resource=ISSUER)
    assert wiki.userinfo(answer.get_json()["access_token"]).status_code == 200


def test_no_app_gets_the_audience_of_the_services_own_tokens(
    wiki: App, make_client: MakeApp, make_app: Callable[..., Flask]
) -> None:
    """`JWT_AUDIENCE` may become what was a client's resource before."""
    job = make_client("job", kind=ClientKind.MACHINE, redirect_uris=(), scopes=("users:read",))
    code = wiki.make_code("openid", resource=API)
    refresh_token = wiki.sign_in("openid", resource=API)["refresh_token"]
    assert job.call(grant_type="client_credentials").status_code == 200
    wiki.app = job.app = make_app(features=("oidc",), jwt_audience=API)
    assert error(wiki.redeem(code)) == (400, "invalid_target")
    assert error(wiki.refresh(refresh_token)) == (400, "invalid_target")
    assert wiki.refresh(refresh_token, resource=ISSUER).status_code == 200
    assert error(job.call(grant_type="client_credentials")) == (400, "invalid_target")
    assert error(job.call(grant_type="client_credentials", resource=API))[1] == "invalid_target"


def test_the_21st_session_of_an_app_ends_its_oldest(wiki: App, make_client: MakeApp) -> None:
    other = make_client("other").sign_in()
    first, second, *_ = [wiki.sign_in() for _ in range(21)]
    assert error(wiki.refresh(first["refresh_token"])) == INVALID
    assert wiki.refresh(second["refresh_token"]).status_code == 200
    assert claims_of(other["access_token"])["client_id"] == "other"
    # The user's own sessions are counted by themselves.
    assert live_session_row(wiki.app, wiki.browser_id)["revoked_at"] is None


def test_the_worker_deletes_codes_a_day_after_their_end(
    clock: time_machine.Traveller, wiki: App
) -> None:
    code = wiki.make_code()
    wiki.redeem(code)
    clock.shift(CODE_TTL + KEPT - timedelta(seconds=1))
    (purge,) = [it for it in PURGE_TASKS.of(wiki.app) if it is purge_dead_codes]
    with wiki.app.app_context():
        assert sum(purge()) == 0
        clock.shift(2)
        assert sum(purge()) == 1
