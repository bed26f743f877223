"""With `RATELIMIT_ENABLED=false` no call counts by the limits of pages, OAuth and API keys."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserve.core.key_text import new_key_text
from authserve.ratelimit import policy
from authserve.ratelimit.policy import Limit
from tests.support.browsing import ORIGIN, OWN_FORM

Call = Callable[[FlaskClient], int]


def get(path: str, headers: dict[str, str] | None = None) -> Call:
    return lambda client: client.get(path, headers=headers, base_url=ORIGIN).status_code


def post(path: str, fields: dict[str, str], headers: dict[str, str] | None = None) -> Call:
    return lambda client: (
        client.post(path, data=fields, headers=headers, base_url=ORIGIN).status_code
    )


def call_by_unknown_key(client: FlaskClient) -> int:
    headers = {"Authorization": f"Bearer {new_key_text('ask_')}"}
    return client.get("/api/v1/users/me", headers=headers).status_code


PROXIED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "files.example.com"}

CALLS: list[tuple[Limit, Call]] = [
    (policy.AUTHORIZE, get("/oauth/authorize")),
    (policy.LOGOUT, get("/oauth/logout")),
    (
        policy.FAILURES_OF_CLIENT,
        post("/oauth/revoke", {"token": "x", "client_id": "x", "client_secret": "x"}),
    ),
    (policy.PAGE_POSTS, post("/language", {"lang": "x"}, OWN_FORM)),
    (
        policy.PAGE_POSTS,
        post("/.authserve/sign-out", {}, {**PROXIED, "Origin": "https://files.example.com"}),
    ),
    (policy.UNKNOWN_API_KEYS, call_by_unknown_key),
]


@pytest.mark.parametrize(("limit", "call"), CALLS, ids=[limit.name for limit, _ in CALLS])
@pytest.mark.parametrize("is_on", [True, False], ids=["on", "off"])
def test_a_limit_holds_only_if_limits_are_on(
    make_app: Callable[..., Flask], limit: Limit, call: Call, is_on: bool
) -> None:
    features = ("pages", "oidc", "forward-auth", "api-keys")
    client = make_app(features=features, ratelimit_enabled=is_on).test_client()
    statuses = [call(client) for _ in range(limit.amount + 1)]
    assert 429 not in statuses[:-1]
    assert (statuses[-1] == 429) is is_on
