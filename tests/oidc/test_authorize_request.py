"""What an authorization request may hold."""

from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from authserve.clients.configuration import ClientConfiguration
from authserve.clients.kinds import ClientKind
from authserve.core.levels import Level
from authserve.oidc.authorize_request import (
    MAX_QUERY_BYTES,
    AuthorizeRequest,
    Prompt,
    parse_parameters,
    read_request,
)
from authserve.oidc.errors import AuthorizationError, UntrustedRequestError

ISSUER = "https://id.example.com"
CALLBACK = "https://app.example.com/callback"
API = "https://api.example.com/v1"

CLIENT = ClientConfiguration(
    name="App",
    kind=ClientKind.WEB,
    redirect_uris=(CALLBACK, "http://127.0.0.1/callback"),
    scopes=("openid", "profile", "users:read"),
    resources=(API,),
)

BEGUN = datetime(2026, 11, 28, 12, 0, 0, 999, tzinfo=UTC)

CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
"""RFC 7636, appendix B."""

GOOD = {
    "client_id": "app",
    "redirect_uri": CALLBACK,
    "response_type": "code",
    "scope": "openid",
    "state": "a state & more",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


def read(client: ClientConfiguration = CLIENT, **changes: str | None) -> AuthorizeRequest:
    given = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    return read_request(
        parse_parameters(urlencode(given)),
        client_id="app",
        client=client,
        issuer=ISSUER,
        begun=BEGUN,
    )


def test_a_plain_request() -> None:
    request = read()
    assert (request.scopes, request.dropped_scopes) == (("openid",), ())
    assert request.target.state == "a state & more"
    assert request.code_challenge == CHALLENGE
    assert request.begun == BEGUN.replace(microsecond=0)
    assert (request.prompts, request.max_age_secs, request.resource) == (frozenset(), None, None)


@pytest.mark.parametrize(
    "query",
    [
        "client_id=app&client_id=app",
        "state=a&state=b",
        "unknown=a&unknown=a",
        "state=%ff",
        "state=%00",
        "&".join(f"a{number}=" for number in range(51)),
        "state=" + "x" * MAX_QUERY_BYTES,
    ],
)
def test_an_ambiguous_query_is_answered_by_a_page(query: str) -> None:
    with pytest.raises(UntrustedRequestError):
        parse_parameters(query)


def test_fifty_parameters_are_read() -> None:
    assert len(parse_parameters("&".join(f"a{number}=x" for number in range(50)))) == 50


@pytest.mark.parametrize(
    "uri",
    [
        None,
        "",
        f"{CALLBACK}/",
        f"{CALLBACK}?x=1",
        "https://evil.example/callback",
        "http://127.0.0.1:8000/callback",
        "javascript:alert(1)",
        CALLBACK.upper(),
        CALLBACK.replace("https", "http"),
        CALLBACK.replace("app", "APP"),
        f"{CALLBACK}?",
        f"{CALLBACK}#",
        f"{CALLBACK}#x",
        f"{CALLBACK}%2e",
        f"{CALLBACK}/../callback",
        f" {CALLBACK}",
        f"{CALLBACK}\n",
        CALLBACK.replace(".com/", ".com:443/"),
        CALLBACK.replace(".com/", ".com./"),
        CALLBACK.replace(".com/", ".com.evil.example/"),
        CALLBACK.replace(".com/", ".com@evil.example/"),
        CALLBACK.replace(".com/", ".com\\@evil.example/"),
    ],
)
def test_an_address_that_is_not_registered_is_answered_by_a_page(uri: str | None) -> None:
    with pytest.raises(UntrustedRequestError) as caught:
        # Whatever else is wrong.
        read(redirect_uri=uri, response_type="token")
    assert caught.value.received == (uri or None)


def test_a_machine_signs_no_user_in() -> None:
    with pytest.raises(UntrustedRequestError):
        read(replace(CLIENT, kind=ClientKind.MACHINE))


REFUSED: list[tuple[str, dict[str, str | None]]] = [
    ("request_not_supported", {"request": "a.b.c", "response_type": None}),
    ("request_uri_not_supported", {"request_uri": "urn:x"}),
    ("invalid_request", {"response_type": None}),
    ("unsupported_response_type", {"response_type": "token"}),
    ("unsupported_response_type", {"response_type": "code id_token"}),
    ("invalid_request", {"response_mode": "fragment"}),
    ("invalid_request", {"response_mode": "form_post"}),
    ("invalid_request", {"code_challenge": None, "code_challenge_method": None}),
    ("invalid_request", {"code_challenge_method": None}),
    ("invalid_request", {"code_challenge_method": "plain"}),
    ("invalid_request", {"code_challenge_method": "s256"}),
    ("invalid_request", {"code_challenge": None}),
    ("invalid_request", {"code_challenge": CHALLENGE[:-1]}),
    ("invalid_request", {"code_challenge": f"{CHALLENGE[:-1]}="}),
    ("invalid_request", {"prompt": "none login"}),
    ("invalid_request", {"prompt": "none unknown"}),
    ("invalid_request", {"max_age": "-1"}),
    ("invalid_request", {"max_age": "1.5"}),
    ("invalid_request", {"max_age": "1" * 10}),
    ("invalid_request", {"max_age": "\u0661"}),
    ("invalid_scope", {"scope": None}),
    ("invalid_scope", {"scope": "phone users:write"}),
    ("invalid_scope", {"scope": "openid,profile"}),
    ("invalid_target", {"resource": f"{API}/"}),
    ("invalid_target", {"resource": f"{ISSUER}/api/v1"}),
]


@pytest.mark.parametrize(("code", "changes"), REFUSED)
def test_another_fault_is_answered_by_redirect_with_the_state(
    code: str, changes: dict[str, str | None]
) -> None:
    with pytest.raises(AuthorizationError) as caught:
        read(**changes)
    assert caught.value.code == code
    assert (caught.value.target.redirect_uri, caught.value.target.state) == (
        CALLBACK,
        "a state & more",
    )


def test_only_a_client_with_a_secret_may_do_without_pkce() -> None:
    lax = replace(CLIENT, require_pkce=False)
    assert read(lax, code_challenge=None, code_challenge_method=None).code_challenge is None
    # What it sends is enforced all the same (RFC 9700 §2.1.1).
    assert read(lax).code_challenge == CHALLENGE
    with pytest.raises(AuthorizationError):
        read(lax, code_challenge_method="plain")


def test_scopes_that_the_client_may_not_ask_for_are_dropped() -> None:
    request = read(scope="openid phone users:read openid  users:write")
    assert request.scopes == ("openid", "users:read")
    assert request.dropped_scopes == ("phone", "users:write")


def test_unknown_values_have_no_effect() -> None:
    request = read(
        prompt="login unknown",
        acr_values="urn:unknown phr aal2",
        display="popup",
        ui_locales="fr",
        claims="{}",
        claims_locales="fr",
        extra="1",
    )
    assert request.prompts == {Prompt.LOGIN}
    assert request.levels == (Level.PHR, Level.AAL2)


def test_a_resource_of_the_client_or_this_service_may_be_named() -> None:
    assert read(resource=API).resource == API
    assert read(resource=ISSUER).resource is None


def test_the_answer_goes_as_the_client_is_configured() -> None:
    by_form = replace(CLIENT, response_mode="form_post")
    assert read(by_form).target.response_mode == "form_post"
    assert read(by_form, response_mode="form_post").target.response_mode == "form_post"
    with pytest.raises(AuthorizationError):
        read(by_form, response_mode="query")


def test_the_port_of_an_installed_app_may_differ() -> None:
    native = replace(CLIENT, kind=ClientKind.NATIVE)
    request = read(native, redirect_uri="http://127.0.0.1:51234/callback")
    assert request.target.redirect_uri == "http://127.0.0.1:51234/callback"
    assert not request.is_silent_safe
    assert read(native).is_silent_safe


@pytest.mark.parametrize(
    "uri",
    [
        "http://localhost:51234/callback",
        "http://localhost.:51234/callback",
        "http://127.0.0.2:51234/callback",
        "http://127.1:51234/callback",
        "http://2130706433:51234/callback",
        "http://127.0.0.1:51234/Callback",
        "http://127.0.0.1:51234/callback/",
        "http://127.0.0.1:51234/callback?x=1",
        "http://127.0.0.1:0/callback",
        "http://127.0.0.1:65536/callback",
        "http://127.0.0.1:/callback",
        "http://user@127.0.0.1:51234/callback",
        "http://127.0.0.1:51234@evil.example/callback",
        "http://127.0.0.1.evil.example:51234/callback",
        "https://127.0.0.1:51234/callback",
    ],
)
def test_nothing_but_the_port_of_an_installed_app_may_differ(uri: str) -> None:
    native = replace(CLIENT, kind=ClientKind.NATIVE, redirect_uris=("http://127.0.0.1/callback",))
    assert read(native, redirect_uri="http://127.0.0.1:51234/callback")
    with pytest.raises(UntrustedRequestError):
        read(native, redirect_uri=uri)
