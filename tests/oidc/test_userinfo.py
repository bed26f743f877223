"""What apps are told about their users."""

from typing import Any

import pytest

from authserve.clients.claims import ClaimPlace, ClaimRule, ClaimSource
from authserve.keys.store import KEY_STORE
from authserve.oidc.access_tokens import ACCESS
from authserve.oidc.tokens import sign_for_others
from tests.http.test_cost import statements_of_sqlite
from tests.oidc.conftest import API, App, MakeApp, claims_of
from tests.oidc.test_codes import change, error
from tests.support.clients import Caller
from tests.support.rows import change_session, change_user

ALL = ("openid", "profile", "email", "groups")

STANDARD = {
    "iss",
    "sub",
    "aud",
    "iat",
    "exp",
    "auth_time",
    "sid",
    "amr",
    "acr",
    "at_hash",
    "nonce",
}


def userinfo(app: App, *scopes: str) -> dict[str, Any]:
    answer = app.userinfo(app.sign_in(*scopes)["access_token"])
    assert answer.status_code == 200
    found: dict[str, Any] = answer.get_json()
    return found


def test_each_scope_has_its_claims(wiki: App, alice: Caller) -> None:
    change_user(wiki.app, alice.id, email_verified=True, display_name="Alice", locale="de")
    sub = {"sub": str(alice.id)}
    assert userinfo(wiki, "openid") == sub
    profile = userinfo(wiki, "openid", "profile")
    assert type(profile.pop("updated_at")) is int
    assert profile == {
        **sub,
        "name": "Alice",
        "preferred_username": "alice",
        "locale": "de",
    }
    assert userinfo(wiki, "openid", "email") == {
        **sub,
        "email": "alice@example.com",
        "email_verified": True,
    }
    assert userinfo(wiki, "openid", "groups") == {**sub, "groups": ["user"]}


def test_what_an_account_has_not_is_left_out_but_lists(wiki: App, alice: Caller) -> None:
    """Nothing is null, and an address that is not verified is not told."""
    change_user(wiki.app, alice.id, username=None, display_name=None, email_verified=False)
    change(wiki, role_prefix="wiki.")
    found = userinfo(wiki, *ALL)
    assert set(found) == {"sub", "updated_at", "groups"}
    assert found["groups"] == []


def test_they_are_in_the_id_token_too_unless_it_is_lean(make_client: MakeApp) -> None:
    full, lean = make_client("full"), make_client("lean", id_token_claims="lean")
    claims = claims_of(full.sign_in(*ALL)["id_token"])
    assert set(claims) - STANDARD == {"preferred_username", "updated_at", "groups"}
    assert set(claims_of(lean.sign_in(*ALL)["id_token"])) == STANDARD
    assert "groups" in userinfo(lean, *ALL)


def test_groups_are_in_the_access_token_and_nothing_else_is(wiki: App) -> None:
    claims = claims_of(wiki.sign_in(*ALL)["access_token"])
    assert claims["groups"] == ["user"]
    assert not {"email", "name", "preferred_username"} & set(claims)


def test_a_client_maps_claims_from_a_closed_list(make_client: MakeApp, alice: Caller) -> None:
    every = (ClaimPlace.ID_TOKEN, ClaimPlace.ACCESS_TOKEN)
    values = (("admin", "Admin"), ("user", "Viewer"))
    rules = (
        ClaimRule(name="role", source=ClaimSource.ROLES, role_values=values),
        ClaimRule(name="none", source=ClaimSource.ROLES, role_values=values[:1]),
        ClaimRule(name="other", source=ClaimSource.ROLES, role_values=values[:1], default="x"),
        ClaimRule(name="all", source=ClaimSource.ROLES, places=every),
        ClaimRule(name="uid", source=ClaimSource.ID),
        ClaimRule(name="tenant", source=ClaimSource.CONST, value="one", places=every),
        ClaimRule(name="preferred_username", source=ClaimSource.ID),
        ClaimRule(name="mail", source=ClaimSource.EMAIL),
    )
    app = make_client(claims=rules)
    tokens = app.sign_in("openid", "profile")
    found = app.userinfo(tokens["access_token"]).get_json()
    del found["updated_at"]
    assert found == {
        "sub": str(alice.id),
        "role": "Viewer",
        "other": "x",
        "uid": str(alice.id),
        "preferred_username": str(alice.id),
    }
    assert claims_of(tokens["access_token"])["all"] == ["user"]
    identity = claims_of(tokens["id_token"])
    assert (identity["all"], identity["tenant"], identity["role"]) == (["user"], "one", "Viewer")


class TestRefusals:
    def test_a_call_without_a_token_gets_a_challenge_without_an_error(self, wiki: App) -> None:
        answer = wiki.app.test_client().get("/oauth/userinfo")
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")

    def test_a_token_that_names_another_user_than_its_session_is_refused(
        self, wiki: App, bob: Caller
    ) -> None:
        claims = claims_of(wiki.sign_in("openid")["access_token"])
        for sub, status in ((claims["sub"], 200), (str(bob.id), 401)):
            with wiki.app.app_context():
                key = KEY_STORE.get().signing_key()
                token = sign_for_others({**claims, "sub": sub}, key, ACCESS.header_type)
            assert wiki.userinfo(token).status_code == status

    @pytest.mark.parametrize("header", ["Bearer x", "Bearer a b", "Basic eA==", "Bearer"])
    def test_another_token_is_refused(self, wiki: App, header: str) -> None:
        answer = wiki.app.test_client().post("/oauth/userinfo", headers={"Authorization": header})
        assert error(answer) == (401, "invalid_token")
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'

    def test_a_token_in_the_query_or_body_counts_as_absent(self, wiki: App) -> None:
        token = wiki.sign_in()["access_token"]
        client = wiki.app.test_client()
        for answer in (
            client.get("/oauth/userinfo", query_string={"access_token": token}),
            client.post("/oauth/userinfo", data={"access_token": token}),
        ):
            assert answer.status_code == 401

    def test_it_needs_the_scope_openid_and_its_own_audience(self, wiki: App) -> None:
        token = wiki.sign_in("profile")["access_token"]
        lacking = wiki.userinfo(token)
        assert error(lacking) == (403, "insufficient_scope")
        assert lacking.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'
        token = wiki.sign_in("openid", resource=API)["access_token"]
        assert error(wiki.userinfo(token)) == (401, "invalid_token")

    def test_a_session_below_what_its_account_needs_is_told_so(
        self, wiki: App, alice: Caller
    ) -> None:
        token = wiki.sign_in()["access_token"]
        change_user(wiki.app, alice.id, mfa_enabled=True)
        refused = wiki.userinfo(token)
        assert error(refused) == (401, "insufficient_user_authentication")
        challenge = 'Bearer error="insufficient_user_authentication"'
        assert refused.headers["WWW-Authenticate"] == challenge


def test_userinfo_is_one_statement_and_a_refresh_two(wiki: App) -> None:
    tokens = wiki.sign_in("openid")
    newer = wiki.refresh(tokens["refresh_token"]).get_json()
    sid = claims_of(tokens["access_token"])["sid"]
    change_session(wiki.app, sid, rotated_at=None)
    with statements_of_sqlite() as sent:
        assert wiki.userinfo(tokens["access_token"]).status_code == 200
    assert len(sent) == 1, sent
    with statements_of_sqlite() as sent:
        assert wiki.refresh(newer["refresh_token"]).status_code == 200
    assert len(sent) == 2, sent


def test_a_code_is_six_statements_besides_its_audit(wiki: App) -> None:
    wiki.sign_in("openid")
    code = wiki.make_code("openid")
    with statements_of_sqlite() as sent:
        assert wiki.redeem(code).status_code == 200
    own = [it for it in sent if not it.startswith(("BEGIN", "COMMIT", "INSERT INTO audit"))]
    assert len(own) == 6, own
