"""Registered clients of OAuth in tests."""

from typing import Any
from uuid import UUID

from flask import Flask

from authserve.clients.client_secrets import NewClient, register_with_secret
from authserve.clients.configuration import ClientConfiguration
from authserve.clients.kinds import ClientKind
from authserve.clients.registry import get_client
from authserve.core.actor import OPERATOR, Actor, RequestInfo
from authserve.oidc.consents import give_consent
from authserve.users.accounts import ref_of
from authserve.users.lookup import get_user

CALLBACK = "https://wiki.example.com/callback"


def give_client(app: Flask, client_id: str = "wiki", **changes: Any) -> NewClient:
    """Register a client; by default a third party's web app for `openid`."""
    values: dict[str, Any] = {
        "name": "Wiki",
        "kind": ClientKind.WEB,
        "redirect_uris": (CALLBACK,),
        "scopes": ("openid",),
        **changes,
    }
    with app.app_context():
        return register_with_secret(
            client_id, ClientConfiguration(**values), actor=OPERATOR, request=RequestInfo()
        )


def allow_client(
    app: Flask,
    client_id: str,
    *scopes: str,
    user_id: UUID,
    session_id: UUID,
    request: RequestInfo | None = None,
) -> None:
    """Let a user allow a client, as the page does; by default for `openid`."""
    with app.app_context():
        give_consent(
            scopes or ("openid",),
            client=get_client(client_id),
            session_id=session_id,
            actor=Actor(user=ref_of(get_user(user_id)), session_id=session_id),
            request=request or RequestInfo(),
        )
