"""Apache with mod_auth_openidc, a certified relying party, guards an application."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests

from tests.real_clients.conftest import ACCOUNT, Person, register_client, sign_in_elsewhere
from tests.support.browsing import Shown
from tests.support.echo import echoing
from tests.support.http_browser import HTTPBrowser
from tests.support.server import DEADLINE_SECS
from tests.support.site import Site

MODULES = Path("/usr/lib/apache2/modules")

CONFIGURATION = """
ServerRoot {folder}
ServerName 127.0.0.1
PidFile {folder}/pid
Listen 127.0.0.1:{port}
ErrorLog {folder}/error.log
DefaultRuntimeDir {folder}
{identity}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authn_core_module {modules}/mod_authn_core.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule authz_user_module {modules}/mod_authz_user.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
LoadModule auth_openidc_module {modules}/mod_auth_openidc.so
StartServers 1

OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCClientID apache
OIDCClientSecret {secret}
OIDCRedirectURI http://127.0.0.1:{port}/callback
OIDCCryptoPassphrase a-passphrase-for-tests-alone
OIDCScope "openid profile email groups"
OIDCPKCEMethod S256
OIDCClaimDelimiter ,
OIDCRemoteUserClaim sub
OIDCPassClaimsAs headers

<Location />
  AuthType openid-connect
  Require valid-user
  ProxyPass http://127.0.0.1:{application}/
</Location>
<Location /callback>
  ProxyPass !
</Location>
"""


class Apache:
    """A running Apache; `url` is the address of the guarded application."""

    def __init__(self, folder: Path, site: Site, application: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / "error.log"
        client = register_client(
            site,
            "apache",
            name="The intranet",
            first_party=True,
            redirect_uris=[f"{self.url}/callback"],
            post_logout_redirect_uris=[f"{self.url}/bye"],
            backchannel_logout_uri=f"{self.url}/callback?logout=backchannel",
            scopes=["openid", "profile", "email", "groups"],
        )
        # A server that is started by root gives its rights away.
        identity = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
        configuration = folder / "apache.conf"
        configuration.write_text(
            CONFIGURATION.format(
                folder=folder,
                port=port,
                identity=identity,
                modules=MODULES,
                issuer=site.url,
                secret=client["client_secret"],
                application=application,
            )
        )
        command = [_find_apache(), "-f", str(configuration), "-D", "FOREGROUND"]
        self._process = subprocess.Popen(command)

    def wait_until_up(self) -> None:
        """Wait until it answers."""
        give_up = time.monotonic() + DEADLINE_SECS
        while True:
            assert self._process.poll() is None, self.log
            assert time.monotonic() < give_up, self.log
            try:
                requests.get(self.url, allow_redirects=False, timeout=DEADLINE_SECS)
            except requests.ConnectionError:
                time.sleep(0.05)
            else:
                return

    @property
    def log(self) -> str:
        """The text of its log of errors."""
        return self._log.read_text() if self._log.exists() else ""

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(DEADLINE_SECS)


def _find_apache() -> str | None:
    return shutil.which("apache2", path=f"{os.environ['PATH']}:/usr/sbin")


@pytest.fixture(scope="module")
def apache(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apache]:
    """An Apache whose application is an echo."""
    if _find_apache() is None or not (MODULES / "mod_auth_openidc.so").exists():
        pytest.skip("Apache with mod_auth_openidc is not installed here")
    with echoing() as application:
        apache = Apache(tmp_path_factory.mktemp("apache"), site, application)
        try:
            apache.wait_until_up()
            yield apache
        finally:
            apache.stop()


def headers_of(shown: Shown, apache: Apache) -> dict[str, Any]:
    """Return the headers that the application got."""
    assert shown.status == 200, (shown.html, apache.log)
    headers: dict[str, Any] = json.loads(shown.html)["headers"]
    return headers


def sign_in(person: Person, apache: Apache) -> dict[str, Any]:
    """Sign in to the application; return the headers that it got."""
    page = person.browser.open(f"{apache.url}/reports?year=2030")
    assert page.title.startswith("Sign in"), apache.log
    # Another program could listen at a loopback address, so its users have to confirm.
    asked = person.browser.sign_in(page, person.name)
    shown = person.browser.give(asked, answer="allow")
    assert person.browser.url == f"{apache.url}/reports?year=2030"
    return headers_of(shown, apache)


def is_signed_in(person: Person, apache: Apache) -> bool:
    """Return True if the application lets the person in without asking the service."""
    return person.browser.ask(f"{apache.url}/").status == 200


def test_a_person_signs_in_and_their_groups_are_in_headers(ada: Person, apache: Apache) -> None:
    headers = sign_in(ada, apache)
    assert headers["oidc_claim_sub"] == ada.id
    assert headers["oidc_claim_iss"] == ada.site.url
    assert headers["oidc_claim_preferred_username"] == ada.name
    assert headers["oidc_claim_groups"] == "user"
    # The address is not verified, so it is not passed on.
    assert "oidc_claim_email" not in headers


def test_it_signs_out_of_the_service_and_returns(ada: Person, apache: Apache) -> None:
    """Before it leads to the service, the module revokes its tokens."""
    sign_in(ada, apache)
    back = f"{apache.url}/bye"
    left = ada.browser.open(f"{apache.url}/callback?logout={quote(back, safe='')}", until=back)
    assert left.location.startswith(back), left.html
    assert not is_signed_in(ada, apache)
    page = ada.browser.open(f"{ada.site.url}/account")
    assert page.title.startswith("Sign in")


def test_a_sign_out_elsewhere_reaches_it_by_the_back_channel(ada: Person, apache: Apache) -> None:
    sign_in(ada, apache)
    assert is_signed_in(ada, apache)
    ada.sign_out()
    give_up = time.monotonic() + DEADLINE_SECS
    while is_signed_in(ada, apache):
        assert time.monotonic() < give_up, apache.log
        time.sleep(0.05)
    led = ada.browser.ask(f"{apache.url}/")
    assert urlsplit(led.location).path == "/oauth/authorize"


@pytest.mark.usefixtures("provider")
def test_a_person_of_another_provider_reaches_the_application(site: Site, apache: Apache) -> None:
    browser = HTTPBrowser()
    page = browser.open(f"{apache.url}/reports")
    asked = sign_in_elsewhere(browser, page)
    shown = browser.give(asked, answer="allow")
    assert browser.url == f"{apache.url}/reports"
    headers = headers_of(shown, apache)
    assert headers["oidc_claim_iss"] == site.url
    assert headers["oidc_claim_name"] == ACCOUNT["name"]
    assert headers["oidc_claim_email"] == ACCOUNT["email"]
