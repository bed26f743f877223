"""Registered clients of OAuth in tests."""

from typing import Any

from flask import Flask

from authserve.clients.client_secrets import NewClient, register_with_secret
from authserve.clients.configuration import ClientConfiguration
from authserve.clients.kinds import ClientKind
from authserve.core.actor import OPERATOR, RequestInfo

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
