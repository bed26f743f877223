"""Sign-ins by a provider, as a browser without script makes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl, urlencode, urlsplit
from xml.etree.ElementTree import Element

from flask import Flask
from sqlalchemy import func, select

from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.outbound_hosts import OutboundHosts
from authserve.database.transactions import read_all
from authserve.federation.configuration import ProviderConfiguration
from authserve.federation.models import Identity
from authserve.federation.policy import ProviderRules
from authserve.federation.presets import Preset
from authserve.federation.registry import ProviderChanges, add_provider, change_provider
from authserve.sessions.models import Session
from authserve.users.models import User
from tests.support.browsing import Shown, Visit
from tests.support.providers import CLIENT_ID, SECRET, ProviderServer

LOOPBACK = OutboundHosts(networks=(ip_network("127.0.0.0/8"),))
"""The setting `OUTBOUND_HOSTS` with which a provider of `tests.support.providers` is reached."""

SLUG = "work"


class Issuer(Protocol):
    """A server that has an issuer."""

    @property
    def issuer(self) -> str:
        """The URL that its tokens name."""


def register_server(
    app: Flask,
    server: Issuer,
    slug: str = SLUG,
    *,
    secret: str = SECRET,
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
        add_provider(slug, configuration, secret=secret, actor=OPERATOR, request=RequestInfo())


def adjust_provider(
    app: Flask, slug: str = SLUG, *, secret: str | None = None, **changes: Any
) -> None:
    """Change values of a registered provider, by their names in `ProviderChanges`."""
    with app.app_context():
        values = cast(ProviderChanges, changes)
        change_provider(slug, values, secret=secret, actor=OPERATOR, request=RequestInfo())


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
        given = {name: value for name, value in answer.items() if value is not None}
        return self.open_callback(given, visit=visit)

    def open_callback(self, answer: Mapping[str, str], *, visit: Visit | None = None) -> Shown:
        """Open the redirect URI with the parameters of an answer."""
        return (visit or self.visit).open(f"{self.path}?{urlencode(answer)}")


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


def count_rows(app: Flask) -> list[int]:
    """The numbers of accounts, sessions and identities."""
    with app.app_context():
        return [
            read_all(select(func.count()).select_from(table))[0][0]
            for table in (User, Session, Identity)
        ]


def require_nothing(site: Flask, visit: Visit, shown: Shown, code: str, status: int) -> None:
    """Require a page of a refusal, and that nothing has begun."""
    assert (shown.status, code_of(shown)) == (status, code)
    assert visit.cookie() is None
    assert count_rows(site) == [0, 0, 0]
