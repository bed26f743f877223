"""The service's name: its source, and its refusal as a password."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from authserve.settings.model import Settings, brand_name, brand_words
from tests.conftest import make_settings

PASSWORD_FAULT = "Do not use your address, your names or the name of this service."


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings("sqlite://", tmp_path, public_url="https://auth.example.com:8443")


def test_it_is_the_host_of_the_public_url(settings: Settings) -> None:
    assert brand_name(settings) == "auth.example.com"


def test_the_operator_names_it(settings: Settings) -> None:
    assert brand_name(replace(settings, brand_name="Example Cloud")) == "Example Cloud"


def test_the_host_stays_among_the_words_of_a_named_service(settings: Settings) -> None:
    words = brand_words(replace(settings, brand_name="Example Cloud"))
    assert {"Example Cloud", "ExampleCloud", "Cloud", "auth.example.com", "auth"} <= set(words)


@pytest.mark.parametrize(
    "password", ["Wolkenheim Konto", "WolkenheimKonto", "1!Wolkenheim", "Konto2026!"]
)
def test_it_is_refused_as_a_password(make_app: Callable[..., Flask], password: str) -> None:
    app = make_app(brand_name="Wolkenheim Konto")
    body = {"email": "alice@example.com", "password": password}
    answer = app.test_client().post("/api/v1/auth/register", json=body)
    assert answer.status_code == 422
    assert answer.json["errors"] == {"password": [PASSWORD_FAULT]}
