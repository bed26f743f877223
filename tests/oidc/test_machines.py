"""A service that calls another in its own name."""

from typing import Any

import jwt
import pytest
import time_machine

from authserve.clients.kinds import ClientKind
from authserve.clients.registry import revoke_client
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from tests.oidc.conftest import API, App, MakeApp, claims_of
from tests.oidc.test_codes import error
from tests.support.clients import Caller
from tests.support.rows import count_sessions

SHOP = "https://shop.example.com"


@pytest.fixture
def job(make_client: MakeApp) -> App:
    """A machine with two scopes and one resource."""
    return make_job(make_client)


def make_job(make_client: MakeApp, **changes: Any) -> App:
    values = {
        "kind": ClientKind.MACHINE,
        "first_party": False,
        "redirect_uris": (),
        "scopes": ("shop:sell", "users:read"),
        "resources": (SHOP,),
        **changes,
    }
    return make_client("job", **values)


def ask(job: App, **fields: str | None) -> Any:
    return job.call(grant_type="client_credentials", **fields)


def test_another_service_verifies_its_token_offline(job: App) -> None:
    answer = ask(job)
    assert (answer.status_code, set(answer.get_json())) == (
        200,
        {"access_token", "token_type", "expires_in", "scope"},
    )
    token = answer.get_json()["access_token"]
    keys = job.app.test_client().get("/.well-known/jwks.json").get_json()["keys"]
    (key,) = [key for key in keys if key["kid"] == jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token,
        jwt.PyJWK(key).key,
        algorithms=["ES256"],
        audience=SHOP,
        issuer="http://localhost:8000",
    )
    assert (claims["sub"], claims["client_id"], claims["scope"]) == (
        "job",
        "job",
        "shop:sell users:read",
    )
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert not {"sid", "auth_time", "acr", "amr"} & set(claims)
    assert claims["exp"] - claims["iat"] == 600


def test_it_may_ask_for_less_and_for_nothing_else(job: App) -> None:
    assert ask(job, scope="shop:sell").get_json()["scope"] == "shop:sell"
    for scope in ("shop:sell users:write", "openid", "shop:sell  users:read"):
        assert error(ask(job, scope=scope)) == (400, "invalid_scope")


def test_it_has_one_audience(make_client: MakeApp) -> None:
    job = make_job(make_client, resources=(SHOP, API))
    assert error(ask(job)) == (400, "invalid_target")
    assert claims_of(ask(job, resource=API).get_json()["access_token"])["aud"] == API
    for resource in ("http://localhost:8000", "https://other.example.com"):
        assert error(ask(job, resource=resource)) == (400, "invalid_target")


def test_a_machine_without_scope_or_resource_gets_none(make_client: MakeApp) -> None:
    job = make_job(make_client, scopes=())
    assert error(ask(job)) == (400, "invalid_scope")


def test_an_app_has_no_token_of_its_own(wiki: App) -> None:
    assert error(ask(wiki, scope="users:read")) == (400, "unauthorized_client")


@pytest.mark.parametrize("fields", [{"client_secret": None}, {"client_secret": "x"}])
def test_it_proves_who_it_is(job: App, fields: dict[str, str | None]) -> None:
    assert error(ask(job, **fields)) == (401, "invalid_client")


def test_after_a_revocation_its_token_is_of_the_next_second(
    clock: time_machine.Traveller, job: App
) -> None:
    revoked_at = now()
    with job.app.app_context():
        revoke_client("job", actor=OPERATOR, request=RequestInfo())
    for shift, age in ((0, 1), (1, 1), (1, 2)):
        clock.shift(shift)
        claims = claims_of(ask(job).get_json()["access_token"])
        assert claims["iat"] == int(revoked_at.timestamp()) + age


def test_its_token_opens_nothing_of_a_user(job: App, alice: Caller) -> None:
    token = ask(job).get_json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    client = job.app.test_client()
    assert job.userinfo(token).status_code == 401
    assert client.get("/api/v1/users/me", headers=bearer).status_code == 401
    assert client.get("/api/v1/users", headers=bearer).status_code == 401
    assert error(job.refresh(token)) == (400, "invalid_grant")
    assert count_sessions(job.app, client_id="job") == 0
