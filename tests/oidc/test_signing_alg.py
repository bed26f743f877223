"""ID tokens by RS256, for apps that know no other algorithm; access tokens keep ES256."""

import jwt
import pytest

from authserve.core.clock import now
from authserve.core.errors import InvalidTokenError
from authserve.keys.errors import SigningKeyUnavailableError
from authserve.keys.store import APP_KEY_STORE, KEY_STORE, KeyStore
from authserve.oidc.access_tokens import read_access_token
from authserve.oidc.hints import read_hint
from authserve.oidc.tokens import sign_for_others
from authserve.settings.model import SETTINGS
from tests.oidc.conftest import App, MakeApp, claims_of
from tests.support.keys import jwks, kid_of

ISSUER = "http://localhost:8000"


@pytest.fixture
def rsa_wiki(make_client: MakeApp) -> App:
    return make_client(signing_alg="RS256")


def test_an_app_verifies_its_id_token_by_rs256(rsa_wiki: App) -> None:
    tokens = rsa_wiki.sign_in("openid", "offline_access")
    refreshed = rsa_wiki.refresh(tokens["refresh_token"]).get_json()
    keys = {key["kid"]: key for key in jwks(rsa_wiki.app)}
    for answer in (tokens, refreshed):
        token = answer["id_token"]
        key = keys[kid_of(token)]
        assert (key["kty"], key["alg"], key["use"]) == ("RSA", "RS256", "sig")
        claims = jwt.decode(
            token, jwt.PyJWK(key), algorithms=["RS256"], audience="wiki", issuer=ISSUER
        )
        assert claims["sub"] == str(rsa_wiki.user_id)
        assert jwt.get_unverified_header(answer["access_token"])["alg"] == "ES256"
        assert rsa_wiki.userinfo(answer["access_token"]).status_code == 200
    with rsa_wiki.app.app_context():
        hint = read_hint(tokens["id_token"], issuer=ISSUER)
    assert hint is not None
    assert hint.user_id == rsa_wiki.user_id


def test_each_key_signs_its_own_kinds_alone(rsa_wiki: App) -> None:
    tokens = rsa_wiki.sign_in()
    access = claims_of(tokens["access_token"])
    with rsa_wiki.app.app_context():
        rsa, ec = APP_KEY_STORE.get().signing_key(), KEY_STORE.get().signing_key()
        forged = sign_for_others(access, rsa, "at+jwt")
        # The algorithm of one family with the `kid` of the other.
        crossed = sign_for_others(claims_of(tokens["id_token"]), ec._replace(kid=rsa.kid), "JWT")
        with pytest.raises(InvalidTokenError):
            read_access_token(forged, audience=ISSUER, settings=SETTINGS.get(), now=now())
        assert read_hint(crossed, issuer=ISSUER) is None
    assert rsa_wiki.userinfo(forged).status_code == 401


def test_a_key_that_does_not_open_spends_nothing(
    rsa_wiki: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_store: KeyStore) -> None:
        raise SigningKeyUnavailableError

    code, tokens = rsa_wiki.make_code(), rsa_wiki.sign_in()
    good = APP_KEY_STORE.of(rsa_wiki.app)
    APP_KEY_STORE.fill(rsa_wiki.app, type("Failing", (KeyStore,), {"signing_key": fail})())
    assert rsa_wiki.redeem(code).status_code == 503
    assert rsa_wiki.refresh(tokens["refresh_token"]).status_code == 503
    APP_KEY_STORE.fill(rsa_wiki.app, good)
    assert rsa_wiki.redeem(code).status_code == 200
    assert rsa_wiki.refresh(tokens["refresh_token"]).status_code == 200


def test_discovery_names_both(rsa_wiki: App) -> None:
    document = rsa_wiki.app.test_client().get("/.well-known/openid-configuration").get_json()
    assert document["id_token_signing_alg_values_supported"] == ["ES256", "RS256"]
