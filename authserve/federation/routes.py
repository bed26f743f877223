"""The API for providers, which exists only with the feature `federation`."""

from typing import Any

from flask import Response

from authserve.federation.documents import provider_document
from authserve.federation.errors import ProviderExistsError, ProviderNotFoundError
from authserve.federation.registry import (
    add_provider,
    change_provider,
    delete_provider,
    get_provider,
    list_providers,
)
from authserve.federation.schemas import (
    NewProviderSchema,
    ProviderChangesSchema,
    ProviderPageSchema,
    ProviderSchema,
    to_changes,
    to_configuration,
)
from authserve.http.authentication import current_actor, fresh_token_required, require_permission
from authserve.http.openapi import Blueprint
from authserve.http.pagination import NamePageQuerySchema, make_page
from authserve.http.request_info import current_request_info
from authserve.http.schemas import json_response
from authserve.rbac.policy import Permission

blueprint = Blueprint(
    "identity_providers",
    __name__,
    url_prefix="/api/v1/identity-providers",
    description="Other services by which people sign in here.",
)


@blueprint.get("")
@require_permission(Permission.PROVIDERS_READ)
@blueprint.arguments(NamePageQuerySchema, location="query")
@blueprint.response(200, ProviderPageSchema)
def read_providers(query: dict[str, Any]) -> Response:
    """List providers by slug."""
    limit = query["limit"]
    found = list_providers(limit=limit + 1, after=query["cursor"])
    page = make_page(found, limit=limit, key=lambda provider: provider.slug)
    items = list(map(provider_document, page.items))
    return json_response({"items": items, "next_cursor": page.next_cursor})


@blueprint.post("")
@require_permission(Permission.PROVIDERS_WRITE)
@fresh_token_required
@blueprint.arguments(NewProviderSchema)
@blueprint.response(201, ProviderSchema)
@blueprint.refuses(ProviderExistsError)
def post_provider(body: dict[str, Any]) -> Response:
    """Register a provider; the answer has the redirect URI to register there.

    A provider whose word counts for an address or a second factor needs an administrator.
    """
    slug, configuration = to_configuration(body)
    made = add_provider(
        slug,
        configuration,
        secret=body["client_secret"],
        actor=current_actor(),
        request=current_request_info(),
    )
    return json_response(provider_document(made), 201)


@blueprint.get("/<slug>")
@require_permission(Permission.PROVIDERS_READ)
@blueprint.response(200, ProviderSchema)
@blueprint.refuses(ProviderNotFoundError)
def read_provider(slug: str) -> Response:
    """Show a provider, without its secret."""
    return json_response(provider_document(get_provider(slug)))


@blueprint.patch("/<slug>")
@require_permission(Permission.PROVIDERS_WRITE)
@fresh_token_required
@blueprint.arguments(ProviderChangesSchema)
@blueprint.response(200, ProviderSchema)
@blueprint.refuses(ProviderNotFoundError)
def patch_provider(body: dict[str, Any], slug: str) -> Response:
    """Change a provider, from its next sign-in on.

    A provider whose word counts for an address or a second factor, before or after, needs an
    administrator; but every caller may disable it. Another `issuer` needs a `client_secret`, since
    the former one is sent to no other server.
    """
    changed = change_provider(
        slug,
        to_changes(body),
        secret=body.get("client_secret"),
        actor=current_actor(),
        request=current_request_info(),
    )
    return json_response(provider_document(changed))


@blueprint.delete("/<slug>")
@require_permission(Permission.PROVIDERS_WRITE)
@fresh_token_required
@blueprint.response(204)
@blueprint.refuses(ProviderNotFoundError)
def remove_provider(slug: str) -> None:
    """Delete a provider; its people's identities stay, in case it comes back."""
    delete_provider(slug, actor=current_actor(), request=current_request_info())
