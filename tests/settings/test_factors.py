"""The settings of factors: what they derive from each other, and what does not fit together."""

import re
from pathlib import Path

import pytest

import config
from authserve.settings.model import Settings, SettingsError
from tests.conftest import make_settings
from tests.test_config import production


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    return tmp_path / "instance"


def passkeys_of(settings: Settings) -> tuple[str, tuple[str, ...], str]:
    return settings.passkey_rp_id, settings.passkey_origins, settings.totp_issuer


@pytest.mark.parametrize(
    ("environ", "derived"),
    [
        ({}, ("localhost", ("http://localhost:8000",), "localhost")),
        ({"PORT": "9123"}, ("localhost", ("http://localhost:9123",), "localhost")),
        (
            {"PUBLIC_URL": "HTTPS://Localhost:443"},
            ("localhost", ("https://localhost",), "localhost"),
        ),
        ({"PUBLIC_URL": "http://127.0.0.1:8000"}, ("", (), "127.0.0.1")),
        ({"PUBLIC_URL": "http://[::1]:8000"}, ("", (), "authserve")),
        ({"PUBLIC_URL": "https://auth.example.com"}, ("", (), "auth.example.com")),
        (production(), ("", (), "auth.example.com")),
        (production(PUBLIC_URL="https://localhost"), ("", (), "localhost")),
        (
            production(PASSKEY_RP_ID="example.com"),
            ("example.com", ("https://auth.example.com",), "auth.example.com"),
        ),
    ],
)
def test_what_is_not_set_follows_from_the_public_url(
    instance: Path, environ: dict[str, str], derived: object
) -> None:
    assert passkeys_of(config.load_settings(environ, instance_path=instance)) == derived


def test_the_defaults_of_tests_are_those_of_a_fresh_clone(instance: Path) -> None:
    loaded = config.load_settings({}, instance_path=instance)
    assert passkeys_of(make_settings("sqlite://", instance)) == passkeys_of(loaded)


@pytest.mark.parametrize(
    "origins",
    [
        "https://example.com",
        "https://a.b.example.com:8443",
        f"https://auth.example.com android:apk-key-hash:{'a' * 43}",
    ],
)
def test_production_accepts_origins_at_or_under_the_rp_id(instance: Path, origins: str) -> None:
    environ = production(PASSKEY_RP_ID="example.com", PASSKEY_ORIGINS=origins)
    settings = config.load_settings(environ, instance_path=instance)
    assert settings.passkey_origins == tuple(origins.split())


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        # Without TLS, at another domain, and at one that only ends in the same letters.
        ({"PASSKEY_RP_ID": "localhost", "PASSKEY_ORIGINS": "http://localhost"}, "PASSKEY_ORIGINS"),
        (
            {"PASSKEY_RP_ID": "example.com", "PASSKEY_ORIGINS": "https://a.example"},
            "PASSKEY_ORIGINS",
        ),
        (
            {"PASSKEY_RP_ID": "example.com", "PASSKEY_ORIGINS": "https://notexample.com"},
            "PASSKEY_ORIGINS",
        ),
        ({"PASSKEY_RP_ID": "example.org"}, "PASSKEY_ORIGINS"),
        ({"EMAIL_SIGN_IN": "on", "EMAIL_VERIFICATION": "off"}, "EMAIL_SIGN_IN"),
        ({"EMAIL_SIGN_IN": "on", "MAIL_URL": "console:"}, "MAIL_URL"),
    ],
)
def test_production_refuses_what_does_not_fit_together(
    instance: Path, environ: dict[str, str], name: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        config.load_settings(production(**environ), instance_path=instance)
    (fault,) = caught.value.faults
    assert re.match(f"{name}: ", fault)


def test_a_faulty_address_causes_no_second_fault(instance: Path) -> None:
    environ = {"PUBLIC_URL": "auth.example.com", "PASSKEY_ORIGINS": "https://auth.example.com"}
    with pytest.raises(SettingsError) as caught:
        config.load_settings(environ, instance_path=instance)
    assert [fault.partition(":")[0] for fault in caught.value.faults] == ["PUBLIC_URL"]
