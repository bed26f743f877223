"""A provider of OpenID Connect on a loopback port, correct or hostile."""

import json
import ssl
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import sleep, time
from typing import Any
from urllib.parse import parse_qs, unquote

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import get_default_algorithms

HOST = "127.0.0.1"

CLIENT_ID, SECRET = "authserve", "a secret / of + the:client"

KID = "provider-1"


@dataclass
class Answer:
    """An answer of the server.

    Args:
        body: JSON unless it is bytes.
        pause_secs: between two bytes of the body, until the client has gone.
    """

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pause_secs: float = 0.0


@dataclass
class Question:
    """A request that the server got.

    Args:
        fields: of the form, else of the query.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    fields: dict[str, str]

    @property
    def credentials(self) -> tuple[str, str] | None:
        """The client's id and secret, by Basic (RFC 6749 §2.3.1) or in the body."""
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            name, _, secret = b64decode(value).decode().partition(":")
            return unquote(name), unquote(secret)
        if "client_secret" in self.fields:
            return self.fields["client_id"], self.fields["client_secret"]
        return None


@cache
def provider_key() -> ec.EllipticCurvePrivateKey:
    """The key that signs ID tokens."""
    return ec.generate_private_key(ec.SECP256R1())


def jwk_set(kid: str = KID) -> dict[str, Any]:
    """The public half, as the provider publishes it."""
    text = get_default_algorithms()["ES256"].to_jwk(provider_key().public_key())
    return {"keys": [{**json.loads(text), "kid": kid, "alg": "ES256", "use": "sig"}]}


class ProviderServer:
    """A provider; a test changes what it answers in `answers`, by path.

    Args:
        tls: its certificate; None to serve http.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.questions: list[Question] = []
        self.claims: dict[str, Any] = {
            "sub": "24400320",
            "email": "alice@example.com",
            "email_verified": True,
            "name": "Alice",
        }
        self.nonce: str | None = None
        self.answers: dict[str, Callable[[Question], Answer]] = {
            "/.well-known/openid-configuration": lambda _: Answer(self.metadata()),
            "/keys": lambda _: Answer(jwk_set()),
            "/token": self._answer_code,
            "/userinfo": lambda _: Answer(self.claims),
        }
        self._server = ThreadingHTTPServer((HOST, 0), self._handler())
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def port(self) -> int:
        """The port of its server."""
        return self._server.server_port

    @property
    def issuer(self) -> str:
        """Its URL."""
        return f"http://{HOST}:{self.port}"

    def metadata(self, **changes: Any) -> dict[str, Any]:
        """The discovery document."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "authorization_response_iss_parameter_supported": True,
            **changes,
        }

    def make_claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of an ID token."""
        now = int(time())
        return {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
            **self.claims,
            **changes,
        }

    def sign(self, **changes: Any) -> str:
        """An ID token."""
        claims = self.make_claims(**changes)
        return jwt.encode(claims, provider_key(), "ES256", headers={"kid": KID})

    def asked(self, path: str) -> list[Question]:
        """The questions for a path."""
        return [question for question in self.questions if question.path == path]

    def stop(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer_code(self, question: Question) -> Answer:
        if question.credentials != (CLIENT_ID, SECRET):
            return Answer({"error": "invalid_client"}, status=401)
        token = {"access_token": "at", "token_type": "Bearer", "id_token": self.sign()}
        return Answer(token)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._talk()

            def do_POST(self) -> None:
                self._talk()

            def log_message(self, *_args: object) -> None:
                """Stay silent."""

            def _talk(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                path, _, query = self.path.partition("?")
                fields = {name: values[0] for name, values in parse_qs(body or query).items()}
                question = Question(self.command, path, self.headers, fields)
                provider.questions.append(question)
                find = provider.answers.get(path, lambda _: Answer({}, status=404))
                answer = find(question)
                data = answer.body if isinstance(answer.body, bytes) else None
                if data is None:
                    data = json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                with suppress(ConnectionError):
                    self._send(data, answer.pause_secs)

            def _send(self, data: bytes, pause_secs: float) -> None:
                if not pause_secs:
                    self.wfile.write(data)
                    return
                for byte in data:
                    self.wfile.write(bytes([byte]))
                    sleep(pause_secs)

        return Handler


@contextmanager
def provider_server() -> Iterator[ProviderServer]:
    """A provider, for as long as the block runs."""
    server = ProviderServer()
    try:
        yield server
    finally:
        server.stop()
