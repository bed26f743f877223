"""Origins of proxied applications: their form, their callbacks, and whose each is.

An origin belongs to one client, since a proxy's request names its client by nothing else.
"""

from collections.abc import Collection

from marshmallow import ValidationError
from sqlalchemy import delete, select

from authserve.clients.models import ORIGIN_MAX_LENGTH, ClientOrigin
from authserve.core.errors import ValidationFailedError
from authserve.database.statements import table_of
from authserve.database.transactions import execute, insert_if_absent, read_all
from authserve.settings.model import Settings
from authserve.settings.urls import check_web_origin

CALLBACK_PATH = "/.authserve/callback"
"""The path at each origin that the proxy leaves to this service (design)."""

_ORIGINS = table_of(ClientOrigin)


def callback_of(origin: str) -> str:
    """Return the redirect URI of an origin."""
    return f"{origin}{CALLBACK_PATH}"


def find_origin_fault(origin: str, *, settings: Settings) -> str | None:
    """Return why a proxied application cannot be at an origin, or None if it can.

    Args:
        settings: outside production, http is accepted.
    """
    try:
        check_web_origin(origin)
        is_origin = len(origin) <= ORIGIN_MAX_LENGTH
    except ValidationError:
        is_origin = False
    if not is_origin:
        return "Give an origin as browsers send it, such as https://app.example.com."
    if settings.is_production and not origin.startswith("https:"):
        return "Must be https."
    # The service's own pages would get the application's cookies.
    return "This is the service's own origin." if origin == settings.public_url else None


def claim_origins(client_id: str, origins: Collection[str]) -> None:
    """Make these the origins of a client, in the open transaction, which has locked its row.

    Raises:
        ValidationFailedError: another client has one of them.
    """
    execute(delete(_ORIGINS).where(_ORIGINS.c.client_id == client_id))
    for origin in sorted(origins):
        row = {"origin": origin, "client_id": client_id}
        if execute(insert_if_absent(ClientOrigin), row).rowcount != 1:
            raise ValidationFailedError({"origins": [f"Another client has {origin}."]})


def list_origins() -> list[str]:
    """Return the origins of all proxied applications, sorted."""
    return [row.origin for row in read_all(select(_ORIGINS.c.origin).order_by(_ORIGINS.c.origin))]
