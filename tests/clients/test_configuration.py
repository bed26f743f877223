"""The rules for a client's values."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from authserve.clients.claims import ClaimPlace, ClaimRule, ClaimSource, rule_document
from authserve.clients.claims import rule_from_document as rule_of
from authserve.clients.configuration import PROXY_SCOPES, ClientConfiguration, find_faults
from authserve.clients.kinds import AuthMethod, ClientKind
from authserve.core.levels import Level
from authserve.core.outbound_hosts import OutboundHosts
from authserve.settings.model import Settings
from tests.conftest import make_settings

CALLBACK = "https://app.example.com/callback"

WEB = ClientConfiguration(name="App", kind=ClientKind.WEB, redirect_uris=(CALLBACK,))
SPA = replace(WEB, kind=ClientKind.SPA)
NATIVE = replace(WEB, kind=ClientKind.NATIVE)
PROXY = ClientConfiguration(
    name="Files", kind=ClientKind.PROXY, origins=("https://files.example.com",), scopes=PROXY_SCOPES
)
MACHINE = ClientConfiguration(name="Job", kind=ClientKind.MACHINE)

ISSUER = "https://id.example.com"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return make_settings(
        "sqlite://",
        Path("/nowhere"),
        app_env="production",
        public_url=ISSUER,
        outbound_hosts=OutboundHosts(
            names=frozenset({"app.internal"}), networks=(ip_network("10.0.0.0/8"),)
        ),
    )


def const(name: str, **values: Any) -> ClaimRule:
    return ClaimRule(name=name, **{"source": ClaimSource.CONST, "value": "x", **values})


ACCEPTED: list[tuple[ClientConfiguration, dict[str, Any]]] = [
    (WEB, {}),
    (SPA, {}),
    (NATIVE, {"redirect_uris": ("com.example.app:/callback",)}),
    (PROXY, {}),
    (PROXY, {"origins": ("https://files.example.com:8443", "https://[2001:db8::1]")}),
    (PROXY, {"remote_user": "username", "min_acr": "aal2", "refresh_idle_ttl": 600}),
    (MACHINE, {"scopes": ("users:read", "shop:sell"), "resources": (f"{ISSUER}/api/v1",)}),
    (WEB, {"scopes": ("openid", "profile", "email", "groups", "offline_access", "account")}),
    (WEB, {"scopes": ("openid", "users:read", "shop:sell")}),
    (WEB, {"post_logout_redirect_uris": ("https://other.example.com/bye",)}),
    (WEB, {"backchannel_logout_uri": "https://app.example.com:8443/logout"}),
    (WEB, {"backchannel_logout_uri": "https://app.internal/logout"}),
    (WEB, {"backchannel_logout_uri": "http://app.internal/logout"}),
    (WEB, {"backchannel_logout_uri": "http://10.1.2.3:8080/logout"}),
    (WEB, {"resources": ("https://api.example.com/v1",)}),
    (WEB, {"require_pkce": False, "response_mode": "form_post"}),
    (WEB, {"refresh_idle_ttl": 600, "refresh_ttl": 600}),
    (WEB, {"claims": (const("preferred_username"), const("https://example.com/x"))}),
    (WEB, {"claims": (const("roles"),)}),
    (
        WEB,
        {
            "claims": (
                ClaimRule(
                    name="role",
                    source=ClaimSource.ROLES,
                    role_values=(("admin", "Admin"),),
                    default="Viewer",
                ),
            )
        },
    ),
]

REFUSED: list[tuple[str, ClientConfiguration, dict[str, Any]]] = [
    ("redirect_uris", WEB, {"redirect_uris": ()}),
    ("origins", WEB, {"origins": ("https://files.example.com",)}),
    ("origins", PROXY, {"origins": ()}),
    ("origins", PROXY, {"origins": ("http://files.example.com",)}),
    ("origins", PROXY, {"origins": ("https://files.example.com/",)}),
    ("origins", PROXY, {"origins": ("https://Files.example.com",)}),
    ("origins", PROXY, {"origins": ("https://files.example.com:443",)}),
    ("origins", PROXY, {"origins": ("https://*.example.com",)}),
    ("origins", PROXY, {"origins": (ISSUER,)}),
    ("redirect_uris", PROXY, {"redirect_uris": (CALLBACK,)}),
    ("scopes", PROXY, {"scopes": ("openid",)}),
    ("scopes", PROXY, {"scopes": (*PROXY_SCOPES, "users:read")}),
    ("kind", PROXY, {"resources": ("https://api.example.com",)}),
    ("require_pkce", PROXY, {"require_pkce": False}),
    ("backchannel_logout_uri", PROXY, {"backchannel_logout_uri": CALLBACK}),
    ("redirect_uris", WEB, {"redirect_uris": (CALLBACK, "http://app.example.com/")}),
    ("redirect_uris", SPA, {"redirect_uris": ("http://127.0.0.1/",)}),
    ("redirect_uris", MACHINE, {"redirect_uris": (CALLBACK,)}),
    ("post_logout_redirect_uris", WEB, {"post_logout_redirect_uris": ("https://a.example/#",)}),
    ("home_uri", WEB, {"home_uri": "javascript:alert()"}),
    ("home_uri", WEB, {"home_uri": "http://app.example.com/"}),
    ("backchannel_logout_uri", WEB, {"backchannel_logout_uri": "https://other.example.com/x"}),
    ("backchannel_logout_uri", WEB, {"backchannel_logout_uri": "http://app.example.com/x"}),
    ("backchannel_logout_uri", WEB, {"backchannel_logout_uri": "https://u@app.internal/x"}),
    ("backchannel_logout_uri", WEB, {"backchannel_logout_uri": "com.example:/x"}),
    ("backchannel_logout_uri", WEB, {"backchannel_logout_uri": "http://169.254.169.254/x"}),
    ("backchannel_logout_uri", MACHINE, {"backchannel_logout_uri": "https://app.internal/x"}),
    ("scopes", WEB, {"scopes": ("openid", "phone")}),
    ("scopes", WEB, {"scopes": ("users:everything",)}),
    ("scopes", WEB, {"scopes": ("openid profile",)}),
    ("scopes", SPA, {"scopes": ("openid", "offline_access")}),
    ("scopes", MACHINE, {"scopes": ("openid",)}),
    ("scopes", MACHINE, {"scopes": ("account",)}),
    ("resources", WEB, {"resources": (ISSUER,)}),
    ("resources", WEB, {"resources": (f"{ISSUER}/",)}),
    ("resources", WEB, {"resources": ("authserve",)}),
    ("resources", WEB, {"resources": ("https://api.example.com/#",)}),
    ("require_pkce", SPA, {"require_pkce": False}),
    ("require_pkce", NATIVE, {"require_pkce": False}),
    ("response_mode", SPA, {"response_mode": "form_post"}),
    ("refresh_idle_ttl", WEB, {"refresh_idle_ttl": 601, "refresh_ttl": 600}),
    ("claims", WEB, {"claims": (const("a"), const("a"))}),
    ("claims", WEB, {"claims": tuple(const(f"a{n}") for n in range(21))}),
    ("claims", WEB, {"claims": (const("a", value=None),)}),
    ("claims", WEB, {"claims": (const("a", source=ClaimSource.EMAIL),)}),
    ("claims", WEB, {"claims": (const("a", default="b"),)}),
    ("claims", WEB, {"claims": (const("a", places=()),)}),
    ("claims", WEB, {"claims": (const("roles", places=(ClaimPlace.ACCESS_TOKEN,)),)}),
    *(("claims", WEB, {"claims": (const(n),)}) for n in ("sub", "aud", "groups", "email", "", "ä")),
]


@pytest.mark.parametrize(("client", "values"), ACCEPTED)
def test_it_is_accepted(
    settings: Settings, client: ClientConfiguration, values: dict[str, Any]
) -> None:
    assert find_faults(replace(client, **values), settings=settings) == {}


@pytest.mark.parametrize(("field", "client", "values"), REFUSED)
def test_it_is_refused(
    settings: Settings, field: str, client: ClientConfiguration, values: dict[str, Any]
) -> None:
    assert set(find_faults(replace(client, **values), settings=settings)) == {field}


def test_what_follows_from_the_kind() -> None:
    methods = [client.auth_method for client in (WEB, SPA, NATIVE, MACHINE, PROXY)]
    secret, none, internal = AuthMethod
    assert methods == [secret, none, none, secret, internal]
    assert PROXY.return_uris == ("https://files.example.com/.authserve/callback",)
    assert PROXY.lifetimes.idle == timedelta(hours=12)
    assert SPA.lifetimes.absolute_offline == timedelta(days=1)
    assert NATIVE.lifetimes.absolute_offline == timedelta(days=90)
    own = replace(WEB, refresh_ttl=60, refresh_idle_ttl=30, access_token_ttl=120)
    assert (own.lifetimes.idle, own.lifetimes.absolute) == (
        timedelta(seconds=30),
        timedelta(seconds=60),
    )
    assert own.access_ttl == timedelta(minutes=2)
    with pytest.raises(LookupError):
        assert MACHINE.lifetimes
    assert replace(WEB, min_acr="phr").min_level is Level.PHR
    assert WEB.min_level is Level.AAL1


def test_a_mapped_claim_keeps_its_form() -> None:
    document = {
        "name": "role",
        "from": "roles",
        "map": [["admin", "Admin"]],
        "default": "Viewer",
        "in": ["id_token"],
    }
    rule = rule_of(document)
    assert rule.places == (ClaimPlace.ID_TOKEN,)
    assert rule_document(rule) == document
