"""Export and import of providers, with their secrets as they are sealed.

A sealed secret opens where the same `SECRET_KEY` is, as the current one or a fallback; the file
alone gives no access.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from typing import Any

from marshmallow import fields, validate

from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.crypto import UndecryptableError
from authserve.core.errors import ValidationFailedError
from authserve.federation.documents import provider_document
from authserve.federation.registry import (
    Provider,
    add_provider,
)
from authserve.federation.schemas import NewProviderSchema, to_configuration
from authserve.federation.secrets import read_sealed_secret, unseal_secret

_LEFT_OUT = ("redirect_uri", "created_at", "updated_at")
"""Members that belong to this installation."""

_MAX_SEALED_LENGTH = 1_600
"""Limits a sealed secret, in characters: the longest secret takes some 1,400 (chosen)."""


class ExportedProviderSchema(NewProviderSchema):
    """A provider in an export."""

    class Meta(NewProviderSchema.Meta):
        """marshmallow's options."""

        exclude = ("client_secret",)

    slug = fields.String(required=True)
    sealed_secret = fields.String(
        required=True, validate=validate.Length(min=1, max=_MAX_SEALED_LENGTH)
    )


def export_providers(providers: Iterable[Provider]) -> Iterator[dict[str, Any]]:
    """Yield the document of each provider, with its sealed secret in base64."""
    for provider in providers:
        document = provider_document(provider)
        kept = {name: value for name, value in document.items() if name not in _LEFT_OUT}
        sealed = b64encode(read_sealed_secret(provider.slug)).decode()
        yield {**kept, "sealed_secret": sealed}


def import_provider(loaded: dict[str, Any], *, request: RequestInfo) -> None:
    """Register an exported provider, as the operator; its secret is sealed anew.

    Args:
        loaded: by `ExportedProviderSchema`.

    Raises:
        ValidationFailedError: a value is not acceptable here, or no `SECRET_KEY` opens the secret.
        ProviderExistsError: another provider has the slug.
    """
    values = {name: value for name, value in loaded.items() if name != "sealed_secret"}
    slug, configuration = to_configuration(values)
    secret = _open(slug, loaded["sealed_secret"])
    add_provider(slug, configuration, secret=secret, actor=OPERATOR, request=request)


def _open(slug: str, sealed: str) -> str:
    try:
        return unseal_secret(slug, b64decode(sealed, validate=True))
    except ValueError as error:
        raise ValidationFailedError({"sealed_secret": ["Not base64."]}) from error
    except UndecryptableError as error:
        fault = (
            "No SECRET_KEY of this service opens it. Put the other service's into "
            "SECRET_KEY_FALLBACKS for the time of the import."
        )
        raise ValidationFailedError({"sealed_secret": [fault]}) from error
