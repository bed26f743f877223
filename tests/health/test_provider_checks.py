"""The checks of providers of sign-in."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from authserve.core.findings import Finding, Level
from authserve.federation.policy import LinkPolicy
from authserve.federation.presets import Preset
from authserve.health import provider_checks
from authserve.health.data_checks import check_unused_providers
from authserve.health.doctor import examine
from authserve.health.provider_checks import (
    check_address_proof,
    check_provider_answers,
    check_provider_secrets,
    check_provider_values,
    check_redirect_uris,
)
from authserve.settings.model import SETTINGS, EmailVerification, Settings
from tests.support.identity_providers import give_provider
from tests.support.provider_sign_in import LOOPBACK
from tests.support.providers import Answer, ProviderServer, provider_server

OK, WARNING, FAILURE = Level.OK, Level.WARNING, Level.FAILURE

FEATURES = ("pages", "federation")


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with providers, which may be on this machine."""
    return make_app(features=FEATURES, outbound_hosts=LOOPBACK)


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with provider_server() as running:
        yield running


def run(app: Flask, check: Callable[[Settings], Finding]) -> Finding:
    with app.app_context():
        return check(SETTINGS.get())


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({}, None),
        ({"link": LinkPolicy.VERIFIED, "trusts_email": True}, None),
        ({"link": LinkPolicy.VERIFIED}, "--trusts-email"),
        ({"issuer": "http://127.0.0.1"}, "not https"),
        ({"issuer": "http://127.0.0.1", "enabled": False}, None),
    ],
    ids=["default", "trusted", "verified", "http", "disabled"],
)
def test_values_without_effect_or_tls_are_named(
    app: Flask, values: dict[str, Any], word: str | None
) -> None:
    give_provider(app, "work", preset=Preset.OIDC, **{"issuer": "https://id.example.org", **values})
    found = run(app, check_provider_values)
    assert found.level is (OK if word is None else WARNING)
    assert word is None or (found.message.startswith("work (") and word in found.message)


def test_a_secret_that_no_key_decrypts_is_a_failure(
    make_app: Callable[..., Flask], app: Flask
) -> None:
    give_provider(app)
    assert run(app, check_provider_secrets).level is OK
    other = make_app(features=FEATURES, secret_key="another secret for tests, 9876543210")
    found = run(other, check_provider_secrets)
    assert (found.level, "google" in found.message) == (FAILURE, True)


def test_providers_that_are_away_or_late_are_named(
    app: Flask, server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for slug in ("first", "second", "third"):
        give_provider(app, slug, preset=Preset.OIDC, issuer=server.issuer, enabled=slug != "third")
    assert run(app, check_provider_answers).message == "Providers that answer: 2."
    with monkeypatch.context() as patched:
        patched.setattr(provider_checks, "MAX_CALLED", 1)
        assert run(app, check_provider_answers).message == "Providers that answer: 1."
    metadata, late = server.metadata(), {"Age": "70"}
    server.answers["/.well-known/openid-configuration"] = lambda _: Answer(metadata, headers=late)
    found = run(app, check_provider_answers)
    assert (found.level, "first (The provider's is " in found.message) == (WARNING, True)
    give_provider(app, "gone", preset=Preset.OIDC, issuer="http://127.0.0.1:9")
    assert "gone (no program listens at its port" in run(app, check_provider_answers).message


def test_addresses_that_no_one_verifies_are_a_warning(make_app: Callable[..., Flask]) -> None:
    off = make_app(features=("pages", "federation"), email_verification=EmailVerification.OFF)
    assert run(off, check_address_proof).level is OK
    give_provider(off)
    assert "EMAIL_VERIFICATION=off" in run(off, check_address_proof).message
    optional = make_app(features=("pages", "federation"))
    assert run(optional, check_address_proof).level is OK


def test_redirect_uris_are_listed(app: Flask) -> None:
    give_provider(app)
    uri = "http://localhost:8000/sign-in/with/google/callback"
    assert f"google ({uri})" in run(app, check_redirect_uris).message


def test_providers_without_the_feature_are_named(
    make_app: Callable[..., Flask], app: Flask
) -> None:
    give_provider(app)
    assert run(app, check_unused_providers).level is OK
    found = run(make_app(features=("pages",)), check_unused_providers)
    assert (found.level, "FEATURES lacks federation" in found.message) == (WARNING, True)


def test_doctor_has_the_checks(app: Flask) -> None:
    with app.app_context():
        names = {finding.check for finding in examine()}
    assert {"provider values", "provider secrets", "provider answers"} <= names
    assert {"provider redirect URIs", "unused providers", "provider addresses"} <= names
