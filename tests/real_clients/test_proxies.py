"""nginx and Caddy guard an application, by the files of docs/examples."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import config
from tests.real_clients.conftest import Person, register_client
from tests.support.browsing import Shown
from tests.support.echo import echoing
from tests.support.server import DEADLINE_SECS
from tests.support.site import Site

HOST = "127.0.0.2"
"""The application's host; authserve is at `localhost`, so they share no cookies."""

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "::1", "localhost", HOST])

EXAMPLES = config.ROOT / "docs" / "examples"

AUTHSERVE, APPLICATION = "127.0.0.1:8000", "127.0.0.1:3000"
"""Addresses in the examples."""

REMOTE = ("remote-user", "remote-id", "remote-email", "remote-name", "remote-groups")

ALIASES = ("Remote_User", "Remote_Groups", "Remote.User", "REMOTE-USER")
"""Names that CGI, PHP and WSGI take for those of authserve."""

FORGED = dict.fromkeys((*map(str.title, REMOTE), *ALIASES), "forged")

NGINX = """
pid {folder}/pid;
error_log {folder}/log;
worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    include {folder}/example;
}}
"""


class Proxy:
    """A running reverse proxy; `url` is the address of the guarded application."""

    def __init__(self, folder: Path, command: list[str], port: int) -> None:
        self.url = f"http://{HOST}:{port}"
        self._log = folder / "output"
        with self._log.open("w") as output:
            environ = {**os.environ, "HOME": str(folder)}
            self._process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=environ
            )

    def wait_until_up(self) -> None:
        """Wait until it answers."""
        give_up = time.monotonic() + DEADLINE_SECS
        while True:
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < give_up, self._log.read_text()
            try:
                requests.get(self.url, allow_redirects=False, timeout=DEADLINE_SECS)
            except requests.ConnectionError:
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(DEADLINE_SECS)


def free_port() -> int:
    """Return a port of the application's host that no program listens on."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
        return port


def read_example(name: str, site: Site, application: int, **changes: str) -> str:
    """Return an example with the addresses of this test, and without TLS."""
    text = (EXAMPLES / name).read_text()
    addresses = {
        AUTHSERVE: site.url.removeprefix("http://").replace("localhost", "127.0.0.1"),
        APPLICATION: f"127.0.0.1:{application}",
        # Without TLS, cookies have no prefix.
        "__Host-authserve-app": "authserve-app",
    }
    for old, new in {**addresses, **changes}.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def make_nginx(folder: Path, site: Site, application: int, port: int) -> list[str]:
    """Write the configuration of nginx, and return its command."""
    path = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        pytest.skip("nginx is not installed here")
    changes = {
        "listen 443 ssl": f"listen {HOST}:{port}",
        "ssl_certificate": "# ssl_certificate",
        "files.example.com": f"{HOST}:{port}",
    }
    (folder / "example").write_text(
        read_example("nginx-forward-auth.conf", site, application, **changes)
    )
    own = folder / "nginx.conf"
    # A server that is started by root gives its rights away.
    identity = "user www-data;" if os.geteuid() == 0 else ""
    own.write_text(identity + NGINX.format(folder=folder))
    return [path, "-c", str(own), "-g", "daemon off;"]


def make_caddy(folder: Path, site: Site, application: int, port: int) -> list[str]:
    """Write the configuration of Caddy, and return its command."""
    path = shutil.which("caddy")
    if path is None:
        pytest.skip("Caddy is not installed here")
    address = f"http://{HOST}:{port}"
    example = read_example("Caddyfile", site, application, **{"files.example.com": address})
    own = folder / "Caddyfile"
    own.write_text(f"{{\n\tadmin off\n}}\n{example}")
    return [path, "run", "--config", str(own)]


MAKERS: dict[str, Callable[..., list[str]]] = {"nginx": make_nginx, "caddy": make_caddy}


@pytest.fixture(scope="module", params=MAKERS)
def proxy(
    request: pytest.FixtureRequest, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy whose application is an echo."""
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    # nginx's worker has other rights than root.
    folder.chmod(0o755)
    with echoing() as application:
        command = MAKERS[request.param](folder, site, application, port)
        proxy = Proxy(folder, command, port)
        register_client(site, request.param, kind="proxy", first_party=True, origins=[proxy.url])
        try:
            proxy.wait_until_up()
            yield proxy
        finally:
            proxy.stop()


def headers_of(shown: Shown) -> dict[str, Any]:
    """Return the headers that the application got."""
    assert shown.status == 200, shown.html
    headers: dict[str, Any] = json.loads(shown.html)["headers"]
    return headers


def sign_in(person: Person, proxy: Proxy) -> dict[str, Any]:
    """Sign in to the application; return the headers that it got."""
    page = person.browser.open(f"{proxy.url}/reports?year=2030")
    assert page.title.startswith("Sign in"), page.html
    shown = person.browser.sign_in(page, person.name)
    assert person.browser.url == f"{proxy.url}/reports?year=2030"
    return headers_of(shown)


def test_a_person_signs_in_and_the_application_gets_headers(ada: Person, proxy: Proxy) -> None:
    headers = sign_in(ada, proxy)
    assert headers["remote-user"] == headers["remote-id"] == ada.id
    assert headers["remote-groups"] == "user"
    assert "authserve" not in headers.get("cookie", "")


def test_headers_of_a_client_do_not_reach_the_application(ada: Person, proxy: Proxy) -> None:
    sign_in(ada, proxy)
    shown = ada.browser.ask(proxy.url, headers={**FORGED, "Cookie": ""})
    assert shown.status == 302
    cookies = "; ".join(f"{each.name}={each.value}" for each in ada.browser.session.cookies)
    headers = headers_of(
        ada.browser.ask(proxy.url, headers={**FORGED, "Cookie": f"a=b; {cookies}; c=d"})
    )
    assert headers["remote-user"] == ada.id
    assert "forged" not in json.dumps(headers)
    assert "a=b" in headers["cookie"]
    assert "c=d" in headers["cookie"]
    assert "authserve-app" not in headers["cookie"]


def test_a_program_gets_401_and_no_way(proxy: Proxy) -> None:
    answer = requests.get(
        f"{proxy.url}/api",
        headers={"Sec-Fetch-Mode": "cors"},
        allow_redirects=False,
        timeout=DEADLINE_SECS,
    )
    assert answer.status_code == 401
    assert "Location" not in answer.headers


def test_a_sign_out_ends_both(ada: Person, proxy: Proxy) -> None:
    sign_in(ada, proxy)
    page = ada.browser.open(f"{proxy.url}/.authserve/sign-out")
    shown = ada.browser.give(page)
    assert "signed out" in shown.text
    assert ada.browser.ask(f"{proxy.url}/").status == 302
    assert ada.browser.open(f"{ada.site.url}/account").title.startswith("Sign in")


def test_a_sign_out_of_the_service_counts_at_the_next_request(ada: Person, proxy: Proxy) -> None:
    sign_in(ada, proxy)
    ada.sign_out()
    assert ada.browser.ask(f"{proxy.url}/").status == 302


def test_a_client_cannot_take_a_header_away(ada: Person, proxy: Proxy) -> None:
    """Headers that `Connection` names are for the next machine alone (RFC 9110 §7.6.1)."""
    sign_in(ada, proxy)
    named = {"Connection": "keep-alive, Remote-User, Remote-Groups"}
    headers = headers_of(ada.browser.ask(proxy.url, headers=named))
    assert headers["remote-user"] == ada.id
    assert headers["remote-groups"] == "user"


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host"])
def test_a_client_cannot_have_another_application_asked_about(
    site: Site, proxy: Proxy, header: str
) -> None:
    """Its user may be let into that one, and would so come into this one."""
    name = f"other-{len(header)}-{proxy.url.rpartition(':')[2]}"
    register_client(site, name, kind="proxy", first_party=True, origins=[f"http://{name}.test"])
    answer = requests.get(
        proxy.url,
        headers={header: f"{name}.test", "Sec-Fetch-Mode": "navigate"},
        allow_redirects=False,
        timeout=DEADLINE_SECS,
    )
    assert name not in answer.headers.get("Location", "")
