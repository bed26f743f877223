"""Google, Microsoft, GitLab and GitHub, by the shapes of their answers, at their own names.

The names lead to a loopback port, and its certificate is good for them, so the service calls them
as it does outside of tests: by https, at the addresses that its presets know.
"""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import get_default_algorithms

from tests.support.providers import HOST, Answer, ProviderServer

SHAPES: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "providers.json").read_text(encoding="utf-8")
)

NAMES = (
    "accounts.google.com",
    "oauth2.googleapis.com",
    "openidconnect.googleapis.com",
    "www.googleapis.com",
    "login.microsoftonline.com",
    "graph.microsoft.com",
    "gitlab.com",
    "github.com",
    "api.github.com",
)


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """The key that signs ID tokens."""
    return rsa.generate_private_key(65_537, 2_048)


class KnownProvider(ProviderServer):
    """A provider of the world, by the shape of its answers.

    Args:
        name: of a shape.
        tls: the server's certificate.
    """

    def __init__(self, name: str, tls: ssl.SSLContext) -> None:
        self.shape = SHAPES[name]
        super().__init__(tls)
        if name == "github":
            for path, body in self.shape["answers"].items():
                self.answers[path] = _constantly(body)
        else:
            self.claims = dict(self.shape["claims"])
            self._place_answers(self.shape["metadata"])

    @property
    def issuer(self) -> str:
        """Its own URL."""
        known = self.shape.get("metadata", {"issuer": "https://github.com"})
        return str(known["issuer"])

    def sign(self, **changes: Any) -> str:
        """An ID token by RS256, as all of them sign."""
        headers = {"kid": self.shape["key"]["kid"]}
        return jwt.encode(self.make_claims(**changes), rsa_key(), "RS256", headers=headers)

    def _place_answers(self, metadata: dict[str, Any]) -> None:
        public = json.loads(get_default_algorithms()["RS256"].to_jwk(rsa_key().public_key()))
        own = {name: value for name, value in public.items() if name != "key_ops"}
        found = {
            f"{self.issuer}/.well-known/openid-configuration": _constantly(metadata),
            metadata["jwks_uri"]: _constantly({"keys": [{**own, **self.shape["key"]}]}),
            metadata["token_endpoint"]: self._answer_code,
            metadata["userinfo_endpoint"]: lambda _: Answer(self.claims),
        }
        self.answers |= {_path(url): answer for url, answer in found.items()}


def _constantly(body: Any) -> Any:
    return lambda _: Answer(body)


def _path(url: str) -> str:
    return "/" + url.split("/", 3)[3]


@contextmanager
def known_provider(
    name: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KnownProvider]:
    """Run a provider to which its names lead, for as long as the block runs."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*NAMES).configure_cert(tls)
    server = KnownProvider(name, tls)
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *rest: Any, **options: Any) -> Any:
        if host in NAMES:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, server.port))]
        return real(host, port, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    try:
        yield server
    finally:
        server.stop()
