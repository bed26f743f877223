from typing import Any

import flask_jwt_extended
import jwt as pyjwt
import pytest
import time_machine
from flask import Flask
from flask_jwt_extended import JWTManager, get_jwt, jwt_required

from authserve.http.authentication import current_actor
from authserve.tokens import access
from authserve.tokens.access import TokenManager
from tests.support.clients import register_caller
from tests.support.probes import PROBE, add_probe
from tests.support.problems import assert_problem

INVALID = 'Bearer error="invalid_token"'


@pytest.fixture
def guarded(app: Flask) -> Flask:
    """An application with a view under the library's own guard."""
    add_probe(app, jwt_required()(lambda: {"sub": get_jwt()["sub"]}))
    add_probe(app, jwt_required(fresh=True)(dict), rule="/api/v1/probe/fresh")
    add_probe(app, jwt_required(refresh=True)(dict), rule="/api/v1/probe/refresh")
    add_probe(app, jwt_required(optional=True)(dict), rule="/api/v1/probe/optional")
    return app


def assert_refused(response: Any, code: str, challenge: str) -> None:
    assert_problem(response, 401, code)
    assert response.headers.getlist("WWW-Authenticate") == [challenge]
    assert response.headers["Cache-Control"] == "no-store"


def test_it_lets_an_access_token_in(guarded: Flask) -> None:
    alice = register_caller(guarded, "alice")
    assert alice.get(PROBE).get_json() == {"sub": str(alice.id)}
    assert alice.get(f"{PROBE}/fresh").status_code == 200


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Basic YTpi", "Token x", "Bearer ,", "Bearer x y"]
)
def test_it_asks_for_a_token_where_there_is_none(guarded: Flask, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = guarded.test_client().get(PROBE, headers=headers)
    code = response.get_json()["code"]
    assert_refused(response, code, INVALID if code == "invalid_token" else "Bearer")
    assert code in ("authentication_required", "invalid_token")


UNSIGNED = pyjwt.encode({"sub": "x", "type": "access"}, None, algorithm="none")
FOREIGN = pyjwt.encode({"sub": "x", "type": "access"}, "x" * 32, algorithm="HS256")


@pytest.mark.parametrize(
    "token", ["x", "a.b.c", "é", "a b", UNSIGNED, FOREIGN, "a.b.c.d.e", "x" * 5_000]
)
def test_garbage_is_401_and_never_422(guarded: Flask, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    for path in (PROBE, f"{PROBE}/fresh", f"{PROBE}/refresh", f"{PROBE}/optional"):
        response = guarded.test_client().get(path, headers=headers)
        assert_refused(response, "invalid_token", INVALID)


def test_tokens_of_other_kinds_are_invalid(guarded: Flask) -> None:
    alice = register_caller(guarded, "alice")
    assert_refused(alice.get(f"{PROBE}/refresh"), "invalid_token", INVALID)
    alice.tokens["access_token"] = alice.tokens["refresh_token"]
    for path in (PROBE, f"{PROBE}/refresh"):
        assert_refused(alice.get(path), "invalid_token", INVALID)


def test_an_expired_token_gets_token_expired(guarded: Flask, clock: time_machine.Traveller) -> None:
    alice = register_caller(guarded, "alice")
    clock.shift(11 * 60)
    assert_refused(alice.get(PROBE), "token_expired", INVALID)


def test_a_stale_token_is_not_fresh(guarded: Flask, clock: time_machine.Traveller) -> None:
    alice = register_caller(guarded, "alice")
    clock.shift(5 * 60 + 1)
    assert alice.get(PROBE).status_code == 200
    challenge = 'Bearer error="insufficient_user_authentication", max_age=300'
    assert_refused(alice.get(f"{PROBE}/fresh"), "reauthentication_required", challenge)


def test_a_token_of_an_ended_session_is_refused(guarded: Flask) -> None:
    alice = register_caller(guarded, "alice")
    assert alice.post("/api/v1/auth/logout").status_code == 204
    assert_refused(alice.get(PROBE), "session_revoked", INVALID)


def test_a_view_under_its_guard_knows_the_caller(app: Flask) -> None:
    def whoami() -> dict[str, Any]:
        user = current_actor().user
        return {"id": str(user.id) if user else None}

    add_probe(app, jwt_required()(whoami))
    alice = register_caller(app, "alice")
    assert alice.get(PROBE).get_json() == {"id": str(alice.id)}


@pytest.mark.parametrize(
    "error",
    [
        flask_jwt_extended.exceptions.CSRFError("x"),
        flask_jwt_extended.exceptions.FreshTokenRequired("x", {}, {}),
        flask_jwt_extended.exceptions.InvalidHeaderError("x"),
        flask_jwt_extended.exceptions.InvalidQueryParamError("x"),
        flask_jwt_extended.exceptions.JWTDecodeError("x"),
        flask_jwt_extended.exceptions.NoAuthorizationError("x"),
        flask_jwt_extended.exceptions.RevokedTokenError({}, {}),
        flask_jwt_extended.exceptions.UserClaimsVerificationError("x", {}, {}),
        flask_jwt_extended.exceptions.UserLookupError("x", {}, {}),
        flask_jwt_extended.exceptions.WrongTokenError("x"),
        pyjwt.DecodeError("x"),
        pyjwt.InvalidAudienceError("x"),
        pyjwt.InvalidSignatureError("x"),
        pyjwt.MissingRequiredClaimError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_of_the_library_is_a_problem(app: Flask, error: Exception) -> None:
    def fail() -> None:
        raise error

    add_probe(app, fail)
    response = app.test_client().get(PROBE)
    assert_problem(response, 401, response.get_json()["code"])
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_no_callback_of_the_library_is_left_at_its_default(app: Flask) -> None:
    manager = app.extensions["flask-jwt-extended"]
    left = {
        name
        for name, callback in vars(JWTManager()).items()
        if name.endswith("_callback") and getattr(manager, name) is callback
    }
    # The first is replaced with the whole decoding, the others have no refusal to make.
    assert left == {
        "_decode_key_callback",
        "_jwt_additional_header_callback",
        "_token_verification_callback",
        "_user_claims_callback",
        "_user_lookup_callback",
    }


class TestDecodingHook:
    """`tokens.access.TokenManager` overrides a private method of the library."""

    def test_the_library_still_has_it(self, app: Flask) -> None:
        assert isinstance(app.extensions["flask-jwt-extended"], TokenManager)
        assert "_decode_jwt_from_config" in vars(JWTManager)
        assert "_decode_jwt_from_config" in vars(TokenManager)

    def test_decode_token_and_jwt_required_go_through_it(
        self, guarded: Flask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alice = register_caller(guarded, "alice")
        told: list[tuple[str, bool]] = []
        decode = access.decode_access_token

        def listen(token: str, *, allow_expired: bool = False, **known: Any) -> Any:
            told.append((token, allow_expired))
            return decode(token, allow_expired=allow_expired, **known)

        monkeypatch.setattr(access, "decode_access_token", listen)
        token = alice.tokens["access_token"]
        with guarded.app_context():
            flask_jwt_extended.decode_token(token)
            flask_jwt_extended.decode_token(token, allow_expired=True)
        assert told == [(token, False), (token, True)]

        told.clear()
        assert alice.get(PROBE).status_code == 200
        assert told[0] == (token, False)
