"""The package `oidc-provider-mock`, a provider that others wrote, on a loopback port."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests

with warnings.catch_warnings(record=True):
    # It imports deprecated parts of Authlib, which insists on warnings.
    import oidc_provider_mock

SUBJECT = "alice at the mock"

CLAIMS: dict[str, Any] = {"email": "alice@example.com", "email_verified": True, "name": "Alice"}


@contextmanager
def mock_provider(**claims: Any) -> Iterator[str]:
    """Run the provider, which knows `SUBJECT`, for as long as the block runs.

    Args:
        claims: of the subject, in place of those in `CLAIMS`.

    Returns:
        Its issuer.
    """
    person = oidc_provider_mock.User(sub=SUBJECT, claims={**CLAIMS, **claims})
    with oidc_provider_mock.run_server_in_thread(user_claims=[person]) as server:
        yield f"http://localhost:{server.server_port}"


def authorize(url: str, subject: str | None = SUBJECT) -> dict[str, str]:
    """Answer its page as a person does; return the parameters that it sends back.

    Args:
        url: of its page.
        subject: None to deny.
    """
    fields = {"action": "deny"} if subject is None else {"sub": subject}
    answer = requests.post(url, data=fields, allow_redirects=False, timeout=60)
    assert answer.status_code == 302, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
