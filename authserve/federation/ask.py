"""The answer of a provider about a person who comes back with its code."""

from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime
from typing import Any

from authserve.core.frozen import frozen
from authserve.core.levels import MULTIPLE_FACTORS
from authserve.federation.answer_faults import AnswerFault
from authserve.federation.code_exchange import Exchange
from authserve.federation.discovery import Metadata
from authserve.federation.id_tokens import (
    LEEWAY_SECS,
    Expected,
    IDTokenError,
    UnknownKeyError,
    verify_id_token,
)
from authserve.federation.presets import (
    DEFAULTS,
    Person,
    Preset,
    person_of_claims,
    person_of_github,
)
from authserve.federation.upstream import (
    Conversation,
    ProviderUnavailableError,
)


@frozen(kw_only=True)
class Endpoint:
    """The provider's authorization endpoint; its answer may have to name the issuer (RFC 9207)."""

    url: str
    sends_issuer: bool


_TWO_FACTORS = frozenset(
    {
        "aal2",
        "phr",
        "phrh",
        "https://refeds.org/profile/mfa",
        "http://schemas.openid.net/pape/policies/2007/06/multi-factor",
    }
)
"""Values of `acr` that mean two factors: this service's own, those of OpenID's Extended
Authentication Profile ACR Values 1.0, the REFEDS MFA Profile 1.2, and PAPE 1.0 §4."""


_ABOUT_ADDRESS = frozenset({"email_verified", "xms_edov"})
"""Claims about the address beside them: OpenID Connect Core §5.1, and Microsoft's own."""


@frozen(kw_only=True)
class ProviderAnswer:
    """A provider's answer.

    Args:
        amr, acr: how the person signed in there, as the ID token says; empty and None without.
        auth_time: the time of an earlier sign-in there that the ID token names; else None.
    """

    person: Person
    amr: frozenset[str] = field(default=frozenset())
    acr: str | None = None
    auth_time: datetime | None = None

    @property
    def claims_two_factors(self) -> bool:
        """True if the provider says that it asked for two; `trusts_mfa` decides if that counts."""
        return MULTIPLE_FACTORS in self.amr or self.acr in _TWO_FACTORS


def find_endpoint(preset: Preset, issuer: str, conversation: Conversation) -> Endpoint:
    """Return the endpoint at which the person signs in.

    Raises:
        ProviderUnavailableError: the provider's discovery document cannot be had.
    """
    if preset is Preset.GITHUB:
        return Endpoint(url=f"{issuer}/login/oauth/authorize", sends_issuer=False)
    metadata = conversation.discover()
    return Endpoint(url=metadata.authorization_endpoint, sends_issuer=metadata.sends_issuer)


def ask_provider(
    preset: Preset,
    issuer: str,
    exchange: Exchange,
    conversation: Conversation,
    *,
    nonce: str,
    now: datetime,
) -> ProviderAnswer:
    """Exchange a code, and return the provider's claims about the person.

    The provider's tokens are dropped with this call.

    Args:
        conversation: with that provider.
        nonce: of the flow.
        now: the current time.

    Raises:
        ProviderUnavailableError: the provider is away or slow, or an answer fails a check.
    """
    if preset is Preset.GITHUB:
        return _ask_github(issuer, exchange, conversation)
    metadata = conversation.discover()
    tokens = conversation.exchange(
        metadata.token_endpoint, exchange, takes_basic=metadata.takes_basic
    )
    expected = Expected(issuer=issuer, client_id=exchange.client_id, nonce=nonce)
    claims = _verify(tokens.get("id_token"), metadata, conversation, expected, now)
    person = person_of_claims(preset, _complete(claims, tokens, metadata, conversation))
    return ProviderAnswer(
        person=person,
        amr=_read_amr(claims),
        acr=_read_acr(claims),
        auth_time=_read_auth_time(claims, now),
    )


def _verify(
    token: object,
    metadata: Metadata,
    conversation: Conversation,
    expected: Expected,
    now: datetime,
) -> dict[str, Any]:
    if not isinstance(token, str):
        raise ProviderUnavailableError("its answer has no ID token", AnswerFault.FORM)
    try:
        try:
            keys = conversation.find_keys(metadata.jwks_uri)
            return verify_id_token(token, keys, expected=expected, now=now)
        except UnknownKeyError:
            keys = conversation.find_keys(metadata.jwks_uri, is_key_unknown=True)
            return verify_id_token(token, keys, expected=expected, now=now)
    except IDTokenError as error:
        reason = f"its ID token is refused: {error.reason}"
        raise ProviderUnavailableError(reason, error.fault) from error


def _complete(
    claims: dict[str, Any],
    tokens: Mapping[str, Any],
    metadata: Metadata,
    conversation: Conversation,
) -> dict[str, Any]:
    """Return the claims of the ID token, with those of userinfo if the address is missing.

    Then only userinfo says whether the address is verified: the ID token's `email_verified` is
    about an address that it does not name.
    """
    access_token = tokens.get("access_token")
    if "email" in claims or metadata.userinfo_endpoint is None:
        return claims
    if not isinstance(access_token, str) or not _is_header_text(access_token):
        return claims
    found = conversation.get_with_token(metadata.userinfo_endpoint, access_token)
    # Another subject would be another person (OpenID Connect Core §5.3.2).
    if not isinstance(found, Mapping) or found.get("sub") != claims["sub"]:
        raise ProviderUnavailableError("its userinfo is about another subject", AnswerFault.SUBJECT)
    return {**found, **{name: claims[name] for name in claims.keys() - _ABOUT_ADDRESS}}


def _ask_github(issuer: str, exchange: Exchange, conversation: Conversation) -> ProviderAnswer:
    tokens = conversation.exchange(
        f"{issuer}/login/oauth/access_token", exchange, takes_basic=False
    )
    access_token = tokens.get("access_token")
    if not isinstance(access_token, str) or not _is_header_text(access_token):
        raise ProviderUnavailableError("its answer has no access token", AnswerFault.FORM)
    base = github_api(issuer)
    user = conversation.get_with_token(f"{base}/user", access_token)
    emails = conversation.get_with_token(f"{base}/user/emails", access_token)
    is_list = isinstance(emails, list)
    person = person_of_github(user, emails) if isinstance(user, Mapping) and is_list else None
    if person is None:
        raise ProviderUnavailableError("its answer is no user", AnswerFault.FORM)
    return ProviderAnswer(person=person)


def github_api(issuer: str) -> str:
    """Return the base of GitHub's API; a GitHub Enterprise Server has its own (REST reference)."""
    is_public = issuer == DEFAULTS[Preset.GITHUB].issuer
    return "https://api.github.com" if is_public else f"{issuer}/api/v3"


def _is_header_text(token: str) -> bool:
    """Return True if a header can carry a token: `b64token` of RFC 6750 §2.1, or alike."""
    return token.isascii() and token.isprintable() and " " not in token


def _read_amr(claims: Mapping[str, Any]) -> frozenset[str]:
    found = claims.get("amr")
    names = found if isinstance(found, list) else []
    return frozenset(name for name in names if isinstance(name, str))


def _read_acr(claims: Mapping[str, Any]) -> str | None:
    found = claims.get("acr")
    return found if isinstance(found, str) else None


def _read_auth_time(claims: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return the time of an earlier sign-in at the provider; None for a new one.

    The provider's clock may be behind by the leeway, so a sign-in within it counts as new.
    """
    found = claims.get("auth_time")
    if not isinstance(found, int | float) or isinstance(found, bool):
        return None
    is_former = 0 <= found < now.timestamp() - LEEWAY_SECS
    if not is_former:
        return None
    return datetime.fromtimestamp(found + LEEWAY_SECS, UTC)
