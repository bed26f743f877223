"""Clients as the API and the command line show them. A secret's text is never among it.

It is small because both need it, and neither may import the other.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from authserve.clients.claims import rule_document
from authserve.clients.client_secrets import SecretView
from authserve.clients.configuration import ClientConfiguration
from authserve.clients.registry import RegisteredClient
from authserve.core.clock import to_rfc3339, to_rfc3339_or_none

_FIELDS = tuple(field.name for field in fields(ClientConfiguration))


def client_document(client: RegisteredClient, secrets: Sequence[SecretView]) -> dict[str, Any]:
    """Return a client's document."""
    configuration = client.configuration
    values = {name: getattr(configuration, name) for name in _FIELDS}
    values |= {name: list(value) for name, value in values.items() if isinstance(value, tuple)}
    return {
        "client_id": client.client_id,
        **values,
        "kind": configuration.kind.value,
        "auth_method": configuration.auth_method.value,
        "claims": list(map(rule_document, configuration.claims)),
        "secrets": list(map(secret_document, secrets)),
        "created_at": to_rfc3339(client.created_at),
        "updated_at": to_rfc3339(client.updated_at),
        "last_used_at": to_rfc3339_or_none(client.last_used_at),
    }


def secret_document(secret: SecretView) -> dict[str, Any]:
    """Return what lists show of a secret."""
    return {
        "id": str(secret.id),
        "hint": secret.hint,
        "created_at": to_rfc3339(secret.created_at),
        "expires_at": to_rfc3339_or_none(secret.expires_at),
        "last_used_at": to_rfc3339_or_none(secret.last_used_at),
    }
