"""People's identities at providers, past the way that links them."""

from contextlib import suppress
from uuid import UUID

from flask import Flask

from authserve.core.clock import now
from authserve.core.ids import new_id
from authserve.database.transactions import transaction
from authserve.federation.errors import ProviderExistsError
from authserve.federation.identities import (
    MAX_IDENTITIES,
    ProviderIdentity,
    find_identities,
    link_identity,
)
from authserve.federation.presets import Preset
from authserve.users.accounts import lock_user
from tests.support.identity_providers import give_provider

GOOGLE = "https://accounts.google.com"


def ensure_provider(
    app: Flask, slug: str = "google", *, name: str = "Google", issuer: str = GOOGLE
) -> None:
    """Register a provider, unless there is one of this slug."""
    preset = Preset.GOOGLE if issuer == GOOGLE else Preset.OIDC
    with suppress(ProviderExistsError):
        give_provider(app, slug, preset=preset, name=name, issuer=issuer)


def give_identity(
    app: Flask,
    user_id: UUID,
    *,
    subject: str | None = None,
    email: str | None = "alice@gmail.com",
    issuer: str = GOOGLE,
    slug: str = "google",
    name: str = "Google",
) -> str:
    """Link a user to a person at a provider, which is registered if it is not; returns its id.

    Args:
        subject: None for a new one.
    """
    ensure_provider(app, slug, name=name, issuer=issuer)
    identity = ProviderIdentity(issuer=issuer, subject=subject or str(new_id()), email=email)
    with app.app_context():
        with transaction():
            lock_user(user_id)
            assert link_identity(user_id, identity, now=now())
        return str(find_identities(user_id, limit=1)[0].id)


def fill_identities(app: Flask, user_id: UUID) -> None:
    """Link a user to as many identities as an account may have, of providers that are gone."""
    with app.app_context(), transaction():
        lock_user(user_id)
        for number in range(MAX_IDENTITIES):
            identity = ProviderIdentity(issuer=f"https://id-{number}.test", subject="1", email=None)
            assert link_identity(user_id, identity, now=now())
