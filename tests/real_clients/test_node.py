"""Programs of Node: openid-client, which countless apps use, and oauth4webapi."""

import json
from collections.abc import Callable
from typing import Any

from tests.real_clients.conftest import NodeApp, Person, register_client
from tests.support.browsing import Shown
from tests.support.site import Site

StartNode = Callable[..., NodeApp]


def start_web_app(start_node: StartNode, site: Site, script: str, **values: Any) -> str:
    """Start a web app and register it as a client; return its address."""
    app = start_node(script, issuer=site.url)
    address: str = app.read()
    client_id = f"node-{script.partition('.')[0]}-{address.rpartition(':')[2]}"
    created = register_client(
        site,
        client_id,
        name="A web app",
        redirect_uris=[f"{address}/callback"],
        post_logout_redirect_uris=[f"{address}/bye"],
        scopes=["openid", "profile", "groups", "offline_access"],
        **values,
    )
    app.write({"client_id": client_id, "secret": created["client_secret"]})
    assert app.read() == "ready"
    return address


def sign_in(person: Person, address: str) -> Shown:
    """Sign in to an app, with the consent that it needs."""
    page = person.browser.open(address)
    asked = person.browser.sign_in(page, person.name)
    return person.browser.give(asked, answer="allow")


def test_openid_client_6_signs_in_refreshes_and_signs_out(
    ada: Person, site: Site, start_node: StartNode
) -> None:
    address = start_web_app(start_node, site, "web.mjs")
    shown = sign_in(ada, f"{address}/login")
    assert shown.status == 200, shown.html
    found = json.loads(shown.html)
    assert found["claims"]["sub"] == found["userinfo"]["sub"] == ada.id
    assert found["userinfo"]["preferred_username"] == ada.name
    left = ada.browser.open(found["sign_out"], until=address)
    assert left.location == f"{address}/bye"
    assert ada.browser.open(f"{site.url}/account").title.startswith("Sign in")


def test_openid_client_6_signs_in_at_a_port_of_its_own(
    ada: Person, site: Site, start_node: StartNode
) -> None:
    register_client(
        site,
        "desktop",
        kind="native",
        name="A desktop app",
        redirect_uris=["http://127.0.0.1/callback"],
        scopes=["openid", "profile"],
    )
    app = start_node("native.mjs", issuer=site.url, client_id="desktop")
    shown = sign_in(ada, app.read())
    assert shown.html == "You can close this window."
    assert app.read()["sub"] == ada.id


def test_openid_client_5_wants_rs256(ada: Person, site: Site, start_node: StartNode) -> None:
    address = start_web_app(start_node, site, "old.mjs", signing_alg="RS256")
    found = json.loads(sign_in(ada, f"{address}/login").html)
    assert found["claims"]["sub"] == found["userinfo"]["sub"] == ada.id


def test_openid_client_5_refuses_es256_in_the_words_of_the_guide(
    ada: Person, site: Site, start_node: StartNode
) -> None:
    address = start_web_app(start_node, site, "old.mjs")
    shown = sign_in(ada, f"{address}/login")
    assert (shown.status, shown.html) == (
        500,
        "unexpected JWT alg received, expected RS256, got: ES256",
    )


def test_a_service_calls_another_which_verifies_offline(site: Site, start_node: StartNode) -> None:
    resource = "https://api.example.com"
    values = {"kind": "machine", "scopes": ["users:read"], "resources": [resource]}
    client = register_client(site, "report", name="Reports", **values)
    app = start_node(
        "service.mjs",
        issuer=site.url,
        client_id="report",
        secret=client["client_secret"],
        resource=resource,
    )
    claims = app.read()
    assert (claims["aud"], claims["sub"], claims["scope"]) == (resource, "report", "users:read")
    assert "aud" in app.read()
