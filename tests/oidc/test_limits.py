"""Limits of OAuth's calls."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from flask import Flask

from authserve.clients.kinds import ClientKind
from authserve.ratelimit.policy import (
    AUTHORIZE,
    CLIENT_FAILURES,
    FAILURES_OF_CLIENT,
    LOGOUT,
    PUBLIC_TOKENS,
    REFUSED_TOKENS,
    Limit,
)
from tests.oidc.conftest import App, MakeApp
from tests.oidc.test_codes import error
from tests.support.browsing import Visit

LIMITED = (429, "temporarily_unavailable")


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application whose limits are on."""
    return make_app(features=("pages", "oidc"), ratelimit_enabled=True)


def exceed(limit: Limit, call: Callable[[], Any]) -> Any:
    """Return the first answer over a limit; those before are not refused for it."""
    for _ in range(limit.amount):
        assert call().status_code != 429
    answer = call()
    assert int(answer.headers["Retry-After"]) > 0
    return answer


def test_a_strangers_authorize_is_limited(app: Flask) -> None:
    visit = Visit(app)
    refused = exceed(AUTHORIZE, lambda: visit.open("/oauth/authorize").response)
    assert (refused.status_code, refused.mimetype) == (429, "text/html")


def test_a_strangers_logout_is_limited(app: Flask) -> None:
    visit = Visit(app)
    refused = exceed(LOGOUT, lambda: visit.open("/oauth/logout").response)
    assert (refused.status_code, refused.mimetype) == (429, "text/html")


def test_failed_authentications_are_counted_and_others_are_not(wiki: App) -> None:
    wrong = exceed(FAILURES_OF_CLIENT, lambda: wiki.redeem("x", client_secret="x"))
    assert error(wrong) == LIMITED
    # Of an authenticated client, no call is refused.
    assert error(wiki.redeem("x")) == (400, "invalid_grant")


def test_failed_authentications_of_many_clients_are_counted_together(wiki: App) -> None:
    names = (f"app{number}" for number in count())
    wrong = exceed(CLIENT_FAILURES, lambda: wiki.redeem("x", client_id=next(names)))
    assert error(wrong) == LIMITED


def test_calls_of_an_app_without_a_secret_are_limited(make_client: MakeApp) -> None:
    spa = make_client("spa", kind=ClientKind.SPA, scopes=("openid",))
    assert error(exceed(PUBLIC_TOKENS, lambda: spa.redeem("x"))) == LIMITED


def test_refused_tokens_are_counted(wiki: App) -> None:
    token = wiki.sign_in("openid")["access_token"]
    assert error(exceed(REFUSED_TOKENS, lambda: wiki.userinfo("x"))) == LIMITED
    assert wiki.userinfo(token).status_code == 200
