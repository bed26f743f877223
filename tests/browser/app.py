"""A small app that signs people in; it stands at two origins, as larger ones do."""

import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests

from tests.support.server import DEADLINE_SECS
from tests.support.site import Site

VERIFIER = "a-verifier-that-has-at-least-43-characters-"

STATE = "a state, exactly: +&="


class App:
    """An app of another site than the service, whose callback leads on to a second origin.

    Args:
        site: where people sign in; the host there is `localhost`, so `127.0.0.1` is another site.
        client_id: the app's own.
    """

    def __init__(self, site: Site, client_id: str) -> None:
        self.site, self.client_id, self.secret = site, client_id, ""
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), self._handler()) for _ in "12"]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        self.url, self.inside = (f"http://127.0.0.1:{each.server_port}" for each in self._servers)

    def stop(self) -> None:
        """End both servers."""
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def redeem(self, code: str) -> dict[str, Any]:
        """Return the tokens for a code (RFC 6749 §4.1.3)."""
        body = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": f"{self.url}/callback",
            "code_verifier": VERIFIER,
        }
        answer = requests.post(
            f"{self.site.url}/oauth/token",
            data=body,
            auth=(self.client_id, self.secret),
            timeout=DEADLINE_SECS,
        )
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    def _request(self, query: str) -> dict[str, str]:
        digest = sha256(VERIFIER.encode()).digest()
        return {
            "client_id": self.client_id,
            "response_type": "code",
            "redirect_uri": f"{self.url}/callback",
            "scope": "openid",
            "state": STATE,
            "code_challenge": urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
            **dict(parse_qsl(query)),
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        app = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, query = urlsplit(self.path)[2:4]
                if path == "/sign-in":
                    request = urlencode(app._request(query))
                    self._lead_to(f"{app.site.url}/oauth/authorize?{request}")
                elif path == "/callback":
                    self._lead_to(f"{app.inside}/inside?{query}")
                elif path == "/form":
                    self._show(app._form(query))
                else:
                    self._show(f"<h1>App: {escape(path)}</h1>")

            def _lead_to(self, address: str) -> None:
                self.send_response(303)
                self.send_header("Location", address)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _show(self, html: str) -> None:
                body = f"<!doctype html><link rel=icon href=data:,>{html}".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        return Handler

    def _form(self, query: str) -> str:
        """Return a page whose form sends the request by POST (OpenID Connect Core §3.1.2.1)."""
        fields = "".join(
            f'<input type=hidden name="{name}" value="{escape(value)}">'
            for name, value in self._request(query).items()
        )
        action = f"{self.site.url}/oauth/authorize"
        return f'<form method=post action="{action}">{fields}<button>Sign in</button></form>'


@contextmanager
def running_app(site: Site, client_id: str) -> Iterator[App]:
    """Run the app, and register it as a client."""
    app = App(site, client_id)
    try:
        values = {
            "name": "Wiki",
            "redirect_uris": [f"{app.url}/callback"],
            "post_logout_redirect_uris": [f"{app.url}/bye"],
            "scopes": ["openid"],
        }
        options = [f"--set={name}={json.dumps(value)}" for name, value in values.items()]
        created = site.command("clients", "create", client_id, "--kind", "web", *options)
        app.secret = json.loads(created)["client_secret"]
        yield app
    finally:
        app.stop()
