"""ID tokens that come back as hints, true ones and others."""

import hmac
import json
import time
from collections.abc import Callable
from datetime import timedelta

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from jwt.utils import base64url_encode

from authserve.core.clock import now
from authserve.database.transactions import db
from authserve.keys.policy import RotationCause
from authserve.keys.store import KEY_STORE, KeyStore
from authserve.oidc.hints import MAX_HINT_LENGTH, Hint, read_hint
from authserve.oidc.tokens import sign_for_others
from authserve.tokens.signing import LEEWAY_SECS
from tests.oidc.conftest import App, MakeApp, claims_of
from tests.oidc.test_authorize import answer_of, ask
from tests.support.browsing import ORIGIN, Visit
from tests.support.clients import Caller
from tests.support.databases import executed
from tests.support.keys import kid_of, kids, make_next_key

YEAR = timedelta(days=365)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application whose copy of the keys ages with the test's clock."""
    app = make_app(features=("oidc",))
    KEY_STORE.fill(app, KeyStore(monotonic=time.time))
    return app


def read(app: App, token: str) -> Hint | None:
    with app.app.app_context():
        return read_hint(token, issuer=ORIGIN)


def hint_of(app: App, token: str) -> Hint:
    sid = claims_of(token)["sid"]
    found = read(app, token)
    assert found is not None
    assert (found.client_id, found.user_id) == (app.client_id, app.user_id)
    assert str(found.session_id) == sid
    return found


def test_an_id_token_is_good_for_ever(clock: time_machine.Traveller, wiki: App) -> None:
    token = wiki.sign_in()["id_token"]
    hint_of(wiki, token)
    make_next_key(wiki.app)
    clock.shift(YEAR)
    assert kid_of(token) not in kids(wiki.app)
    hint_of(wiki, token)


def test_after_an_emergency_no_older_token_is(clock: time_machine.Traveller, wiki: App) -> None:
    first = wiki.sign_in()["id_token"]
    make_next_key(wiki.app)
    clock.shift(timedelta(hours=2))
    second = wiki.sign_in()["id_token"]
    make_next_key(wiki.app, cause=RotationCause.EMERGENCY)
    clock.shift(3)
    third = wiki.sign_in()["id_token"]
    assert read(wiki, second) is None
    # That key had been retired before, so it was not what others might have known.
    hint_of(wiki, first)
    hint_of(wiki, third)


def change_signature(token: str) -> str:
    return f"{token[:-20]}{'A' if token[-20] != 'A' else 'B'}{token[-19:]}"


def change_claims(token: str) -> str:
    header, _payload, signature = token.split(".")
    claims = json.dumps({**claims_of(token), "aud": "other"}).encode()
    return f"{header}.{base64url_encode(claims).decode()}.{signature}"


def sign_by_none(token: str) -> str:
    headers = {"kid": kid_of(token), "typ": "JWT"}
    return jwt.encode(claims_of(token), None, algorithm="none", headers=headers)


def sign_by_other_key(token: str) -> str:
    headers = {"kid": kid_of(token), "typ": "JWT"}
    key = ec.generate_private_key(ec.SECP256R1())
    return jwt.encode(claims_of(token), key, algorithm="ES256", headers=headers)


def bring_a_key(token: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    headers = {"jwk": jwk, "typ": "JWT"}
    return jwt.encode(claims_of(token), key, algorithm="ES256", headers=headers)


FORGERIES: list[Callable[[str], str]] = [
    change_signature,
    change_claims,
    sign_by_none,
    sign_by_other_key,
    bring_a_key,
    "{}=".format,
    lambda token: token.rpartition(".")[0],
    lambda _token: "",
    lambda _token: "a.b.c",
    lambda _token: "é" * 100,
    lambda token: token + "A" * MAX_HINT_LENGTH,
]


@pytest.mark.parametrize("forge", FORGERIES, ids=range(len(FORGERIES)))
def test_a_forged_one_is_none(wiki: App, forge: Callable[[str], str]) -> None:
    assert read(wiki, forge(wiki.sign_in()["id_token"])) is None


def test_one_signed_by_the_public_key_as_a_secret_is_none(wiki: App) -> None:
    token = wiki.sign_in()["id_token"]
    with wiki.app.app_context():
        key = KEY_STORE.get().find_public_key(kid_of(token), now=now())
    assert key is not None
    pem = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    # By hand, because PyJWT refuses to sign so.
    header = json.dumps({"alg": "HS256", "kid": kid_of(token), "typ": "JWT"}).encode()
    signed = f"{base64url_encode(header).decode()}.{token.split('.')[1]}"
    mac = hmac.digest(pem, signed.encode(), "sha256")
    assert read(wiki, f"{signed}.{base64url_encode(mac).decode()}") is None


@pytest.mark.parametrize(
    "changes", [{"iss": "https://other.example"}, {"aud": ["wiki"]}, {"sub": 1}]
)
def test_our_own_signature_is_not_enough(wiki: App, changes: dict[str, object]) -> None:
    claims = claims_of(wiki.sign_in()["id_token"])
    with wiki.app.app_context():
        key = KEY_STORE.get().signing_key()
        for given, is_good in ((claims, True), ({**claims, **changes}, False)):
            found = read_hint(sign_for_others(given, key, "JWT"), issuer=ORIGIN)
            assert (found is not None) is is_good
        assert read_hint(sign_for_others(claims, key, "logout+jwt"), issuer=ORIGIN) is None


def test_one_of_a_machine_whose_clock_is_ahead_is_good(
    clock: time_machine.Traveller, wiki: App
) -> None:
    token = wiki.sign_in()["id_token"]
    clock.shift(-LEEWAY_SECS)
    hint_of(wiki, token)
    clock.shift(-1)
    assert read(wiki, token) is None


def test_one_that_fits_no_request_line_asks_the_database_nothing(wiki: App) -> None:
    token = wiki.sign_in()["id_token"]
    room = MAX_HINT_LENGTH - len(token)
    for more, statements in ((room, 1), (room + 1, 0)):
        with wiki.app.app_context(), executed(db.engine) as sent:
            assert read_hint(token + "A" * more, issuer=ORIGIN) is None
        assert len(sent) == statements


def test_no_other_token_is_one(wiki: App, alice: Caller) -> None:
    tokens = wiki.sign_in("openid", "offline_access")
    for token in (tokens["access_token"], tokens["refresh_token"], *alice.tokens.values()):
        assert read(wiki, str(token)) is None


class TestAuthorize:
    """The hint at authorize names the user that the app expects."""

    @pytest.fixture
    def app(self, make_app: Callable[..., Flask]) -> Flask:
        return make_app(features=("pages", "oidc"))

    def test_another_user_than_expected_signs_in_anew(
        self, app: Flask, make_client: MakeApp, bob: Caller
    ) -> None:
        wiki, visit = make_client(), Visit(app)
        hint = wiki.sign_in()["id_token"]
        visit.sign_in("alice")
        assert "code" in answer_of(ask(visit, id_token_hint=hint, prompt="none"))
        visit.fill("/sign-out")
        visit.sign_in("bob")
        told = answer_of(ask(visit, id_token_hint=hint, prompt="none"))
        assert told["error"] == "login_required"
        assert ask(visit, id_token_hint=hint).location.startswith("/sign-in?switch=")
        # What is no hint of ours says nothing.
        assert "code" in answer_of(ask(visit, id_token_hint=change_signature(hint)))
