"""Counters of OAuth."""

from collections.abc import Callable

import pytest
import time_machine
from flask import Flask

from tests.oidc.conftest import App, make_client, wiki  # noqa: F401 - fixtures
from tests.support.metrics import METRICS_TOKEN, scrape

TOKENS = "authserve_oauth_tokens_total"
REDEMPTIONS = "authserve_oauth_code_redemptions_total"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An identity provider that counts."""
    return make_app(features=("oidc",), metrics_token=METRICS_TOKEN)


def test_tokens_are_counted_by_grant_and_client(
    clock: time_machine.Traveller,
    app: Flask,
    wiki: App,  # noqa: F811 - the fixture
) -> None:
    code = wiki.make_code()
    refresh_token = wiki.redeem(code).get_json()["refresh_token"]
    wiki.refresh(refresh_token)
    clock.shift(11)
    wiki.redeem(code)
    wiki.redeem("x", client_id="stranger")
    found = scrape(app.test_client())
    series = {
        (dict(labels)["grant"], dict(labels)["client"]): value
        for labels, value in found.series(TOKENS).items()
    }
    assert series == {("authorization_code", "wiki"): 1, ("refresh_token", "wiki"): 1}
    outcomes = {dict(labels)["outcome"]: v for labels, v in found.series(REDEMPTIONS).items()}
    assert outcomes == {"success": 1, "refused": 2, "reused": 1}
