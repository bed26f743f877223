"""The registry of providers: add, find, list, change and delete them; their secrets are sealed.

An identity belongs to an issuer, not to a provider's slug: deleting a provider leaves its people's
identities, and they sign in again when a provider of that issuer is back.

Only administrators may trust a provider, or change a trusted one. Otherwise a holder of
`providers:write` could sign in to any account with it, an administrator's included.
"""

import re
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, select, update

from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.errors import ValidationFailedError
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.database.emit import emit
from authserve.database.statements import table_of
from authserve.database.transactions import execute, insert_if_absent, read_all, transaction
from authserve.federation.configuration import (
    SLUG_PATTERN,
    ProviderChanges,
    ProviderConfiguration,
    find_faults,
)
from authserve.federation.errors import (
    ProviderExistsError,
    ProviderNotFoundError,
    UnknownStateError,
)
from authserve.federation.models import IdentityProvider
from authserve.federation.policy import LinkPolicy, ProviderRules
from authserve.federation.presets import Preset
from authserve.federation.secrets import seal_secret
from authserve.settings.model import SETTINGS

_NEW_ISSUER = "Another issuer needs the secret of this service's client there."

_TABLE = table_of(IdentityProvider)

_RULES = tuple(field.name for field in fields(ProviderRules))


@frozen()
class Provider:
    """A provider as it is registered."""

    slug: str
    configuration: ProviderConfiguration
    created_at: datetime
    updated_at: datetime


def add_provider(
    slug: str,
    configuration: ProviderConfiguration,
    *,
    secret: str,
    actor: Actor,
    request: RequestInfo,
) -> Provider:
    """Register a provider.

    Args:
        secret: of this service's client there.

    Raises:
        ValidationFailedError: a value is not acceptable.
        InsufficientPermissionsError, StepUpRequiredError: the provider is trusted, and the actor is
            no administrator.
        ProviderExistsError: another provider has the slug.
    """
    _require_valid(configuration, slug=slug)
    if configuration.is_trusted:
        actor.require_everything()
    moment = now()
    row = {
        "slug": slug,
        **_columns(configuration),
        "secret": seal_secret(slug, secret),
        "created_at": moment,
        "updated_at": moment,
    }
    with transaction():
        if execute(insert_if_absent(IdentityProvider), row).rowcount != 1:
            raise ProviderExistsError
        details = {"provider": slug, "preset": configuration.preset.value}
        emit(AuditAction.PROVIDER_CREATED, actor=actor, request=request, details=details)
    return get_provider(slug)


def change_provider(
    slug: str,
    changes: ProviderChanges,
    *,
    secret: str | None = None,
    actor: Actor,
    request: RequestInfo,
) -> Provider:
    """Change values of a provider, from its next sign-in on.

    Args:
        secret: a new one; None to keep it. Another issuer needs one: it would be sent the former
            issuer's, which no caller may learn.

    Raises:
        ProviderNotFoundError: there is none of this slug.
        ValidationFailedError: a value is not acceptable, alone or beside the others.
        InsufficientPermissionsError, StepUpRequiredError: the provider was trusted or would be, and
            the actor is no administrator. Every actor may disable a provider.
    """
    with transaction():
        former = _lock(slug).configuration
        before = _columns(former)
        after = {**before, **{name: _storable(value) for name, value in changes.items()}}
        wanted = _configuration_of(after)
        _require_valid(wanted)
        is_switched_off = wanted == replace(former, enabled=False) and secret is None
        if (former.is_trusted or wanted.is_trusted) and not is_switched_off:
            actor.require_everything()
        if wanted.issuer != former.issuer and secret is None:
            raise ValidationFailedError({"client_secret": [_NEW_ISSUER]})
        changed = [name for name, value in after.items() if before[name] != value]
        sealed = {"secret": seal_secret(slug, secret)} if secret is not None else {}
        if changed or sealed:
            _write(slug, {**after, **sealed, "updated_at": now()})
            details = {"provider": slug, "fields": [*changed, *sealed]}
            emit(AuditAction.PROVIDER_CHANGED, actor=actor, request=request, details=details)
    return get_provider(slug)


def delete_provider(slug: str, *, actor: Actor, request: RequestInfo) -> None:
    """Delete a provider; no one signs in by it any more, and its identities stay.

    Raises:
        ProviderNotFoundError: there is none of this slug.
    """
    with transaction():
        if execute(delete(_TABLE).where(_TABLE.c.slug == slug)).rowcount != 1:
            raise ProviderNotFoundError
        details = {"provider": slug}
        emit(AuditAction.PROVIDER_DELETED, actor=actor, request=request, details=details)


def find_provider(slug: str) -> Provider | None:
    """Return a provider, disabled ones included; None if there is none of this slug."""
    if not _is_slug(slug):
        return None
    rows = read_all(_SELECT.where(_TABLE.c.slug == slug))
    return _provider_of(rows[0]) if rows else None


def get_provider(slug: str) -> Provider:
    """Return a provider like `find_provider`.

    Raises:
        ProviderNotFoundError: there is none of this slug.
    """
    found = find_provider(slug)
    if found is None:
        raise ProviderNotFoundError
    return found


def require_unchanged(provider: Provider) -> None:
    """Refuse a provider that has changed since it was read, in the open transaction.

    Its answer takes seconds, in which an operator can disable it or trust it no more. The lock
    keeps such a change out until the transaction ends, so that what follows the change, such as the
    end of the provider's sessions, finds what the answer has begun.

    Raises:
        UnknownStateError: it is deleted, disabled, or has other values.
    """
    statement = _SELECT.where(_TABLE.c.slug == provider.slug).with_for_update(read=True)
    rows = read_all(statement)
    if not rows or _provider_of(rows[0]).configuration != provider.configuration:
        raise UnknownStateError


def list_providers(*, limit: int | None = None, after: str | None = None) -> Sequence[Provider]:
    """Return providers by slug, disabled ones included.

    Args:
        limit: the greatest number; None for all, since there are few.
        after: a slug that those returned follow; None to begin.
    """
    statement = _SELECT.order_by(_TABLE.c.slug).limit(limit)
    if after is not None:
        statement = statement.where(_TABLE.c.slug > after)
    return [_provider_of(row) for row in read_all(statement)]


_SELECT = select(*(column for column in _TABLE.c if column.name != "secret"))


def _is_slug(text: str) -> bool:
    return re.fullmatch(SLUG_PATTERN, text) is not None


def _require_valid(configuration: ProviderConfiguration, *, slug: str | None = None) -> None:
    faults = find_faults(configuration, hosts=SETTINGS.get().outbound_hosts)
    if slug is not None and not _is_slug(slug):
        faults["slug"] = ["1 to 32 small letters, digits and hyphens, a letter first."]
    if faults:
        raise ValidationFailedError(faults)


def _lock(slug: str) -> Provider:
    statement = _SELECT.where(_TABLE.c.slug == slug).with_for_update()
    rows = read_all(statement) if _is_slug(slug) else []
    if not rows:
        raise ProviderNotFoundError
    return _provider_of(rows[0])


def _write(slug: str, values: dict[str, Any]) -> None:
    execute(update(_TABLE).where(_TABLE.c.slug == slug).values(values))


def _columns(configuration: ProviderConfiguration) -> dict[str, Any]:
    rules = {name: getattr(configuration.rules, name) for name in _RULES}
    own = {
        field.name: getattr(configuration, field.name)
        for field in fields(configuration)
        if field.name != "rules"
    }
    return {name: _storable(value) for name, value in {**own, **rules}.items()}


def _storable(value: Any) -> Any:
    """Return a value as its column has it: JSON has lists, in an order."""
    if isinstance(value, frozenset):
        return sorted(value)
    return list(value) if isinstance(value, tuple) else value


def _provider_of(row: Row[Any]) -> Provider:
    configuration = _configuration_of(row._mapping)
    return Provider(row.slug, configuration, row.created_at, row.updated_at)


def _configuration_of(values: Any) -> ProviderConfiguration:
    return ProviderConfiguration(
        preset=Preset(values["preset"]),
        name=values["name"],
        issuer=values["issuer"],
        client_id=values["client_id"],
        scopes=tuple(values["scopes"]),
        enabled=values["enabled"],
        rules=ProviderRules(
            sign_up=values["sign_up"],
            link=LinkPolicy(values["link"]),
            trusts_email=values["trusts_email"],
            allowed_domains=frozenset(values["allowed_domains"]),
        ),
        trusts_mfa=values["trusts_mfa"],
    )
