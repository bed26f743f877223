"""Redirect URIs: what a client may register, and what a request may name."""

import pytest

from authserve.clients.kinds import ClientKind
from authserve.clients.redirect_uris import find_redirect_fault, is_registered, is_silent

WEB, SPA, NATIVE, MACHINE = ClientKind.WEB, ClientKind.SPA, ClientKind.NATIVE, ClientKind.MACHINE

HTTPS = (
    "https://app.example.com/callback",
    "https://app.example.com",
    "https://app.example.com:8443/callback?tenant=1",
    "https://[2001:db8::1]/callback",
)

LOOPBACK = (
    "http://127.0.0.1/callback",
    "http://127.0.0.1:8000/callback",
    "http://[::1]:1/callback?a=b",
    "http://localhost",
)

PRIVATE = ("com.example.app:/callback", "com.example.app://callback", "org.example-2.x:/a/b?c=d")

REFUSED = (
    "",
    "/callback",
    "//app.example.com/callback",
    "app.example.com/callback",
    "ftp://app.example.com/callback",
    "HTTPS://app.example.com/callback",
    "https://app.example.com/callback#",
    "https://app.example.com/callback#x",
    "https://user@app.example.com/callback",
    "https://user:pw@app.example.com/",
    "https://app.example.com\\@evil.example/",
    "https://*.example.com/callback",
    "https://app.example.com/*",
    "https://app.example.com/a/../callback",
    "https://app.example.com/%2e%2e/callback",
    "https://app.example.com/a%2fb",
    "https://app.example.com//callback",
    "https://app.example.com:0/",
    "https://app.example.com:65536/",
    "https://app.example.com/ callback",
    "https://app.example.com/callback\n",
    "https://app.example.com/\u00e9",
    "https://app_1.example.com/callback",
    "https://app.example.com/" + "a" * 2_048,
    "javascript:alert(1)",
    "data:text/html,x",
    "javascript.example:alert(1)",
    "nodot:/callback",
    "com.example.app:callback",
    "com.example.app://user@callback",
    "com.example.app:/callback#x",
    "com..example:/callback",
    "http://127.0.0.1:65536/callback",
    "http://127.0.0.1.example.com/callback",
    "http://127.0.0.1@evil.example/",
    "http://localhost./callback",
    "http://LOCALHOST/callback",
    "http://127.1/callback",
)


def fault(uri: str, kind: ClientKind, *, is_production: bool = True) -> str | None:
    return find_redirect_fault(uri, kind=kind, is_production=is_production)


@pytest.mark.parametrize("uri", HTTPS)
def test_every_app_may_register_https(uri: str) -> None:
    for kind in (WEB, SPA, NATIVE):
        assert fault(uri, kind) is None


@pytest.mark.parametrize("uri", [*LOOPBACK, *PRIVATE])
def test_an_installed_app_alone_may_register_its_own_machine(uri: str) -> None:
    assert fault(uri, NATIVE) is None
    for kind in (WEB, SPA):
        assert fault(uri, kind) is not None


@pytest.mark.parametrize("uri", REFUSED)
def test_no_app_may_register_it(uri: str) -> None:
    for kind in (WEB, SPA, NATIVE, MACHINE):
        assert fault(uri, kind) is not None


def test_http_is_for_development() -> None:
    assert fault("http://app.example.com:8080/callback", WEB) is not None
    assert fault("http://app.example.com:8080/callback", WEB, is_production=False) is None
    assert fault("http://user@app.example.com/", WEB, is_production=False) is not None


REGISTERED = ("https://app.example.com/cb?x=1", "http://127.0.0.1:8000/cb", "http://[::1]/cb?x=1")

VARIANTS = (
    "https://app.example.com/cb",
    "https://app.example.com/cb?x=1&y=2",
    "https://app.example.com/cb?x=1#",
    "https://app.example.com/cb/?x=1",
    "https://app.example.com/CB?x=1",
    "https://APP.example.com/cb?x=1",
    "https://app.example.com:443/cb?x=1",
    "https://app.example.com:8443/cb?x=1",
    "https://app.example.com./cb?x=1",
    "https://app.example.com/%63b?x=1",
    "https://app.example.com/./cb?x=1",
    "https://app.example.com\\cb?x=1",
    "https://app.example.com@evil.example/cb?x=1",
    "https://app.example.com.evil.example/cb?x=1",
    "http://app.example.com/cb?x=1",
    "http://localhost:8000/cb",
    "http://127.0.0.1:8000/cb/",
    "http://127.0.0.1:8000/cb?",
    "http://127.0.0.1:8000/cb#",
    "http://127.0.0.1:99999/cb",
    "http://127.0.0.1:/cb",
    "http://127.0.0.1:8000@evil.example/cb",
    "http://127.0.0.1.:8000/cb",
    "http://[::1]:9000/cb",
    "https://127.0.0.1:8000/cb",
    "",
)


@pytest.mark.parametrize("uri", REGISTERED)
def test_a_registered_uri_is_accepted_as_it_is(uri: str) -> None:
    assert is_registered(uri, REGISTERED, kind=WEB)


@pytest.mark.parametrize("uri", VARIANTS)
def test_no_variant_of_a_registered_uri_is_accepted(uri: str) -> None:
    for kind in (WEB, SPA, NATIVE):
        assert not is_registered(uri, REGISTERED, kind=kind)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1/cb", "http://127.0.0.1/cb"])
def test_the_port_of_a_loopback_uri_may_differ_for_an_installed_app(uri: str) -> None:
    assert is_registered(uri, REGISTERED, kind=NATIVE)
    assert not is_registered(uri, REGISTERED, kind=WEB)


def test_another_program_on_the_machine_may_take_a_redirect() -> None:
    assert not any(map(is_silent, (*LOOPBACK, *PRIVATE)))
    assert all(map(is_silent, (*HTTPS, "http://app.example.com/callback")))
