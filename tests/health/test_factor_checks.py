"""The checks of second factors, each on both sides of its limit."""

import re
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from authserve.core.clock import now
from authserve.core.crypto import KEYRING, Keyring
from authserve.core.findings import Finding, Level
from authserve.database.transactions import transaction
from authserve.health import factor_checks
from authserve.health.factor_checks import (
    check_accounts_with_mfa,
    check_administrators,
    check_passkey_settings,
    check_stored_passkeys,
    check_totp_secrets,
)
from authserve.settings.model import SETTINGS, Mfa, Settings
from authserve.users.models import User
from tests.support.factors import give_recovery_codes, give_totp, switch_mfa_on
from tests.support.marks import both_databases
from tests.support.passkeys import change_passkey, give_passkey
from tests.support.people import make_user

pytestmark = pytest.mark.usefixtures("context")

OK, WARNING, FAILURE = Level.OK, Level.WARNING, Level.FAILURE


def settings_with(**changes: Any) -> Settings:
    return replace(SETTINGS.get(), **changes)


def counted(found: Finding) -> int:
    """The first number in a finding; 0 without one."""
    number = re.search(r"\d+", found.message)
    return int(number[0]) if number else 0


@pytest.mark.parametrize(
    ("rp_id", "public_url", "mfa", "level"),
    [
        ("localhost", "http://localhost:8000", Mfa.REQUIRED, OK),
        ("example.com", "https://example.com", Mfa.REQUIRED, OK),
        ("example.com", "https://auth.example.com", Mfa.OPTIONAL, OK),
        ("example.com", "https://anexample.com", Mfa.OPTIONAL, WARNING),
        ("auth.example.com", "https://example.com", Mfa.OPTIONAL, WARNING),
        ("co.uk", "https://auth.co.uk", Mfa.OPTIONAL, FAILURE),
        ("github.io", "https://auth.github.io", Mfa.OPTIONAL, FAILURE),
        ("example.co.uk", "https://example.co.uk", Mfa.OPTIONAL, OK),
        ("", "https://example.com", Mfa.OPTIONAL, OK),
        ("", "https://example.com", Mfa.OFF, OK),
        ("", "https://example.com", Mfa.REQUIRED, WARNING),
    ],
)
def test_browsers_must_make_passkeys_for_the_rp_id(
    rp_id: str, public_url: str, mfa: Mfa, level: Level
) -> None:
    settings = settings_with(passkey_rp_id=rp_id, public_url=public_url, mfa=mfa)
    assert check_passkey_settings(settings).level is level


@both_databases
def test_every_administrator_needs_a_usable_factor(app: Flask) -> None:
    settings = SETTINGS.get()
    assert check_administrators(settings).level is OK
    make_user("user")
    root, other = make_user("root", roles=["admin"]), make_user("other", roles=["admin"])
    give_recovery_codes(app, root.id)
    assert (check_administrators(settings).level, counted(check_administrators(settings))) == (
        WARNING,
        2,
    )
    give_totp(app, root.id)
    key = give_passkey(app, other.id)
    assert check_administrators(settings).level is OK
    change_passkey(app, key, flagged_at=now())
    assert counted(check_administrators(settings)) == 1
    with transaction() as session:
        session.execute(update(User).where(User.id == other.id).values(is_active=False))
    assert check_administrators(settings).level is OK


@both_databases
def test_an_account_with_mfa_needs_a_usable_factor(app: Flask) -> None:
    settings = SETTINGS.get()
    alice, bob = make_user("alice"), make_user("bob")
    give_totp(app, alice.id)
    assert check_accounts_with_mfa(settings).level is OK
    switch_mfa_on(app, bob.id)
    assert counted(check_accounts_with_mfa(settings)) == 1
    key = give_passkey(app, bob.id)
    assert check_accounts_with_mfa(settings).level is OK
    change_passkey(app, key, rp_id="old.example")
    assert check_accounts_with_mfa(settings).level is WARNING


def test_a_count_ends_at_its_limit(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factor_checks, "MAX_COUNTED", 2)
    for name in ("alice", "bob", "carol"):
        switch_mfa_on(app, make_user(name).id)
    assert check_accounts_with_mfa(SETTINGS.get()).message.count("2 or more") == 1


@both_databases
def test_passkeys_of_another_rp_id_are_counted_with_the_accounts_that_have_nothing_else(
    app: Flask,
) -> None:
    alice, bob = make_user("alice"), make_user("bob")
    for user in (alice, bob):
        give_passkey(app, user.id)
    assert check_stored_passkeys(SETTINGS.get()).level is OK
    for rp_id in ("example.com", ""):
        found = check_stored_passkeys(settings_with(passkey_rp_id=rp_id))
        assert (found.level, counted(found)) == (WARNING, 2)
        assert "2 accounts have no other factor" in found.message
    give_totp(app, bob.id)
    found = check_stored_passkeys(settings_with(passkey_rp_id="example.com"))
    assert "1 accounts have no other factor" in found.message


def test_every_totp_secret_must_open(app: Flask) -> None:
    alice, bob = make_user("alice"), make_user("bob")
    give_totp(app, alice.id)
    KEYRING.fill(app, Keyring(["another secret, 0123456789 0123456789"]))
    give_totp(app, bob.id)
    found = check_totp_secrets()
    assert (found.level, counted(found)) == (FAILURE, 1)
    former = "a secret for tests alone, 0123456789"
    KEYRING.fill(app, Keyring(["another secret, 0123456789 0123456789", former]))
    assert check_totp_secrets().level is OK
