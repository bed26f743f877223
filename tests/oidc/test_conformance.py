"""Modules of the OpenID Foundation's conformance suite, replayed by name.

Each test is the module `oidcc-` and its name with hyphens, of the plans Basic OP and Config OP. The
suite itself needs Java and a database; what it sends and checks is repeated here against a running
service.
"""

from datetime import timedelta
from urllib.parse import urlencode, urlsplit

from sqlalchemy import text

from authserve.core.clock import now
from authserve.core.crypto import digest
from authserve.database.transactions import transaction
from authserve.oidc.redeem import REPLAY_GRACE, make_challenge
from tests.oidc.suite import CALLBACK, SECOND_CALLBACK, Suite, extra_claims
from tests.support.clients import PASSWORD
from tests.support.http_browser import HTTPBrowser

VERIFIER = "a verifier of the suite, of 43 characters or more"


def test_server(suite: Suite) -> None:
    """It signs a user in by a code and checks the ID token and the claims."""
    result = suite.authorize(HTTPBrowser())
    assert result.identity["sub"] == suite.user["id"]
    assert result.identity["exp"] > result.identity["iat"]
    assert suite.userinfo(result)["sub"] == suite.user["id"]


def test_response_type_missing(suite: Suite) -> None:
    """A request without `response_type` is refused by redirect, or by a page."""
    answer = suite.answer_of(suite.ask(response_type=None))
    assert (answer["error"], answer["state"]) == ("invalid_request", "a state")


def test_userinfo_get(suite: Suite) -> None:
    """Userinfo answers a GET with the token in the header."""
    assert suite.userinfo(suite.authorize())


def test_userinfo_post_header(suite: Suite) -> None:
    """Userinfo answers a POST with the token in the header."""
    assert suite.userinfo(suite.authorize(), "POST")


def test_ensure_request_without_nonce_succeeds_for_code_flow(suite: Suite) -> None:
    """The code flow needs no `nonce`, and none is made up."""
    assert "nonce" not in suite.authorize(nonce=None).identity


def test_scope_profile(suite: Suite) -> None:
    """The scope `profile` yields its claims at userinfo, and lets no other out."""
    claims = suite.userinfo(suite.authorize(scope="openid profile"))
    assert claims["preferred_username"] == "alice"
    assert isinstance(claims["updated_at"], int)
    assert extra_claims(claims) <= {"name", "preferred_username", "locale", "updated_at"}


def test_scope_email(suite: Suite) -> None:
    """The scope `email` yields its two claims at userinfo, and none in a lean ID token."""
    result = suite.authorize(scope="openid email")
    claims = suite.userinfo(result)
    assert (claims["email"], claims["email_verified"]) == ("alice@example.com", True)
    assert extra_claims(claims) == {"email", "email_verified"}
    assert extra_claims(result.identity) == set()


def test_alternate_happy_flow(suite: Suite) -> None:
    """Another registered redirect URI, with a query of its own, keeps that query."""
    answer = suite.authorize(redirect_uri=SECOND_CALLBACK).answer
    assert (answer["dummy1"], answer["dummy2"]) == ("lorem", "ipsum")


def test_display_page(suite: Suite) -> None:
    """`display=page` changes nothing."""
    assert suite.authorize(display="page")


def test_display_popup(suite: Suite) -> None:
    """`display=popup` changes nothing."""
    assert suite.authorize(display="popup")


def test_prompt_login(suite: Suite) -> None:
    """`prompt=login` asks a signed-in user again; `auth_time` moves on, the subject stays."""
    suite.age_session(timedelta(minutes=1))
    before = suite.authorize()
    page = suite.ask(prompt="login")
    assert urlsplit(suite.browser.url).path == "/account/confirm"
    after = suite.finish(suite.browser.give(page, password=PASSWORD, until=CALLBACK))
    assert after.identity["sub"] == before.identity["sub"]
    assert after.identity["auth_time"] > before.identity["auth_time"]


def test_prompt_none_not_logged_in(suite: Suite) -> None:
    """`prompt=none` without a sign-in is refused without a page."""
    answer = suite.answer_of(suite.ask(HTTPBrowser(), prompt="none"))
    assert answer["error"] == "login_required"


def test_prompt_none_logged_in(suite: Suite) -> None:
    """`prompt=none` with a sign-in shows no page; subject and `auth_time` stay."""
    before = suite.authorize().identity
    after = suite.finish(suite.ask(prompt="none")).identity
    assert (after["sub"], after["auth_time"]) == (before["sub"], before["auth_time"])


def test_max_age_1(suite: Suite) -> None:
    """`max_age=1` asks a user again whose last proof is older, and `auth_time` tells it."""
    suite.age_session(timedelta(minutes=1))
    before = suite.authorize().identity
    page = suite.ask(max_age="1")
    after = suite.finish(suite.browser.give(page, password=PASSWORD, until=CALLBACK)).identity
    assert after["auth_time"] > before["auth_time"]


def test_max_age_10000(suite: Suite) -> None:
    """`max_age=10000` asks nothing of a user who signed in lately; `auth_time` stays."""
    before = suite.authorize().identity
    after = suite.finish(suite.ask(max_age="10000")).identity
    assert after["auth_time"] == before["auth_time"]


def test_ensure_request_with_unknown_parameter_succeeds(suite: Suite) -> None:
    """A parameter that no specification knows is ignored."""
    assert suite.authorize(extra="foobar")


def test_id_token_hint(suite: Suite) -> None:
    """An `id_token_hint` of the signed-in user with `prompt=none` shows no page."""
    hint = suite.authorize().tokens["id_token"]
    after = suite.finish(suite.ask(prompt="none", id_token_hint=hint))
    assert after.identity["sub"] == suite.user["id"]


def test_login_hint(suite: Suite) -> None:
    """A `login_hint` is accepted, and fills the field of the page."""
    browser = HTTPBrowser()
    page = suite.ask(browser, login_hint="alice@example.com")
    assert page.form("/sign-in")["identifier"] == "alice@example.com"
    assert suite.finish(suite.sign_in(page, browser))


def test_ui_locales(suite: Suite) -> None:
    """`ui_locales` is accepted."""
    assert suite.authorize(ui_locales="se")


def test_claims_locales(suite: Suite) -> None:
    """`claims_locales` is accepted."""
    assert suite.authorize(claims_locales="se")


def test_ensure_request_with_acr_values_succeeds(suite: Suite) -> None:
    """`acr_values` that the service knows, or does not, refuse nothing; `acr` is told."""
    supported = " ".join([*suite.metadata()["acr_values_supported"], "1", "urn:example"])
    assert suite.authorize(acr_values=supported).identity["acr"] == "aal1"


def test_codereuse(suite: Suite) -> None:
    """A code that is used twice is refused the second time."""
    result = suite.authorize()
    again = suite.redeem(result.answer["code"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


def test_codereuse_30seconds(suite: Suite) -> None:
    """A second use after 30 seconds is refused, and the access token is revoked."""
    result = suite.authorize()
    code = result.answer["code"]
    used_at = now() - REPLAY_GRACE - timedelta(seconds=20)
    with suite.app.app_context(), transaction() as session:
        statement = text("UPDATE authorization_codes SET used_at = :at WHERE digest = :digest")
        values = {"at": used_at.replace(tzinfo=None), "digest": digest(code.encode())}
        assert session.connection().execute(statement, values).rowcount == 1
    again = suite.redeem(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    headers = {"Authorization": f"Bearer {result.tokens['access_token']}"}
    assert suite.site.client().get("/oauth/userinfo", headers=headers).status_code == 401


def test_ensure_registered_redirect_uri(suite: Suite) -> None:
    """A redirect URI that is not registered gets a page of the service, and no redirect."""
    shown = suite.ask(redirect_uri=f"{CALLBACK}-random")
    assert (shown.status, shown.headers.get("Location")) == (400, None)
    assert "This app asked for something that cannot be done" in shown.text


def test_ensure_post_request_succeeds(suite: Suite) -> None:
    """An authorization request can be sent by POST."""
    fields = suite.parameters()
    headers = {"Origin": "https://suite.example.com", "Sec-Fetch-Site": "cross-site"}
    sent = suite.browser.ask(
        f"{suite.site.url}/oauth/authorize", "POST", data=fields, headers=headers
    )
    assert suite.finish(suite.browser.follow(sent, until=CALLBACK))


def test_server_client_secret_post(suite: Suite) -> None:
    """The client may authenticate by fields of the body."""
    code = suite.answer_of(suite.ask())["code"]
    client_id, secret = suite.auth
    fields = {"client_id": client_id, "client_secret": secret, "code": code}
    more = {"grant_type": "authorization_code", "redirect_uri": CALLBACK}
    answer = suite.call("/oauth/token", data={**fields, **more})
    assert answer.status_code == 200
    assert suite.verify(answer.json()["id_token"])


def test_refresh_token(suite: Suite) -> None:
    """A refresh token yields tokens of the same user and sign-in; another client's use fails."""
    first = suite.authorize(scope="openid offline_access", prompt="consent")
    answer = suite.refresh(first.tokens["refresh_token"])
    assert answer.status_code == 200
    identity = suite.verify(answer.json()["id_token"])
    for name in ("iss", "sub", "aud", "auth_time"):
        assert identity[name] == first.identity[name]
    assert answer.json()["access_token"] != first.tokens["access_token"]
    wrong = {"grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"]}
    refused = suite.call("/oauth/token", data=wrong, auth=("suite", "wrong"))
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


def test_ensure_request_with_valid_pkce_succeeds(suite: Suite) -> None:
    """PKCE by S256 works, and its verifier is needed then."""
    asked = {"code_challenge": make_challenge(VERIFIER), "code_challenge_method": "S256"}
    code = suite.answer_of(suite.ask(**asked))["code"]
    assert suite.redeem(code).json()["error"] == "invalid_grant"
    fields = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
    answer = suite.call("/oauth/token", data=fields, auth=suite.auth)
    assert answer.status_code == 200


def test_discovery_endpoint_verification(suite: Suite) -> None:
    """The metadata has all that the suite wants, the issuer is exact, and every endpoint exists."""
    found = suite.metadata()
    assert found["issuer"] == suite.site.url
    for name in ("authorization", "token", "userinfo", "end_session"):
        assert found[f"{name}_endpoint"].startswith(f"{suite.site.url}/")
    assert found["response_types_supported"] == ["code"]
    assert "public" in found["subject_types_supported"]
    assert "RS256" in found["id_token_signing_alg_values_supported"]
    assert "openid" in found["scopes_supported"]
    assert {"sub", "auth_time", "acr"} <= set(found["claims_supported"])
    assert found["claims_parameter_supported"] is False
    assert found["request_uri_parameter_supported"] is False
    keys = suite.site.client().get(urlsplit(found["jwks_uri"]).path).json()["keys"]
    assert keys
    assert all("d" not in key and key["use"] == "sig" for key in keys)


def test_unsigned_request_object(suite: Suite) -> None:
    """A request object is not supported, and the client is told so."""
    request = urlencode(suite.parameters())
    assert suite.answer_of(suite.ask(request=request))["error"] == "request_not_supported"
    answer = suite.answer_of(suite.ask(request_uri="https://suite.example.com/request"))
    assert answer["error"] == "request_uri_not_supported"
