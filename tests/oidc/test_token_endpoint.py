"""The token endpoint's forms and errors, and the provider's metadata."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from authserve.clients.kinds import ClientKind
from authserve.oidc import routes as oidc_routes
from authserve.oidc.routes import GRANTS
from tests.conftest import Log
from tests.oidc.conftest import VERIFIER, App, MakeApp
from tests.oidc.test_codes import INVALID, error

DISCOVERY = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "code": None}, "invalid_request"),
        ({"grant_type": "refresh_token", "code": None}, "invalid_request"),
    ],
)
def test_a_request_that_lacks_something_is_refused(
    wiki: App, fields: dict[str, str | None], code: str
) -> None:
    answer = wiki.call(**fields)
    assert error(answer) == (400, code)
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.get_json()) == {"error", "error_description"}


def test_a_refusal_has_its_code_in_the_log(wiki: App, log: Log) -> None:
    log()
    wiki.call(grant_type="password")
    (line,) = log()
    assert (line["status"], line["code"]) == (400, "unsupported_grant_type")


@pytest.mark.parametrize(
    ("body", "mimetype", "status"),
    [
        ("{}", "application/json", 400),
        ("", "application/x-www-form-urlencoded", 400),
        ("grant_type", "application/x-www-form-urlencoded", 400),
        ("code=a&code=b", "application/x-www-form-urlencoded", 400),
        ("code=%ff", "application/x-www-form-urlencoded", 400),
        ("code=%00", "application/x-www-form-urlencoded", 400),
        ("&".join(f"a{n}=b" for n in range(51)), "application/x-www-form-urlencoded", 400),
        ("code=" + "x" * 65_536, "application/x-www-form-urlencoded", 413),
    ],
)
def test_another_body_is_refused_in_the_same_form(
    app: Flask, body: str, mimetype: str, status: int
) -> None:
    headers = {"Accept": "text/html"}
    answer = app.test_client().post("/oauth/token", data=body, headers=headers, mimetype=mimetype)
    assert error(answer) == (status, "invalid_request")


def test_unknown_fields_and_a_query_have_no_effect(wiki: App) -> None:
    assert wiki.redeem(wiki.make_code(), extra="1", audience="x").status_code == 200
    code = wiki.make_code()
    answer = wiki.app.test_client().post(f"/oauth/token?code={code}&grant_type=authorization_code")
    assert error(answer) == (400, "invalid_request")


@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic !", "Basic eA==", "Bearer x", "Basic w6k6eA=="],
)
def test_a_header_that_proves_nothing_is_refused(wiki: App, header: str) -> None:
    wiki.headers = {"Authorization": header}
    answer = wiki.redeem(wiki.make_code(), client_secret=None)
    assert error(answer) == (401, "invalid_client")


def test_id_and_secret_in_a_header_may_be_escaped(make_client: MakeApp) -> None:
    """RFC 6749 §2.3.1 wants it, and oauth4webapi escapes all but letters and digits."""
    wiki = make_client("the-wiki")
    pair = [
        "".join(f"%{ord(char):02X}" for char in text) for text in ("the-wiki", wiki.secret or "")
    ]
    header = "BASIC  " + b64encode(":".join(pair).encode()).decode()
    fields = {"grant_type": "authorization_code", "code": wiki.make_code()}
    answer = wiki.app.test_client().post(
        "/oauth/token",
        data={**fields, "code_verifier": VERIFIER},
        headers={"Authorization": header},
    )
    assert answer.status_code == 200


def test_a_machine_redeems_nothing(make_client: MakeApp) -> None:
    machine = make_client("job", kind=ClientKind.MACHINE, redirect_uris=(), scopes=("users:read",))
    assert error(machine.redeem("x")) == (400, "unauthorized_client")
    assert error(machine.refresh("x")) == INVALID


def test_an_outage_is_told_in_the_same_form(
    app: Flask, wiki: App, lose_database: Callable[[], None]
) -> None:
    code, tokens = wiki.make_code(), wiki.sign_in()
    lose_database()
    for answer in (
        wiki.redeem(code),
        wiki.refresh(tokens["refresh_token"]),
        wiki.userinfo(tokens["access_token"]),
    ):
        assert error(answer) == (503, "temporarily_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    for path in DISCOVERY:
        assert app.test_client().get(path).status_code == 200


@pytest.mark.parametrize("is_noted", [False, True], ids=["at once", "while noting a refusal"])
def test_a_pool_without_a_free_connection_is_told_in_the_same_form(
    wiki: App, monkeypatch: pytest.MonkeyPatch, is_noted: bool
) -> None:
    def wait_in_vain(*_args: object, **_kwargs: object) -> None:
        raise PoolTimeoutError

    name = "note_failure" if is_noted else "redeem_code"
    monkeypatch.setattr(oidc_routes, name, wait_in_vain)
    answer = wiki.redeem("x")
    assert error(answer) == (503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_the_metadata_says_what_is_there(app: Flask) -> None:
    client = app.test_client()
    answers = [client.get(path) for path in DISCOVERY]
    document: dict[str, Any] = answers[0].get_json()
    assert [answer.get_json() for answer in answers] == [document, document]
    assert answers[0].headers["Access-Control-Allow-Origin"] == "*"
    assert answers[0].headers["Cache-Control"] == "public, max-age=300"
    assert set(document["grant_types_supported"]) == set(GRANTS)
    issuer = document["issuer"]
    paths = {str(rule) for rule in app.url_map.iter_rules()}
    for name in ("token_endpoint", "userinfo_endpoint", "jwks_uri"):
        assert document[name].removeprefix(issuer) in paths


def test_the_metadata_says_whether_hints_at_providers_count(make_app: Callable[..., Flask]) -> None:
    for features, expected in ((("oidc",), False), (("oidc", "federation"), True)):
        document = make_app(features=features).test_client().get(DISCOVERY[0]).get_json()
        assert document["idp_hint_parameter_supported"] is expected


def test_without_the_feature_there_is_nothing(make_app: Callable[..., Flask]) -> None:
    client = make_app().test_client()
    for path in (*DISCOVERY, "/oauth/userinfo"):
        assert client.get(path).status_code == 404
    assert client.post("/oauth/token").status_code == 404
