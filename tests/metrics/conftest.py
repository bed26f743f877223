"""An application that counts."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.metrics import METRICS_TOKEN, Scrape, scrape


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(metrics_token=METRICS_TOKEN)


@pytest.fixture
def read(client: FlaskClient) -> Callable[[], Scrape]:
    """Return a function that scrapes like Prometheus."""
    return lambda: scrape(client)
