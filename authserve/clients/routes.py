"""The API for clients of OAuth, which exists only with the feature `oidc`."""

from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from flask import Response

from authserve.clients.answer_schemas import (
    ClientPageSchema,
    ClientSchema,
    ClientStatusSchema,
    NewClientAnswerSchema,
    NewClientSecretSchema,
)
from authserve.clients.client_secrets import (
    add_secret,
    delete_secret,
    list_secrets,
    list_secrets_of,
    register_with_secret,
)
from authserve.clients.configuration import ClientChanges
from authserve.clients.documents import client_document, secret_document
from authserve.clients.errors import (
    ClientIdTakenError,
    ClientNotFoundError,
    ClientSecretNotFoundError,
    NoSecretsError,
    TooManySecretsError,
)
from authserve.clients.listing import page_of_clients
from authserve.clients.registry import (
    change_client,
    delete_client,
    get_client,
    revoke_client,
)
from authserve.clients.schemas import (
    ClientChangesSchema,
    NewClientSchema,
    SecretRequestSchema,
    to_configuration,
)
from authserve.clients.status import find_client_status, status_document
from authserve.http.authentication import current_actor, fresh_token_required, require_permission
from authserve.http.openapi import Blueprint
from authserve.http.pagination import NamePageQuerySchema, make_page
from authserve.http.request_info import current_request_info
from authserve.http.schemas import json_response
from authserve.rbac.policy import Permission

blueprint = Blueprint(
    "clients",
    __name__,
    url_prefix="/api/v1/clients",
    description="Apps and machines that sign in through this service.",
)


@blueprint.get("")
@require_permission(Permission.CLIENTS_READ)
@blueprint.arguments(NamePageQuerySchema, location="query")
@blueprint.response(200, ClientPageSchema)
def list_clients(query: dict[str, Any]) -> Response:
    """List clients by id."""
    limit = query["limit"]
    found = page_of_clients(limit=limit + 1, after=query["cursor"])
    page = make_page(found, limit=limit, key=lambda client: client.client_id)
    secrets = list_secrets_of([client.client_id for client in page.items])
    items = [client_document(client, secrets[client.client_id]) for client in page.items]
    return json_response({"items": items, "next_cursor": page.next_cursor})


@blueprint.post("")
@require_permission(Permission.CLIENTS_WRITE)
@fresh_token_required
@blueprint.arguments(NewClientSchema)
@blueprint.response(201, NewClientAnswerSchema)
@blueprint.refuses(ClientIdTakenError)
def post_client(body: dict[str, Any]) -> Response:
    """Register a client; its secret is shown this once.

    The caller must hold every permission that becomes a scope. A first-party client, and one with
    the scope `account`, need an administrator.
    """
    made = register_with_secret(
        body["client_id"],
        to_configuration(body),
        actor=current_actor(),
        request=current_request_info(),
    )
    document = client_document(made.client, made.secrets)
    return json_response({**document, "client_secret": made.secret}, 201)


@blueprint.get("/<client_id>")
@require_permission(Permission.CLIENTS_READ)
@blueprint.response(200, ClientSchema)
@blueprint.refuses(ClientNotFoundError)
def read_client(client_id: str) -> Response:
    """Show a client, without its secrets."""
    return json_response(client_document(get_client(client_id), list_secrets(client_id)))


@blueprint.get("/<client_id>/status")
@require_permission(Permission.CLIENTS_READ)
@blueprint.response(200, ClientStatusSchema)
@blueprint.refuses(ClientNotFoundError)
def read_status(client_id: str) -> Response:
    """Explain why a client cannot sign users in, and show its last failures."""
    return json_response(status_document(find_client_status(client_id)))


@blueprint.patch("/<client_id>")
@require_permission(Permission.CLIENTS_WRITE)
@fresh_token_required
@blueprint.arguments(ClientChangesSchema)
@blueprint.response(200, ClientSchema)
@blueprint.refuses(ClientNotFoundError)
def patch_client(body: dict[str, Any], client_id: str) -> Response:
    """Change a client; what it may do changes at once.

    The caller must hold every permission among its scopes, before and after; but every caller may
    disable it.
    """
    changed = change_client(
        client_id,
        cast(ClientChanges, body),
        actor=current_actor(),
        request=current_request_info(),
    )
    return json_response(client_document(changed, list_secrets(client_id)))


@blueprint.delete("/<client_id>")
@require_permission(Permission.CLIENTS_WRITE)
@fresh_token_required
@blueprint.response(204)
@blueprint.refuses(ClientNotFoundError)
def remove_client(client_id: str) -> None:
    """Delete a client, its secrets and its sessions; its id is never used again."""
    delete_client(client_id, actor=current_actor(), request=current_request_info())


@blueprint.post("/<client_id>/secrets")
@require_permission(Permission.CLIENTS_WRITE)
@fresh_token_required
@blueprint.arguments(SecretRequestSchema)
@blueprint.response(201, NewClientSecretSchema)
@blueprint.refuses(ClientNotFoundError, NoSecretsError, TooManySecretsError)
def post_secret(body: dict[str, Any], client_id: str) -> Response:
    """Give a client a second secret, shown this once; both are accepted."""
    seconds = body.get("expires_in")
    secret, facts = add_secret(
        client_id,
        expires_in=timedelta(seconds=seconds) if seconds is not None else None,
        actor=current_actor(),
        request=current_request_info(),
    )
    return json_response({**secret_document(facts), "client_secret": secret}, 201)


@blueprint.delete("/<client_id>/secrets/<uuid:secret_id>")
@require_permission(Permission.CLIENTS_WRITE)
@fresh_token_required
@blueprint.response(204)
@blueprint.refuses(ClientNotFoundError, ClientSecretNotFoundError)
def remove_secret(client_id: str, secret_id: UUID) -> None:
    """Delete a secret; it is refused from now on."""
    delete_secret(client_id, secret_id, actor=current_actor(), request=current_request_info())


@blueprint.post("/<client_id>/revoke")
@require_permission(Permission.CLIENTS_WRITE)
@fresh_token_required
@blueprint.response(204)
@blueprint.refuses(ClientNotFoundError)
def revoke(client_id: str) -> None:
    """End every session of a client, and refuse the tokens that it has."""
    revoke_client(client_id, actor=current_actor(), request=current_request_info())
