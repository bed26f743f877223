"""Sign-ins by a provider, as a browser without script makes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from xml.etree.ElementTree import Element

from flask import Flask

from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.outbound_hosts import OutboundHosts
from authserve.federation.configuration import ProviderConfiguration
from authserve.federation.policy import ProviderRules
from authserve.federation.presets import Preset
from authserve.federation.registry import add_provider
from tests.support.browsing import Shown, Visit
from tests.support.providers import CLIENT_ID, SECRET, ProviderServer

LOOPBACK = OutboundHosts(networks=(ip_network("127.0.0.0/8"),))
"""The setting `OUTBOUND_HOSTS` with which a provider of `tests.support.providers` is reached."""

SLUG = "work"


def give_provider(
    app: Flask,
    server: ProviderServer,
    slug: str = SLUG,
    *,
    rules: ProviderRules | None = None,
    **changes: Any,
) -> None:
    """Register a server as a provider."""
    values: dict[str, Any] = {
        "preset": Preset.OIDC,
        "name": "Example Works",
        "issuer": server.issuer,
        "client_id": CLIENT_ID,
        "scopes": ("openid", "email", "profile"),
        "rules": rules or ProviderRules(),
    }
    configuration = ProviderConfiguration(**{**values, **changes})
    with app.app_context():
        add_provider(slug, configuration, secret=SECRET, actor=OPERATOR, request=RequestInfo())


@dataclass
class Journey:
    """A way to a provider that a browser has begun, up to the provider's own page.

    Args:
        address: at the provider, to which the page between leads.
    """

    visit: Visit
    server: ProviderServer
    slug: str
    address: str
    asked: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.asked = dict(parse_qsl(urlsplit(self.address).query))

    @property
    def path(self) -> str:
        """The path of the redirect URI."""
        return urlsplit(self.asked["redirect_uri"]).path

    def come_back(self, *, visit: Visit | None = None, **changes: str | None) -> Shown:
        """Answer as the provider does, and open the address that it leads to.

        Args:
            visit: another browser than the one that has begun.
            changes: other parameters of the answer; None leaves one out.
        """
        self.server.nonce = self.asked["nonce"]
        answer = {
            "code": "a code",
            "state": self.asked["state"],
            "iss": self.server.issuer,
            **changes,
        }
        query = urlencode({name: value for name, value in answer.items() if value is not None})
        return (visit or self.visit).open(f"{self.path}?{query}")


def set_out(
    visit: Visit, server: ProviderServer, slug: str = SLUG, *, language: str = "", **fields: str
) -> Journey:
    """Press the button of a provider, and go on to it.

    Args:
        language: of the query; empty without one.
        fields: of the form: `continue`, `remember`.
    """
    path = f"/sign-in/with/{slug}" + (f"?lang={language}" if language else "")
    between = visit.open(visit.send(path, fields).location)
    assert between.status == 200, between.html
    return Journey(visit, server, slug, find_way_on(between))


def find_way_on(between: Shown) -> str:
    """Return where the page between leads, by itself and by its link."""
    (refresh,) = [each for each in between.tree.iter("meta") if "http-equiv" in each.attrib]
    address = refresh.attrib["content"].removeprefix("0; url=")
    main = between.tree.find(".//main")
    assert main is not None
    (link,) = [each for each in main.iter("a") if _is_button(each)]
    assert link.attrib["href"] == address
    return address


def _is_button(element: Element) -> bool:
    return "button" in element.get("class", "").split()


def code_of(shown: Shown) -> str:
    """Return the code that a page of a refusal shows."""
    (first, *_others) = shown.tree.iterfind(".//main//code")
    return first.text or ""
