"""The promises of `config.py`, and of the programs that start with it."""

import json
import multiprocessing
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from io import StringIO
from ipaddress import ip_network
from pathlib import Path

import pytest
from dotenv import dotenv_values

import config
from authserve.core.cpu_quota import count_usable_cores
from authserve.core.outbound_hosts import OutboundHosts
from authserve.settings.model import EmailVerification, Mfa, Registration, Settings, SettingsError
from authserve.settings.return_urls import ReturnURL
from authserve.settings.secrets import find_weakness
from tests.support import processes
from tests.support.crowd import DEADLINE_SECS

SECRET = "kV3mXq8ZtR1wYb6NcJ4hLd9PfGs2uAe7"
OTHER_SECRET = "Tg5yHnU8jMkI9oLpQ2wEsXdZrFcVv4Ba"
LEAK = "hunter2-do-not-print"

PRODUCTION = {
    "APP_ENV": "production",
    "SECRET_KEY": SECRET,
    "DATABASE_URL": "postgres://app:pw@db.internal/auth",
    "PUBLIC_URL": "https://auth.example.com",
    "MAIL_URL": "smtps://mailer:pw@mail.example.com",
    "MAIL_FROM": "Example <auth@example.com>",
    "TRUSTED_PROXIES": "1",
}

DERIVED_FIELDS = {"instance_path", "other_names", "password_cost", "sources"}
"""Fields that are no variable."""

Load = Callable[..., Settings]


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    return tmp_path / "instance"


@pytest.fixture
def load(instance: Path) -> Load:
    def load_with(**environ: str) -> Settings:
        return config.load_settings(environ, instance_path=instance)

    return load_with


@pytest.fixture
def faults_of(load: Load) -> Callable[..., tuple[str, ...]]:
    def collect(**environ: str) -> tuple[str, ...]:
        with pytest.raises(SettingsError) as caught:
            load(**environ)
        return caught.value.faults

    return collect


Faults = Callable[..., tuple[str, ...]]


def production(**changes: str | None) -> dict[str, str]:
    """Settings that production accepts, with `changes`; None removes one."""
    environ: dict[str, str | None] = {**PRODUCTION, **changes}
    return {name: value for name, value in environ.items() if value is not None}


# Defaults


def test_it_starts_with_no_configuration_at_all(load: Load, instance: Path) -> None:
    settings = load()
    assert settings.app_env == "development"
    assert not settings.is_production
    assert settings.instance_path == instance
    assert settings.database_url == f"sqlite:///{instance}/authserve.db"
    assert settings.public_url == "http://localhost:8000"
    assert settings.access_token_ttl == timedelta(seconds=600)
    assert settings.refresh_idle_ttl == timedelta(seconds=1_209_600)
    assert settings.session_ttl == timedelta(seconds=2_592_000)
    assert settings.refresh_reuse_grace == timedelta(seconds=10)
    assert settings.fresh_ttl == timedelta(seconds=300)
    assert settings.web_concurrency == min(count_usable_cores(), 64)
    assert settings.web_threads == 32


def test_it_makes_the_instance_folder_for_its_owner_only(load: Load, instance: Path) -> None:
    load()
    assert stat.S_IMODE(instance.stat().st_mode) == 0o700


def test_it_makes_nothing_when_every_secret_is_set(load: Load, instance: Path) -> None:
    load(**PRODUCTION)
    assert not instance.exists()


def test_a_refused_start_leaves_nothing_behind(faults_of: Faults, instance: Path) -> None:
    faults_of(PORT="http")
    assert not instance.exists()


def test_every_field_is_a_variable_and_the_other_way_round() -> None:
    names = {field.name.upper() for field in fields(Settings) if field.name not in DERIVED_FIELDS}
    assert set(config.SETTINGS) == names


# One variable at a time

ACCEPTED = [
    ("APP_ENV", "test", "test"),
    ("APP_ENV", "Development", "development"),
    ("SECRET_KEY", SECRET, SECRET),
    ("SECRET_KEY", "ü" * 16, "ü" * 16),
    ("SECRET_KEY_FALLBACKS", "", ()),
    ("SECRET_KEY_FALLBACKS", f"{SECRET}, {OTHER_SECRET}", (SECRET, OTHER_SECRET)),
    ("DATABASE_URL", "postgres://u:p@h:5432/d", "postgresql+psycopg2://u:p@h:5432/d"),
    ("DATABASE_URL", "postgresql://u:p@h/d", "postgresql+psycopg2://u:p@h/d"),
    ("DATABASE_URL", "postgresql+psycopg2://u:p@h/d", "postgresql+psycopg2://u:p@h/d"),
    ("DATABASE_URL", "postgres://u:p%40%2F@h/d", "postgresql+psycopg2://u:p%40%2F@h/d"),
    (
        "DATABASE_URL",
        "postgres://h/d?sslmode=require",
        "postgresql+psycopg2://h/d?sslmode=require",
    ),
    ("DATABASE_URL", "sqlite:////tmp/some.db", "sqlite:////tmp/some.db"),
    ("PUBLIC_URL", "https://auth.example.com/", "https://auth.example.com"),
    ("PUBLIC_URL", "http://localhost:8080", "http://localhost:8080"),
    ("PUBLIC_URL", "http://[::1]:8080", "http://[::1]:8080"),
    ("PUBLIC_URL", "HTTPS://a-1.example.com.", "https://a-1.example.com."),
    ("PUBLIC_URL", "https://हिन्दी.example.com", "https://हिन्दी.example.com"),
    ("FEATURES", "none", ()),
    ("FEATURES", "pages", ("pages",)),
    ("FEATURES", "pages, oidc", ("pages", "oidc")),
    ("FEATURES", "forward-auth oidc pages", ("forward-auth", "oidc", "pages")),
    ("FEATURES", "federation,pages", ("federation", "pages")),
    ("API_KEY_PREFIX", "acme_live_", "acme_live_"),
    ("BRAND_NAME", "", ""),
    ("BRAND_NAME", " Example Cloud ", "Example Cloud"),
    ("BRAND_NAME", "ü" * 40, "ü" * 40),
    ("BRAND_LOGO", "", None),
    (
        "BRAND_LOGO",
        "authserve/verification/static/icon.svg",
        config.ROOT / "authserve/verification/static/icon.svg",
    ),
    ("BRAND_COLOR", "#AB12ef", "#ab12ef"),
    ("BRAND_TERMS_URL", "https://example.com/terms", "https://example.com/terms"),
    ("BRAND_PRIVACY_URL", "", ""),
    ("BRAND_SUPPORT_URL", "mailto:help@example.com", "mailto:help@example.com"),
    ("LANGUAGES", "de", ("de",)),
    ("LANGUAGES", "ES, en", ("es", "en")),
    ("DEFAULT_LANGUAGE", "DE", "de"),
    ("REGISTRATION", "Closed", Registration.CLOSED),
    ("REGISTRATION_DOMAINS", "", ()),
    (
        "REGISTRATION_DOMAINS",
        "Example.com, bücher.example b.example",
        ("example.com", "xn--bcher-kva.example", "b.example"),
    ),
    ("USERNAME_HOLD", "30 days", timedelta(days=30)),
    ("USERNAME_HOLD", "0", timedelta(0)),
    ("NEW_DEVICE_MAIL", "OFF", False),
    ("NEW_DEVICE_MAIL", "on", True),
    ("JWT_AUDIENCE", "https://api.example.com", "https://api.example.com"),
    ("ACCESS_TOKEN_TTL", "60", timedelta(seconds=60)),
    ("ACCESS_TOKEN_TTL", "3600", timedelta(hours=1)),
    ("REFRESH_IDLE_TTL", "1", timedelta(seconds=1)),
    ("SESSION_TTL", "31536000", timedelta(days=365)),
    ("REFRESH_REUSE_GRACE", "0", timedelta(0)),
    ("REFRESH_REUSE_GRACE", "10", timedelta(seconds=10)),
    ("FRESH_TTL", "1", timedelta(seconds=1)),
    ("SSO_IDLE_TTL", "60", timedelta(minutes=1)),
    ("SSO_TTL", "86400", timedelta(days=1)),
    ("EMAIL_VERIFICATION", "required", EmailVerification.REQUIRED),
    ("EMAIL_VERIFICATION", "off", EmailVerification.OFF),
    ("RATELIMIT_STORAGE_URL", "database:", "database:"),
    ("RATELIMIT_STORAGE_URL", "redis://cache.internal", "redis://cache.internal"),
    ("RATELIMIT_STORAGE_URL", "rediss://:p%40@[::1]:6380/15", "rediss://:p%40@[::1]:6380/15"),
    ("RATELIMIT_ENABLED", "False", False),
    ("MAIL_URL", "console:", "console:"),
    ("MAIL_URL", "file:///var/mail/out", "file:///var/mail/out"),
    ("MAIL_URL", "smtp://mail.example.com", "smtp://mail.example.com"),
    ("MAIL_URL", "smtp://u:p@h:587?tls=starttls", "smtp://u:p@h:587?tls=starttls"),
    ("MAIL_URL", "smtps://u:p%40@[::1]:465/", "smtps://u:p%40@[::1]:465/"),
    ("MAIL_FROM", "auth@example.com", "auth@example.com"),
    ("MAIL_HELO", "", ""),
    ("MAIL_HELO", "mx-1.example.com", "mx-1.example.com"),
    ("MAIL_HELO", "localhost", "localhost"),
    ("MAIL_HELO", "[192.0.2.1]", "[192.0.2.1]"),
    ("MAIL_HELO", "[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
    ("MAIL_FROM", '"Müller, Söhne" <auth@mail.local>', '"Müller, Söhne" <auth@mail.local>'),
    ("MAIL_TEMPLATES", "", None),
    ("MAIL_TEMPLATES", "tests", config.ROOT / "tests"),
    ("VERIFY_URL", "", ""),
    ("RESET_URL", "http://localhost:3000/#/reset/{token}", "http://localhost:3000/#/reset/{token}"),
    ("INVITE_URL", "https://app.example.com#t={token}", "https://app.example.com#t={token}"),
    ("RETURN_URLS", "", ()),
    (
        "RETURN_URLS",
        "https://App.example.com:443/inside/, http://localhost:3000",
        (
            ReturnURL("https", "app.example.com", 443, "/inside"),
            ReturnURL("http", "localhost", 3000, ""),
        ),
    ),
    ("PAGES_TEMPLATES", "", None),
    ("PASSWORD_MIN_LENGTH", "8", 8),
    ("PASSWORD_MIN_LENGTH", "64", 64),
    ("BREACHED_PASSWORDS_URL", "", ""),
    ("BREACHED_PASSWORDS_URL", "https://ranges.example.com/", "https://ranges.example.com"),
    ("BREACHED_PASSWORDS_URL", "https://[2001:db8::1]:8443/v1", "https://[2001:db8::1]:8443/v1"),
    ("BREACHED_PASSWORDS_URL", "http://localhost:8080/range", "http://localhost:8080/range"),
    ("BREACHED_PASSWORDS_URL", "http://[::1]:8080/range/", "http://[::1]:8080/range"),
    ("MFA", "off", Mfa.OFF),
    ("MFA", "Required", Mfa.REQUIRED),
    ("MFA_ENROLL_BY", "2027-01-31T12:30:00Z", datetime(2027, 1, 31, 12, 30, tzinfo=UTC)),
    ("MFA_RESET_DELAY", "604800", timedelta(days=7)),
    ("PASSKEY_RP_ID", "localhost", "localhost"),
    (
        "PASSKEY_ORIGINS",
        f"http://localhost:3000, https://app.localhost android:apk-key-hash:{'aB_-' * 10}xyz",
        (
            "http://localhost:3000",
            "https://app.localhost",
            f"android:apk-key-hash:{'aB_-' * 10}xyz",
        ),
    ),
    ("TOTP_ISSUER", " Example Cloud", "Example Cloud"),
    ("TOTP_ISSUER", "ü" * 40, "ü" * 40),
    ("EMAIL_SIGN_IN", "on", True),
    ("TRUSTED_PROXIES", "0", 0),
    ("TRUSTED_PROXIES", "10", 10),
    ("DATABASE_POOL_SIZE", "1", 1),
    ("DATABASE_POOL_SIZE", "100", 100),
    ("HASH_NICENESS", "0", 0),
    ("HASH_NICENESS", "19", 19),
    ("AUDIT_RETENTION", "400 days", timedelta(days=400)),
    ("AUDIT_RETENTION", "1 day", timedelta(days=1)),
    ("AUDIT_RETENTION", "36500", timedelta(days=36_500)),
    ("OUTBOUND_HOSTS", "", OutboundHosts()),
    (
        "OUTBOUND_HOSTS",
        "Wiki.internal. my_app, xn--bcher-kva.example 10.0.0.0/8 [fd00::1] 169.254.169.254",
        OutboundHosts(
            names=frozenset({"wiki.internal", "my_app", "xn--bcher-kva.example"}),
            networks=tuple(map(ip_network, ("10.0.0.0/8", "fd00::1", "169.254.169.254"))),
        ),
    ),
    (
        "FORWARD_AUTH_NETWORKS",
        "172.18.0.0/16, 10.0.0.1 [fd00::1]",
        tuple(map(ip_network, ("172.18.0.0/16", "10.0.0.1", "fd00::1"))),
    ),
    ("CORS_ORIGINS", "", ()),
    ("CORS_ORIGINS", "https://app.example.com", ("https://app.example.com",)),
    (
        "CORS_ORIGINS",
        "https://a.example.com, http://localhost:3000 https://[2001:db8::1]:8443,",
        ("https://a.example.com", "http://localhost:3000", "https://[2001:db8::1]:8443"),
    ),
    (
        "CORS_ORIGINS",
        "capacitor://localhost tauri://localhost, chrome-extension://abcdefghijklmnop",
        ("capacitor://localhost", "tauri://localhost", "chrome-extension://abcdefghijklmnop"),
    ),
    ("FLASK_SECURITY_SALT", "", ""),
    ("FLASK_SECURITY_SALT", "a salt, as it is ", "a salt, as it is "),
    ("METRICS_TOKEN", "", ""),
    ("METRICS_TOKEN", SECRET, SECRET),
    ("METRICS_TOKEN", "-._~+/" * 6 + "==", "-._~+/" * 6 + "=="),
    ("LOG_LEVEL", "warning", "WARNING"),
    ("LOG_LEVEL", "CRITICAL", "CRITICAL"),
    ("HOST", "0.0.0.0", ("0.0.0.0",)),
    ("HOST", "127.0.0.1, [::1]", ("127.0.0.1", "::1")),
    ("HOST", "2001:DB8:0::1 ::", ("2001:db8::1", "::")),
    ("PORT", "1", 1),
    ("PORT", "65535", 65_535),
    ("WEB_CONCURRENCY", "64", 64),
    ("WEB_THREADS", "2", 2),
    ("WEB_THREADS", "256", 256),
    ("DRAIN_SECONDS", "0", 0),
    ("DRAIN_SECONDS", "300", 300),
]


@pytest.mark.parametrize(("name", "text", "value"), ACCEPTED)
def test_it_accepts(load: Load, name: str, text: str, value: object) -> None:
    assert getattr(load(**{name: text}), name.lower()) == value


REFUSED = {
    "APP_ENV": ["prod", "staging", " production"],
    "SECRET_KEY": ["a" * 31, "ü" * 15, "\udcff" * 40],
    "SECRET_KEY_FALLBACKS": ["short", f"{SECRET},", f"{SECRET},short"],
    "DATABASE_URL": [
        "nonsense",
        "mysql://u:p@h/d",
        "postgresql+asyncpg://u:p@h/d",
        "postgresql://h:port/d",
        "postgresql://h:65536/d",
        "postgresql://h/d\n",
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file:some.db?uri=true",
        "sqlite://relative/some.db",
    ],
    "PUBLIC_URL": [
        "auth.example.com",
        "ftp://auth.example.com",
        "https://",
        "https://auth.example.com/path",
        "https://auth.example.com/?query",
        "https://auth.example.com/#fragment",
        "https://user:pw@auth.example.com",
        "https://auth.example.com:65536",
        "https://auth.example.com:0",
        "https://auth example.com",
        "https://auth.example.com\n",
        "https://auth..example.com",
        "https://-auth.example.com",
        "https://auth-.example.com",
        "https://au_th.example.com",
        "https://auth%2eexample.com",
        "https://[auth]",
        f"https://{'a' * 64}.example.com",
    ],
    "FEATURES": ["oidc", "federation", "pages,forward-auth", "none,oidc", "none,none", "all", ","],
    "API_KEY_PREFIX": ["ask", "_", "Ask_", "1_", "as_cs_", "a" * 16 + "_", "a-b_"],
    "BRAND_NAME": ["  ", "a\nb", "a" * 41],
    "BRAND_LOGO": ["nowhere.svg", "README.md", "tests"],
    "BRAND_COLOR": ["blue", "#24a", "#2457a6ff", "2457a6"],
    "BRAND_TERMS_URL": ["http://example.com", "javascript:alert(1)", "https://a b", "/terms"],
    "BRAND_PRIVACY_URL": ["privacy.example.com"],
    "BRAND_SUPPORT_URL": ["help@example.com", "mailto:help"],
    "LANGUAGES": ["fr", "de,de", ",", "qps"],
    "DEFAULT_LANGUAGE": ["fr", "qps", "de,en"],
    "REGISTRATION": ["true", "invite"],
    "REGISTRATION_DOMAINS": ["*.example.com", "@example.com", "a@example.com", "localhost", "a\nb"],
    "USERNAME_HOLD": ["-1", "1 year", "36501"],
    "NEW_DEVICE_MAIL": ["true", "yes", "0"],
    "JWT_AUDIENCE": ["  ", "a\nb"],
    "ACCESS_TOKEN_TTL": ["59", "3601", "600s", "600.0", "-600", "+600", " 600", "6_00", "٦٠٠"],
    "REFRESH_IDLE_TTL": ["0", "14 days", "9" * 30],
    "SESSION_TTL": ["0", "1e6", "315360001"],
    "REFRESH_REUSE_GRACE": ["11", "-1"],
    "FRESH_TTL": ["0", "five"],
    "EMAIL_VERIFICATION": ["true", "always"],
    "SSO_IDLE_TTL": ["59", "a day"],
    "SSO_TTL": ["0"],
    "RETURN_URLS": [
        "app.example.com",
        "http://app.example.com",
        "https://a.example?x=1",
        "https:///a",
    ],
    "PAGES_TEMPLATES": ["nowhere", "tests"],
    "MAIL_URL": [
        "console",
        "console://",
        "sendmail:",
        "file://folder",
        "file:///",
        "file:///folder?mode=0600",
        "file:///folder#mails",
        "file:folder",
        "smtp://",
        "smtp:mail.example.com",
        "smtp://h:0",
        "smtp://h:smtp",
        "smtp://u@h",
        "smtp://:p@h",
        "smtp://u:p/w@h",
        "smtp://u:p#w@h",
        "smtp://h/path",
        "smtp://h?tls=none",
        "smtp://h?starttls=1",
        "smtps://h?tls=starttls",
        "smtp://h h",
        "smtp://[::1",
        "smtp://h\r\n",
    ],
    "RATELIMIT_STORAGE_URL": [
        "database",
        "memory://",
        "memcached://h",
        "redis:",
        "redis://",
        "redis:///0",
        "redis://h:0",
        "redis://h:port",
        "redis://h/cache",
        "redis://h/0/1",
        "redis://h?socket_timeout=60",
        "redis://u:p#w@h",
        "redis://h h",
        "redis://h\n",
    ],
    "RATELIMIT_ENABLED": ["1", "yes", "off"],
    "MAIL_HELO": ["-a", "a..b", "a b", "bücher.example", "192.0.2.1]", "a\r\nMAIL", "x" * 256],
    "MAIL_FROM": [
        "authserve",
        "a@b, c@d",
        "group: a@b;",
        "Name <a@b> more",
        "Name <a@b",
        "a b@c.d",
        "a@[127.0.0.1]",
        "a@b\r\nBcc: c@d",
        "Name\n <a@b>",
        "ä@example.com",
    ],
    "MAIL_TEMPLATES": ["no/such/folder", "config.py"],
    "VERIFY_URL": [
        "/verify#{token}",
        "https://app.example.com/verify",
        "https://app.example.com/verify?token={token}",
        "https://app.example.com/{token}#x",
        "https://app.example.com/{token}#{token}",
        "https://app.example.com/#{token}{token}",
        "https://user:pw@app.example.com/#{token}",
        "javascript:alert()#{token}",
        "app://verify#{token}",
    ],
    "RESET_URL": ["https://app.example.com/reset"],
    "EMAIL_CHANGE_URL": ["https://app.example.com/email"],
    "INVITE_URL": ["https://app.example.com/invite"],
    "PASSWORD_MIN_LENGTH": ["7", "65", "eight"],
    "BREACHED_PASSWORDS_URL": [
        "ranges.example.com",
        "http://ranges.example.com",
        "http://10.0.0.1/range",
        "http://localhost.example.com/range",
        "http://127.0.0.1@ranges.example.com/range",
        "https://user:password@ranges.example.com/range",
        "https://ranges.example.com/range?key=1",
        "https://ranges.example.com/range#",
        "https://ranges.example.com/range#top",
        "https://ranges.example.com:0/range",
        "https://ranges.example.com:65536/range",
        "https://ranges.example.com/\u00e4",
        "https:///range",
        "file:///etc/passwd",
        "ftp://ranges.example.com/range",
        "https://ranges.example.com/ra nge",
        "https://ranges.example.com/range\r\nX: y",
    ],
    "MFA": ["on", "true"],
    "MFA_ENROLL_BY": [
        "2027-01-31",
        "2027-01-31T00:00:00",
        "2027-01-31T00:00:00+00:00",
        "2027-01-31 00:00:00Z",
        "2027-02-29T00:00:00Z",
        "tomorrow",
    ],
    "MFA_RESET_DELAY": ["604801", "-1", "7 days"],
    "PASSKEY_RP_ID": [
        "com",
        "127.0.0.1",
        "::1",
        "1.2.3",
        "Example.com",
        "example.com.",
        "https://example.com",
        "example.com:443",
        "*.example.com",
        "bücher.example",
        "-a.example.com",
        "a..example.com",
        "example.com\n",
        f"{'a' * 64}.example.com",
        f"{'a.' * 127}com",
    ],
    "PASSKEY_ORIGINS": [
        ",",
        "*",
        "localhost",
        "http://localhost:3000/",
        "http://localhost:80",
        "HTTP://localhost",
        "https://*.localhost",
        "capacitor://localhost",
        "ios:bundle-id:com.example",
        f"android:apk-key-hash:{'a' * 42}",
        f"android:apk-key-hash:{'a' * 43}=",
        f"android:apk-key-hash:{'a' * 42}+",
        "https://evillocalhost",
        "https://localhost.example.com",
        "https://app.example.com",
        "http://127.0.0.1:8000",
    ],
    "TOTP_ISSUER": ["  ", "a:b", "a\nb", "a" * 41],
    "EMAIL_SIGN_IN": ["true", "1"],
    "TRUSTED_PROXIES": ["-1", "11", "true"],
    "DATABASE_POOL_SIZE": ["0", "101"],
    "HASH_NICENESS": ["-1", "20"],
    "AUDIT_RETENTION": ["0", "36501 days", "1 year", "days", "400  days", "400 days\n", "4e2"],
    "FORWARD_AUTH_NETWORKS": ["proxy", "10.0.0.1/8", "10.0.0.0/8 proxy", "fe80::1%eth0", " "],
    "OUTBOUND_HOSTS": [
        "*",
        "*.internal",
        "https://wiki.internal",
        "wiki.internal:8080",
        "wiki.internal/path",
        "bücher.example",
        "127.1",
        "10.0.0.1/8",
        "fe80::1%eth0",
        "-wiki",
    ],
    "CORS_ORIGINS": [
        "*",
        "null",
        "app.example.com",
        "https://*.example.com",
        "https://*",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://app.example.com?",
        "https://app.example.com?q",
        "https://app.example.com#",
        "https://app.example.com:443",
        "http://localhost:80",
        "http://localhost:",
        "https://App.example.com",
        "HTTPS://app.example.com",
        "https://user@app.example.com",
        "https://\u00e4pp.example.com",
        "https://app.example.com;https://b.example.com",
        "https://app.example.com\nhttps://b.example.com",
        "https://a.example.com, *",
        "file://",
        "file://localhost",
        "data://x",
        "ws://localhost",
        "javascript://x",
        "capacitor://",
        "capacitor://localhost/",
        "Capacitor://localhost",
        "tauri://*",
        "chrome-extension://user@abc",
    ],
    "METRICS_TOKEN": ["short", "a b" * 20, "ü" * 40, "x" * 600, "a" * 40 + "\n"],
    "FLASK_SECURITY_SALT": ["a\nb", "a\x07b"],
    "LOG_LEVEL": ["WARN", "NOTSET", "20"],
    "HOST": [
        ",",
        "localhost",
        "0.0.0.0:8000",
        "[::1]:8000",
        "[::1",
        "127.1",
        "*",
        "10.0.0.0/8",
    ],
    "PORT": ["0", "65536", "http"],
    "WEB_CONCURRENCY": ["0", "65", "auto"],
    "WEB_THREADS": ["1", "257"],
    "DRAIN_SECONDS": ["-1", "301", "5 s"],
}


@pytest.mark.parametrize(("name", "text"), [(n, text) for n in REFUSED for text in REFUSED[n]])
def test_it_refuses(faults_of: Faults, name: str, text: str) -> None:
    (fault,) = faults_of(**{name: text})
    assert fault.startswith(f"{name}: ")


@pytest.mark.parametrize("name", config.SETTINGS)
def test_an_empty_variable_counts_as_unset(load: Load, name: str) -> None:
    settings = load(**{name: "", f"{name}_FILE": ""})
    assert settings == load()
    assert settings.sources[name] in ("default", "made")


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"PORT": "9123"}, "http://localhost:9123"),
        ({"PORT": "9123", "PUBLIC_URL": ""}, "http://localhost:9123"),
        ({"PORT": "9123", "PUBLIC_URL": "http://auth.test"}, "http://auth.test"),
    ],
)
def test_the_port_alone_moves_the_default_address(
    load: Load, environ: dict[str, str], url: str
) -> None:
    assert load(**environ).public_url == url


def test_every_variable_is_refused_something() -> None:
    assert set(REFUSED) == set(config.SETTINGS)


def test_it_names_every_fault_at_once(faults_of: Faults) -> None:
    wrong = {name: texts[0] for name, texts in REFUSED.items()}
    assert [fault.partition(":")[0] for fault in faults_of(**wrong)] == list(config.SETTINGS)


def test_the_message_has_a_line_for_each_fault(load: Load) -> None:
    with pytest.raises(SettingsError) as caught:
        load(PORT="http", LOG_LEVEL="loud")
    assert str(caught.value).splitlines() == [
        "authserve cannot start as it is configured:",
        "  LOG_LEVEL: must be one of: DEBUG, INFO, WARNING, ERROR, CRITICAL",
        "  PORT: must be a whole number from 1 to 65535",
    ]


def test_a_relative_sqlite_path_belongs_to_the_project(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(DATABASE_URL="sqlite:///tests/some.db?timeout=5")
    assert settings.database_url == f"sqlite:///{config.ROOT}/tests/some.db?timeout=5"


def test_the_sqlite_folder_is_made_but_not_its_parents(
    load: Load, faults_of: Faults, tmp_path: Path
) -> None:
    load(DATABASE_URL=f"sqlite:///{tmp_path}/data/some.db")
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    (fault,) = faults_of(DATABASE_URL=f"sqlite:///{tmp_path}/no/such/some.db")
    assert fault == "DATABASE_URL: has no folder to be in (No such file or directory)"


ISSUER = "https://auth.example.com"


@pytest.mark.parametrize("audience", [ISSUER, f"{ISSUER}/", f"{ISSUER}/api/v1"])
def test_no_token_of_an_app_has_the_services_own_audience(
    load: Load, faults_of: Faults, audience: str
) -> None:
    given = {"PUBLIC_URL": ISSUER, "JWT_AUDIENCE": audience}
    (fault,) = faults_of(**given, FEATURES="pages,oidc")
    assert fault.startswith("JWT_AUDIENCE: must be neither PUBLIC_URL nor its /api/v1")
    assert load(**given).jwt_audience == audience
    other = {"JWT_AUDIENCE": f"{ISSUER}/api", "FEATURES": "pages,oidc"}
    assert load(**given | other).features == ("pages", "oidc")


# Lifetimes


@pytest.mark.parametrize(
    ("name", "seconds"), [("ACCESS_TOKEN_TTL", "601"), ("REFRESH_IDLE_TTL", "601")]
)
def test_nothing_outlasts_the_session(faults_of: Faults, name: str, seconds: str) -> None:
    (fault,) = faults_of(**{name: seconds, "SESSION_TTL": "600"})
    assert fault.startswith(f"{name}: must not be longer than SESSION_TTL")


def test_lifetimes_may_be_as_long_as_the_session(load: Load) -> None:
    load(ACCESS_TOKEN_TTL="600", REFRESH_IDLE_TTL="600", SESSION_TTL="600")


def test_the_defaults_fit_into_a_short_session(load: Load) -> None:
    settings = load(SESSION_TTL="300")
    assert settings.refresh_idle_ttl == settings.access_token_ttl == timedelta(seconds=300)


# Secrets


def secret_values() -> Iterator[tuple[str, str]]:
    """Texts of every variable that may hold a secret, each faulty, each with the secret in it."""
    yield "SECRET_KEY", LEAK
    yield "SECRET_KEY_FALLBACKS", f"{SECRET},{LEAK}"
    yield "DATABASE_URL", f"mysql://user:{LEAK}@h/d"
    yield "DATABASE_URL", f"postgresql://user:{LEAK}@h:port/d"
    yield "DATABASE_URL", f"{LEAK}"
    yield "DATABASE_URL", f"sqlite:////no/such/{LEAK}/some.db"
    yield "MAIL_URL", f"smtp://user:{LEAK}@h/path"
    yield "MAIL_URL", f"smtp://user:{LEAK}@h:port"
    yield "MAIL_URL", f"smtp://user:{LEAK}@[::1"
    yield "RATELIMIT_STORAGE_URL", f"redis://user:{LEAK}@h/path"
    yield "RATELIMIT_STORAGE_URL", f"redis://user:{LEAK}@h:port"


def test_a_logo_has_at_most_64_kib(load: Load, faults_of: Faults, tmp_path: Path) -> None:
    logo = tmp_path / "logo.svg"
    logo.write_bytes(b" " * 64 * 1024)
    assert load(BRAND_LOGO=str(logo)).brand_logo == logo
    logo.write_bytes(b" " * (64 * 1024 + 1))
    assert "at most 64 KiB" in "".join(faults_of(BRAND_LOGO=str(logo)))


@pytest.mark.parametrize(
    ("name", "text"), [*secret_values(), *((name, LEAK) for name in config.SETTINGS)]
)
def test_no_message_repeats_a_value(
    faults_of: Faults, tmp_path: Path, name: str, text: str
) -> None:
    if name in {"JWT_AUDIENCE", "BRAND_NAME", "MAIL_HELO", "TOTP_ISSUER"}:
        text += "\n"
    if name == "OUTBOUND_HOSTS":
        text += ":80"
    if name == "FLASK_SECURITY_SALT":
        text += "\x07"
    assert LEAK not in "".join(faults_of(**{name: text}))
    if name in config.SECRETS:
        file = tmp_path / "secret"
        file.write_text(text)
        assert LEAK not in "".join(faults_of(**{f"{name}_FILE": str(file)}))
        assert LEAK not in "".join(faults_of(**{f"{name}_FILE": text}))


def test_no_error_behind_the_message_holds_a_value(load: Load) -> None:
    with pytest.raises(SettingsError) as caught:
        load(DATABASE_URL=f"postgresql://user:{LEAK}@h:port/d")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_repr_shows_no_secret(load: Load) -> None:
    settings = load(
        SECRET_KEY=f"{LEAK}-and-a-little-longer",
        SECRET_KEY_FALLBACKS=f"{LEAK}-and-even-longer-than-that",
        DATABASE_URL=f"postgresql://user:{LEAK}@h/d",
        MAIL_URL=f"smtps://user:{LEAK}@h",
        RATELIMIT_STORAGE_URL=f"redis://user:{LEAK}@h",
        METRICS_TOKEN=f"{LEAK}-and-so-much-longer",
        FLASK_SECURITY_SALT=LEAK,
    )
    assert LEAK in settings.database_url
    assert LEAK not in repr(settings)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("SECRET_KEY", SECRET, SECRET),
        ("SECRET_KEY_FALLBACKS", f"{SECRET},{OTHER_SECRET}", (SECRET, OTHER_SECRET)),
        ("DATABASE_URL", "postgres://u:p@h/d", "postgresql+psycopg2://u:p@h/d"),
        ("MAIL_URL", "smtps://u:p@h", "smtps://u:p@h"),
        ("RATELIMIT_STORAGE_URL", "redis://u:p@h", "redis://u:p@h"),
        ("METRICS_TOKEN", OTHER_SECRET, OTHER_SECRET),
        ("FLASK_SECURITY_SALT", "146585145368132", "146585145368132"),
    ],
)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_may_come_from_a_file(
    load: Load, tmp_path: Path, name: str, text: str, value: object, end: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(f"{text}{end}".encode())
    assert getattr(load(**{f"{name}_FILE": str(file)}), name.lower()) == value


@pytest.mark.parametrize("name", config.SECRETS)
def test_a_secret_must_not_be_given_twice(faults_of: Faults, tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    (fault,) = faults_of(**production(**{name: SECRET, f"{name}_FILE": str(file)}))
    assert fault == f"{name}_FILE: must not be set beside {name}; remove one of the two"


@pytest.mark.parametrize("name", config.SECRETS)
@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file or directory"), (b"\xff\xfe" * 32, "not UTF-8")],
)
def test_an_unreadable_secret_file_is_a_fault(
    faults_of: Faults, tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    (fault,) = faults_of(**production(**{name: None, f"{name}_FILE": str(file)}))
    assert fault == f"{name}_FILE: must name a readable text file ({reason})"


@pytest.mark.parametrize("name", sorted(set(config.SETTINGS) - set(config.SECRETS)))
def test_only_secrets_come_from_files(load: Load, name: str) -> None:
    load(**{f"{name}_FILE": "/no/such/file"})


# The secret that the service makes itself


def test_the_secret_key_is_made_once(load: Load, instance: Path) -> None:
    first = load().secret_key
    assert len(first.encode()) >= 32
    assert load().secret_key == first
    assert (instance / "secret_key").read_text() == f"{first}\n"
    assert stat.S_IMODE((instance / "secret_key").stat().st_mode) == 0o600


def _load_when_all_are_ready(barrier, instance: Path, results) -> None:  # type: ignore[no-untyped-def]
    barrier.wait()
    results.put(config.load_settings({}, instance_path=instance).secret_key)


@pytest.mark.parametrize("round_", range(2))
def test_twenty_processes_share_one_new_secret(instance: Path, round_: int) -> None:
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(20), context.Queue()
    starters = [
        context.Process(target=_load_when_all_are_ready, args=(barrier, instance, results))
        for _ in range(20)
    ]
    for starter in starters:
        starter.start()
    secrets = {results.get(timeout=DEADLINE_SECS) for _ in starters}
    for starter in starters:
        starter.join()
        assert starter.exitcode == 0
    assert len(secrets) == 1
    assert [path.name for path in instance.iterdir()] == ["secret_key"]
    assert stat.S_IMODE((instance / "secret_key").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 64])
def test_a_spoilt_secret_file_is_a_fault(faults_of: Faults, instance: Path, content: bytes) -> None:
    instance.mkdir()
    (instance / "secret_key").write_bytes(content)
    (fault,) = faults_of()
    assert fault.startswith("SECRET_KEY: ")
    assert (instance / "secret_key").read_bytes() == content


def test_a_secret_that_cannot_be_kept_is_a_fault(faults_of: Faults, instance: Path) -> None:
    instance.write_text("in the way")
    assert faults_of() == (
        "SECRET_KEY: cannot be kept in the instance folder (File exists); set it",
    )


def test_production_makes_no_secret(faults_of: Faults, instance: Path) -> None:
    faults_of(**production(SECRET_KEY=None))
    assert not instance.exists()


# Production


def test_production_starts_with_safe_settings(load: Load) -> None:
    settings = load(**PRODUCTION)
    assert settings.is_production
    assert settings.database_url == "postgresql+psycopg2://app:pw@db.internal/auth"


UNSAFE: list[tuple[str, str | None]] = [
    ("SECRET_KEY", None),
    ("SECRET_KEY", "x" * 64),
    ("SECRET_KEY", "ab1" * 20),
    ("SECRET_KEY", "secret" * 6),
    ("SECRET_KEY", "change-me-change-me-change-me-1234567"),
    ("SECRET_KEY", "Pa55 Password1 xJ3#kQ9!vR7&mT2@ 8z"),
    ("SECRET_KEY", "0123456789abcdef" * 2),
    ("SECRET_KEY", "abcdefghijklmnopqrstuvwxyz0123456789"),
    ("SECRET_KEY", "too short"),
    ("SECRET_KEY_FALLBACKS", f"{SECRET},{'secret' * 6}"),
    ("METRICS_TOKEN", "metrics-token-metrics-token-metrics-token"),
    ("METRICS_TOKEN", "secret" * 6),
    ("PUBLIC_URL", None),
    ("PUBLIC_URL", "http://auth.example.com"),
    ("VERIFY_URL", "http://app.example.com/verify#{token}"),
    ("RESET_URL", "http://app.example.com/reset#{token}"),
    ("EMAIL_CHANGE_URL", "http://10.0.0.1/email#{token}"),
    ("INVITE_URL", "http://app.example.com/welcome#{token}"),
    ("DATABASE_URL", None),
    ("DATABASE_URL", ""),
    ("MAIL_FROM", None),
    ("MAIL_FROM", "authserve <no-reply@localhost>"),
    ("MAIL_FROM", "no-reply@mail.LOCALHOST"),
    ("MAIL_FROM", "root@localhost.localdomain"),
    ("MAIL_FROM", "root@127.0.0.1"),
    ("MAIL_URL", None),
    ("MAIL_URL", "console:"),
    ("MAIL_URL", "smtp://user:pw@mail.example.com"),
    ("MAIL_URL", "smtp://10.0.0.1:25"),
    ("MAIL_URL", "smtp://localhost.example.com"),
    ("BREACHED_PASSWORDS_URL", "http://127.0.0.1:8080/range"),
    ("PASSKEY_ORIGINS", "https://auth.example.com"),
    ("TRUSTED_PROXIES", None),
    ("CORS_ORIGINS", "https://app.example.com, http://app.example.com"),
    ("CORS_ORIGINS", "http://10.0.0.1:3000"),
    ("FLASK_DEBUG", "1"),
    ("FLASK_DEBUG", "true"),
    ("FLASK_DEBUG", "off"),
]


@pytest.mark.parametrize(("name", "text"), UNSAFE)
def test_production_refuses(faults_of: Faults, name: str, text: str | None) -> None:
    (fault,) = faults_of(**production(**{name: text}))
    assert fault.startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MAIL_URL", "smtp://user:pw@mail.example.com?tls=starttls"),
        ("MAIL_URL", "smtp://127.0.0.1:25"),
        ("MAIL_URL", "smtp://[::1]"),
        ("MAIL_URL", "smtp://localhost"),
        ("MAIL_URL", "file:///var/mail/out"),
        ("MAIL_FROM", "Localhost <auth@localhost.example.com>"),
        ("DATABASE_URL", "sqlite:////var/lib/authserve/authserve.db"),
        ("BREACHED_PASSWORDS_URL", ""),
        ("BREACHED_PASSWORDS_URL", "https://api.pwnedpasswords.com/range"),
        ("METRICS_TOKEN", ""),
        ("TRUSTED_PROXIES", "0"),
        ("CORS_ORIGINS", "https://app.example.com http://localhost:3000 http://127.0.0.1:3000"),
        ("RESET_URL", "https://app.example.com/reset#{token}"),
        ("RESET_URL", "http://localhost:3000/reset#{token}"),
        ("FLASK_DEBUG", "0"),
        ("FLASK_DEBUG", ""),
        ("FLASK_DEBUG", "False"),
    ],
)
def test_production_accepts(load: Load, name: str, text: str) -> None:
    load(**production(**{name: text}))


def test_the_token_of_prometheus_signs_nothing(faults_of: Faults, load: Load) -> None:
    """Another program has it in a file, so it must not be the key of refresh tokens and links."""
    other = SECRET[::-1]
    for values in (
        {"METRICS_TOKEN": SECRET},
        {"METRICS_TOKEN": other, "SECRET_KEY_FALLBACKS": f"{other}"},
    ):
        (fault,) = faults_of(**production(**values))
        assert fault.startswith("METRICS_TOKEN: ")
        assert SECRET not in fault
    load(**production(METRICS_TOKEN=other))


def test_listed_domains_want_proven_addresses_in_production(faults_of: Faults, load: Load) -> None:
    listed = production(REGISTRATION_DOMAINS="example.com")
    for verification in ("optional", "off"):
        (fault,) = faults_of(**listed, EMAIL_VERIFICATION=verification)
        assert fault.startswith("REGISTRATION_DOMAINS: ")
    assert faults_of(**listed)
    load(**listed, EMAIL_VERIFICATION="required")


def test_production_names_every_refusal_at_once(faults_of: Faults) -> None:
    faults = faults_of(APP_ENV="production", FLASK_DEBUG="1")
    names = [
        "SECRET_KEY",
        "DATABASE_URL",
        "PUBLIC_URL",
        "MAIL_URL",
        "MAIL_FROM",
        "TRUSTED_PROXIES",
        "FLASK_DEBUG",
    ]
    assert [fault.partition(":")[0] for fault in faults] == names


@pytest.mark.parametrize("app_env", ["development", "test"])
def test_elsewhere_the_same_is_fine(load: Load, app_env: str) -> None:
    load(APP_ENV=app_env, SECRET_KEY="secret" * 6, FLASK_DEBUG="1")


@pytest.mark.parametrize("size", [16, 32, 48])
def test_random_keys_are_never_weak(size: int) -> None:
    for _ in range(500):
        assert find_weakness(os.urandom(size).hex()) is None


# Where the variables come from


@pytest.fixture
def load_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, instance: Path) -> Load:
    """Load the settings from this `.env` and these variables of the process."""
    monkeypatch.setattr(config, "ROOT", tmp_path)
    for name in config.SETTINGS:
        monkeypatch.delenv(name, raising=False)

    def load_with(text: str, **environ: str) -> Settings:
        (tmp_path / ".env").write_text(text)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return config.load_settings(instance_path=instance)

    return load_with


def test_the_real_environment_wins_over_the_file(load_file: Load) -> None:
    settings = load_file("# a comment\nPORT=9001\nWEB_THREADS=3\n", WEB_THREADS="4")
    assert (settings.port, settings.web_threads) == (9001, 4)
    assert (settings.sources["PORT"], settings.sources["WEB_THREADS"]) == (".env", "environment")
    assert "PORT" not in os.environ


def test_an_empty_variable_of_the_process_lets_the_file_speak(load_file: Load) -> None:
    assert load_file("PORT=9001\n", PORT="").port == 9001


def test_a_dollar_in_single_quotes_stays(load_file: Load) -> None:
    settings = load_file("""SECRET_KEY='a${HOME}b0123456789012345678901234567890'\n""")
    assert settings.secret_key == "a${HOME}b0123456789012345678901234567890"


@pytest.mark.parametrize("app_env", ["", "APP_ENV=production\n"])
@pytest.mark.parametrize("line", ["SECRET_KEY: abc", 'SECRET_KEY="abc', "LOG_LEVEL"])
def test_a_malformed_line_of_the_file_stops_every_start(
    load_file: Load, app_env: str, line: str
) -> None:
    """The line may have been the one that sets production."""
    with pytest.raises(SettingsError) as caught:
        load_file(f"PORT=9001\n{line}\n{app_env}")
    assert caught.value.faults[0].startswith(".env: line 2 ")
    assert "abc" not in str(caught.value)


def test_given_variables_are_the_only_ones(monkeypatch: pytest.MonkeyPatch, load: Load) -> None:
    monkeypatch.setenv("PORT", "http")
    monkeypatch.setenv("SECRET_KEY_FILE", "/no/such/file")
    assert load().port == 8000


def test_an_unreadable_env_file_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PORT=\xff")
    monkeypatch.setattr(config, "ROOT", tmp_path)
    with pytest.raises(SettingsError) as caught:
        config.load_settings()
    assert caught.value.faults == (".env: cannot be read (not UTF-8)",)


# The example file


def example_lines() -> list[str]:
    return re.findall(r"^#([A-Z_]+=.*)$", (config.ROOT / ".env.example").read_text(), re.MULTILINE)


def example_values() -> dict[str, str]:
    values = dotenv_values(stream=StringIO("\n".join(example_lines())))
    return {name: text or "" for name, text in values.items()}


def test_the_example_lists_exactly_the_settings_in_order() -> None:
    assert [line.partition("=")[0] for line in example_lines()] == list(config.SETTINGS)


def test_the_example_sets_nothing_and_explains_each_setting() -> None:
    lines = (config.ROOT / ".env.example").read_text().splitlines()
    assert all(line.startswith("#") for line in lines if line)
    for position, line in enumerate(lines):
        if re.match(r"#[A-Z_]+=", line):
            assert lines[position - 1].startswith("# ")


def test_the_example_has_the_defaults(load: Load) -> None:
    # The secret is made, the workers are counted, the addresses are the system's, and a database
    # in the project's own folder would be made there: these have tests of their own.
    others = {"SECRET_KEY", "WEB_CONCURRENCY", "HOST", "DATABASE_URL"}
    environ = {name: text for name, text in example_values().items() if name not in others}
    settings, defaults = load(**environ), load()
    for name in environ:
        assert getattr(settings, name.lower()) == getattr(defaults, name.lower()), name


def test_the_example_has_the_default_database() -> None:
    url = config.SETTINGS["DATABASE_URL"](example_values()["DATABASE_URL"])
    assert url == f"sqlite:///{config.ROOT}/instance/authserve.db"


def test_production_refuses_the_secret_of_the_example(faults_of: Faults) -> None:
    (fault,) = faults_of(**production(SECRET_KEY=example_values()["SECRET_KEY"]))
    assert fault.startswith("SECRET_KEY: looks like a placeholder")


# Programs, each in a copy of the project's top without the developer's own `.env`


@pytest.fixture
def project(tmp_path: Path) -> Path:
    top = tmp_path / "project"
    top.mkdir()
    for name in ("config.py", "wsgi.py", "gunicorn.conf.py", ".flaskenv"):
        shutil.copy(config.ROOT / name, top)
    (top / "stub.py").write_text(STUB_APPLICATION)
    (top / "exercise.py").write_text(EXERCISE)
    return top


def run(project: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Python, or one of its modules, in `project` with no other variables than these."""
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(config.ROOT), "HOME": str(project)}
    if command[0] == "-m":
        return processes.run(*command[1:], folder=project, environ=base | environ)
    return subprocess.run(
        [sys.executable, *command],
        cwd=project,
        env=base | environ,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECS,
        check=False,
    )


GUNICORN = ("-m", "gunicorn", "-c", "gunicorn.conf.py")


def test_programs_end_with_everything_that_production_refuses(project: Path) -> None:
    """Missing, weak, unencrypted and malformed settings are listed at once, without a secret."""
    unsafe = {name: text for name, text in UNSAFE if text is not None} | {"FLASK_DEBUG": "1"}
    done = run(project, "-c", "import wsgi", **production(**unsafe, PORT="http"))
    assert done.returncode == 1
    assert done.stdout == ""
    first, *faults = done.stderr.splitlines()
    assert first == "authserve cannot start as it is configured:"
    names = {fault.strip().partition(":")[0] for fault in faults}
    assert names == {*unsafe, "PORT"}
    for text in unsafe.values():
        assert len(text) < 8 or text not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("-c", "import wsgi"),
        ("-m", "flask", "db", "upgrade"),
        (*GUNICORN, "wsgi:app"),
    ],
)
def test_programs_end_with_the_faults_and_no_traceback(
    project: Path, command: tuple[str, ...]
) -> None:
    done = run(project, *command, APP_ENV="production")
    assert done.returncode == 1
    assert done.stdout == ""
    first, *faults = done.stderr.splitlines()
    assert first == "authserve cannot start as it is configured:"
    names = [
        "SECRET_KEY",
        "DATABASE_URL",
        "PUBLIC_URL",
        "MAIL_URL",
        "MAIL_FROM",
        "TRUSTED_PROXIES",
    ]
    assert [fault.strip().partition(":")[0] for fault in faults] == names


STUB_APPLICATION = """
from contextlib import nullcontext

from authserve.health.drain import DRAIN, Drain
from authserve.settings.model import SETTINGS
from authserve.keys.store import KEY_STORE
from config import load_settings_or_exit

class NoKeys:
    def warm_up(self):
        pass

def app(environ, start_response):
    if environ["PATH_INFO"] == "/boom":
        raise RuntimeError
    start_response("200 OK", [("Content-Length", "2"), ("X-Scheme", environ["wsgi.url_scheme"])])
    return [b"ok"]

app.extensions = {}
DRAIN.fill(app, Drain())
KEY_STORE.fill(app, NoKeys())
SETTINGS.fill(app, load_settings_or_exit())
app.app_context = nullcontext
"""

# Sockets may be blocked in the tests' own process.
EXERCISE = """
import http.client, os, pathlib, signal, socket, subprocess, sys, time
from tests.support.ports import reserve_port

reservation = reserve_port()
port = reservation.getsockname()[1]
server = subprocess.Popen(
    [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "stub:app"],
    env=os.environ | {"PORT": str(port)},
)
while server.poll() is None:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        break
    except ConnectionRefusedError:
        time.sleep(0.1)
client = http.client.HTTPConnection("127.0.0.1", port)
client.request("GET", "/?token=t0ken", headers={"X-Forwarded-Proto": "https"})
answer = client.getresponse()
print(answer.status, answer.headers["Server"], answer.headers["X-Scheme"], file=sys.stderr)
for request in ("GET /?t0ken HTTP/9.9", "GET / HTTP/1.1\\r\\nt0ken", "GET /boom?t0ken HTTP/1.0"):
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(request.encode() + b"\\r\\n\\r\\n")
        print(raw.recv(100).splitlines()[0].decode(), file=sys.stderr)
print(sorted(path.name for path in pathlib.Path(os.environ["HOME"]).iterdir()), file=sys.stderr)
server.send_signal(signal.SIGTERM)
print(server.wait(), file=sys.stderr)
"""


ENV_TEXT = "MAIL_FROM='${HOME} <a@example.com>'\nJWT_AUDIENCE=\nLOG_LEVEL=WARNING\n"


def test_the_service_reads_the_file_as_it_is(project: Path) -> None:
    (project / ".env").write_text(ENV_TEXT)
    show = "print(s.mail_from, s.sources['MAIL_FROM'], s.jwt_audience)"
    done = run(project, "-c", f"import wsgi; s = wsgi.settings; {show}")
    assert done.stdout == "${HOME} <a@example.com> .env authserve\n", done.stderr


def test_commands_read_the_file_as_the_service_does(project: Path) -> None:
    """The `flask` command reads `.env` before the settings do, and expands what is quoted."""
    (project / ".env").write_text(ENV_TEXT)
    assert run(project, "-m", "flask", "db", "upgrade").returncode == 0
    done = run(project, "-m", "flask", "doctor", "--json")
    shown = {line["name"]: line for line in json.loads(done.stdout)["settings"]}
    assert shown["MAIL_FROM"]["value"] == "${HOME} <a@example.com>"
    assert shown["MAIL_FROM"]["source"] == ".env"
    assert shown["JWT_AUDIENCE"]["value"] == "authserve"


def test_gunicorn_serves_logs_json_and_reveals_little(project: Path) -> None:
    # The stub has no pages.
    done = run(project, "exercise.py", WEB_CONCURRENCY="1", FEATURES="none")
    told = done.stderr.splitlines()
    assert told[0] == "200 gunicorn http", done.stderr
    assert [line.split()[1] for line in told[1:4]] == ["400", "400", "500"]
    assert ".gunicorn" not in told[4]
    assert told[5:] == ["0"]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all({"time", "level", "logger", "event"} <= line.keys() for line in lines)
    assert {line["logger"] for line in lines} == {"gunicorn.error"}
    events = [line["event"] for line in lines]
    refused = [line for line in lines if line["event"] == "request refused"]
    assert [line["reason"] for line in refused] == ["InvalidHTTPVersion", "InvalidHeader"]
    assert [line["ip"] for line in refused] == ["127.0.0.1"] * 2
    assert events.count("unhandled error") == 1
    assert "t0ken" not in done.stdout


HAS_IPV6 = socket.has_dualstack_ipv6()
LOOPBACKS = ["127.0.0.1:8123", "[::1]:8123"] if HAS_IPV6 else ["127.0.0.1:8123"]
EVERY_ADDRESS = ["[::]:8123"] if HAS_IPV6 else ["0.0.0.0:8123"]


@pytest.mark.parametrize(
    ("environ", "bind"),
    [
        ({"PORT": "8123"}, LOOPBACKS),
        ({**PRODUCTION, "PORT": "8123"}, EVERY_ADDRESS),
        ({**PRODUCTION, "HOST": "127.0.0.1", "PORT": "8123"}, ["127.0.0.1:8123"]),
    ],
)
def test_gunicorn_takes_the_settings(
    project: Path, environ: dict[str, str], bind: list[str]
) -> None:
    environ = {**environ, "WEB_CONCURRENCY": "3", "WEB_THREADS": "5", "LOG_LEVEL": "ERROR"}
    done = run(project, *GUNICORN, "--print-config", "stub:app", **environ)
    pairs = (line.partition("=") for line in done.stdout.splitlines())
    printed = {name.strip(): value.strip() for name, _, value in pairs}
    expected = {
        "bind": str(bind),
        "workers": "3",
        "threads": "5",
        "worker_class": "authserve.serving.worker.Worker",
        "preload_app": "True",
        "timeout": "30",
        "graceful_timeout": "25",
        "keepalive": "75",
        "max_requests": "100000",
        "max_requests_jitter": "10000",
        "accesslog": "None",
        "loglevel": "error",
        "limit_request_line": "4094",
        "limit_request_fields": "100",
        "limit_request_field_size": "8190",
        "forwarded_allow_ips": "[]",
        "forwarder_headers": "[]",
        "secure_scheme_headers": "{}",
        "control_socket_disable": "True",
    }
    assert {name: printed.get(name) for name in expected} == expected, done.stderr


def test_pages_are_on_outside_production_unless_it_is_said(load: Load) -> None:
    assert load().features == ("pages",)
    assert load(FEATURES="none").features == ()
    assert load(**PRODUCTION).features == ()
    assert load(**PRODUCTION, FEATURES="pages").features == ("pages",)
