"""A provider's discovery document (OpenID Connect Discovery §3). It is pure."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from authserve.core.frozen import frozen


class MetadataError(Exception):
    """A discovery document that cannot be used.

    Args:
        reason: words for the operator; they contain nothing of the document.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@frozen(kw_only=True)
class Metadata:
    """A provider's discovery document, as far as it is used.

    Args:
        userinfo_endpoint: None if it has none.
        takes_basic: False if the secret has to be sent in the body.
        sends_issuer: True if its answers name it (RFC 9207 §3).
        response_types, challenge_methods, algorithms, auth_methods: what the provider supports;
            None if it does not say.
    """

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    takes_basic: bool
    sends_issuer: bool
    response_types: frozenset[str] | None = None
    challenge_methods: frozenset[str] | None = None
    algorithms: frozenset[str] | None = None
    auth_methods: frozenset[str] | None = None

    @property
    def endpoints(self) -> Mapping[str, str]:
        """The URLs that browsers and this service call, by their names in the document."""
        found = {
            "authorization_endpoint": self.authorization_endpoint,
            "token_endpoint": self.token_endpoint,
            "jwks_uri": self.jwks_uri,
        }
        if self.userinfo_endpoint is not None:
            found["userinfo_endpoint"] = self.userinfo_endpoint
        return found


def discovery_url(issuer: str) -> str:
    """Return the URL of an issuer's document (OpenID Connect Discovery §4)."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def read_metadata(document: object, issuer: str) -> Metadata:
    """Return the metadata in a document.

    Args:
        document: parsed JSON.
        issuer: which it must name, exactly (OpenID Connect Discovery §4.3).

    Raises:
        MetadataError: it names another issuer, or an endpoint that is no URL.
    """
    if not isinstance(document, Mapping):
        raise MetadataError("its discovery document is no object")
    if document.get("issuer") != issuer:
        raise MetadataError("its discovery document names another issuer")
    auth_methods = _names(document, "token_endpoint_auth_methods_supported")
    return Metadata(
        authorization_endpoint=_endpoint(document, "authorization_endpoint"),
        token_endpoint=_endpoint(document, "token_endpoint"),
        jwks_uri=_endpoint(document, "jwks_uri"),
        userinfo_endpoint=(
            _endpoint(document, "userinfo_endpoint") if "userinfo_endpoint" in document else None
        ),
        # Without the member, Basic is what providers take (Discovery §3).
        takes_basic=auth_methods is None or "client_secret_basic" in auth_methods,
        sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        response_types=_names(document, "response_types_supported"),
        challenge_methods=_names(document, "code_challenge_methods_supported"),
        algorithms=_names(document, "id_token_signing_alg_values_supported"),
        auth_methods=auth_methods,
    )


def _names(document: Mapping[str, Any], name: str) -> frozenset[str] | None:
    found = document.get(name)
    if not isinstance(found, list):
        return None
    return frozenset(each for each in found if isinstance(each, str))


def _endpoint(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not is_absolute_url(value) or "#" in value:
        raise MetadataError(f"its discovery document has no usable {name}")
    return value


def is_absolute_url(value: str) -> bool:
    """Return True for http or https with a host, without a user or a character to be quoted."""
    try:
        parts = urlsplit(value)
        is_port_good = parts.port is None or parts.port > 0
    except ValueError:
        return False
    is_plain = value.isascii() and value.isprintable() and " " not in value
    has_host = parts.scheme in ("https", "http") and bool(parts.hostname)
    return is_plain and has_host and is_port_good and "@" not in parts.netloc
