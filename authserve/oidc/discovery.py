"""The document that describes this provider to apps (OpenID Connect Discovery, RFC 8414)."""

from typing import Any

from authserve.clients.configuration import ACCOUNT_SCOPE, IDENTITY_SCOPES
from authserve.core.levels import Level
from authserve.keys.families import FAMILIES
from authserve.settings.model import Settings

MAX_AGE_SECS = 300
"""Time for which apps may cache the document, as that of the keys (design)."""

_CLAIMS = (
    *("sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash"),
    *("name", "preferred_username", "locale", "updated_at", "email", "email_verified", "groups"),
)


def make_discovery(settings: Settings) -> dict[str, Any]:
    """Return the provider's metadata, which follows from the settings alone."""
    issuer = settings.public_url
    methods = ["client_secret_basic", "client_secret_post", "none"]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "userinfo_endpoint": f"{issuer}/oauth/userinfo",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "introspection_endpoint": f"{issuer}/oauth/introspect",
        "end_session_endpoint": f"{issuer}/oauth/logout",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [family.algorithm for family in FAMILIES],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods[:2],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "scopes_supported": [*IDENTITY_SCOPES, ACCOUNT_SCOPE],
        "claims_supported": list(_CLAIMS),
        "acr_values_supported": [level.acr for level in Level],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        # No specification names this member; clients ignore what they do not know (RFC 8414 §3.2).
        "idp_hint_parameter_supported": "federation" in settings.features,
    }
