"""Export and import of clients, with the digests of their secrets, which so stay valid."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from marshmallow import fields, validate
from sqlalchemy import insert, select

from authserve.clients.client_secrets import MAX_LIVE_SECRETS
from authserve.clients.documents import client_document
from authserve.clients.kinds import AuthMethod
from authserve.clients.models import ClientSecret
from authserve.clients.registry import RegisteredClient, register_client
from authserve.clients.schemas import NewClientSchema, to_configuration
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now, to_rfc3339_or_none
from authserve.core.errors import ValidationFailedError
from authserve.core.ids import new_id
from authserve.core.key_text import HINT_LENGTH
from authserve.database.statements import table_of
from authserve.database.transactions import execute, read_all, transaction
from authserve.http.fields import MomentInput
from authserve.http.schemas import StrictSchema

_SECRETS = table_of(ClientSecret)

_LEFT_OUT = ("auth_method", "created_at", "updated_at", "last_used_at")
"""Members that follow from the rest, or belong to this installation."""


class ExportedSecretSchema(StrictSchema):
    """A secret in an export: the SHA-256 of its text in hexadecimal."""

    digest = fields.String(
        required=True,
        validate=validate.Regexp(r"[0-9a-f]{64}\Z", error="Not a SHA-256 digest in hexadecimal."),
    )
    hint = fields.String(required=True, validate=validate.Length(max=HINT_LENGTH))
    expires_at = MomentInput(load_default=None, allow_none=True)


class ExportedClientSchema(NewClientSchema):
    """A client in an export."""

    secrets = fields.List(
        fields.Nested(ExportedSecretSchema),
        load_default=list,
        validate=validate.Length(max=MAX_LIVE_SECRETS),
    )


def export_clients(clients: Iterable[RegisteredClient]) -> Iterator[dict[str, Any]]:
    """Yield the document of each client; it has digests of secrets, so it gives no access."""
    for client in clients:
        document = client_document(client, ())
        kept = {name: value for name, value in document.items() if name not in _LEFT_OUT}
        yield {**kept, "secrets": list(_export_secrets(client.client_id))}


def _export_secrets(client_id: str) -> Iterator[dict[str, Any]]:
    columns = (_SECRETS.c.digest, _SECRETS.c.hint, _SECRETS.c.expires_at)
    statement = select(*columns).where(_SECRETS.c.client_id == client_id).order_by(_SECRETS.c.id)
    for row in read_all(statement):
        yield {
            "digest": row.digest.hex(),
            "hint": row.hint,
            "expires_at": to_rfc3339_or_none(row.expires_at),
        }


def import_client(loaded: dict[str, Any], *, request: RequestInfo) -> None:
    """Register an exported client with its secrets, as the operator.

    Args:
        loaded: by `ExportedClientSchema`.

    Raises:
        ValidationFailedError: a value is not acceptable here.
        ClientIdTakenError: there is or was a client of this id.
    """
    secrets = loaded["secrets"]
    values = {name: value for name, value in loaded.items() if name != "secrets"}
    configuration = to_configuration(values)
    if secrets and configuration.auth_method is not AuthMethod.SECRET:
        raise ValidationFailedError({"secrets": ["Clients of this kind have no secret."]})
    with transaction():
        register_client(loaded["client_id"], configuration, actor=OPERATOR, request=request)
        _insert_secrets(loaded["client_id"], secrets)


def _insert_secrets(client_id: str, secrets: Sequence[dict[str, Any]]) -> None:
    moment = now()
    rows = [
        {
            "id": new_id(),
            "client_id": client_id,
            "digest": bytes.fromhex(secret["digest"]),
            "hint": secret["hint"],
            "created_at": moment,
            "expires_at": secret["expires_at"],
        }
        for secret in secrets
    ]
    for row in rows:
        execute(insert(_SECRETS), row)
