"""The package `oidc-provider-mock`, a provider that others wrote, on a loopback port."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests

from tests.support.crowd import DEADLINE_SECS

with warnings.catch_warnings(record=True):
    # It imports deprecated parts of Authlib, which insists on warnings.
    import oidc_provider_mock

SUBJECT = "alice at the mock"

CLAIMS: dict[str, Any] = {"email": "alice@example.com", "email_verified": True, "name": "Alice"}


@dataclass(frozen=True)
class MockProvider:
    """The provider while it runs."""

    issuer: str


@contextmanager
def mock_provider(**claims: Any) -> Iterator[MockProvider]:
    """Run the provider, which knows `SUBJECT`, for as long as the block runs.

    Args:
        claims: of the subject, in place of those in `CLAIMS`.
    """
    person = oidc_provider_mock.User(sub=SUBJECT, claims={**CLAIMS, **claims})
    with oidc_provider_mock.run_server_in_thread(user_claims=[person]) as server:
        yield MockProvider(f"http://localhost:{server.server_port}")


def authorize(url: str) -> dict[str, str]:
    """Sign the person in on its page, and return the parameters that it sends back.

    A refusal cannot be tried: it sends none with the `state` that RFC 6749 §4.1.2.1 demands.
    """
    answer = requests.post(url, data={"sub": SUBJECT}, allow_redirects=False, timeout=DEADLINE_SECS)
    assert answer.status_code == 302, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
