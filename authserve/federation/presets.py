"""The known providers: how each is set up, and what its words about an address are worth.

It is pure. Sources, read 2026-11: Google's "OpenID Connect" guide (`hd`, `email_verified`);
Microsoft's "Migrate away from using email claims for user identification" (`xms_edov`); GitHub's
REST reference "Emails"; GitLab's "GitLab as an OpenID Connect identity provider".
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from authserve.core.frozen import frozen
from authserve.core.identifiers import (
    InvalidIdentifierError,
    canonical_email,
    clean_display_name,
)
from authserve.federation.policy import Claimed


class Preset(StrEnum):
    """The closed list of kinds of providers."""

    OIDC = "oidc"
    GOOGLE = "google"
    MICROSOFT = "microsoft"
    GITHUB = "github"
    GITLAB = "gitlab"


@frozen(kw_only=True)
class PresetDefaults:
    """The values that a preset knows, so that the operator need not.

    Args:
        name: on the button.
        issuer: None if the operator names it.
        scopes: the least that give an address and a name (ASVS 10.2.3).
    """

    name: str
    issuer: str | None
    scopes: tuple[str, ...] = ("openid", "email", "profile")


DEFAULTS: Mapping[Preset, PresetDefaults] = {
    Preset.OIDC: PresetDefaults(name="OpenID Connect", issuer=None),
    Preset.GOOGLE: PresetDefaults(name="Google", issuer="https://accounts.google.com"),
    # The operator names the tenant; "common" would accept every organisation of the world.
    Preset.MICROSOFT: PresetDefaults(name="Microsoft", issuer=None),
    # GitHub has no issuer of its own: this one only separates its subjects from those of others.
    Preset.GITHUB: PresetDefaults(
        name="GitHub", issuer="https://github.com", scopes=("read:user", "user:email")
    ),
    Preset.GITLAB: PresetDefaults(name="GitLab", issuer="https://gitlab.com"),
}

_MAX_NUMBER = 2**63
"""GitHub's ids have 64 bits (REST reference, `format: int64`), and a subject has a length."""

_GMAIL = "gmail.com"
"""The domain of addresses that Google itself gives out."""


@frozen(kw_only=True)
class Person:
    """A person as a provider describes them.

    Args:
        subject: the provider's own id, which it never gives to another person.
        display_name: for a new account; None without a usable one.
    """

    subject: str
    claimed: Claimed
    display_name: str | None


def person_of_claims(preset: Preset, claims: Mapping[str, Any]) -> Person:
    """Return the person whom the claims of a verified ID token describe.

    Args:
        preset: every one but GitHub's.
        claims: with a `sub` that is text, perhaps with those of userinfo.
    """
    email = _usable_email(claims.get("email"))
    is_verified = email is not None and _is_verified(preset, claims, email)
    return Person(
        subject=claims["sub"],
        claimed=Claimed(
            email=email,
            is_email_verified=is_verified,
            domain=_domain(preset, claims, email if is_verified else None),
        ),
        display_name=_usable_name(claims.get("name")),
    )


def person_of_github(user: Mapping[str, Any], emails: Sequence[Any]) -> Person | None:
    """Return the person whom GitHub's API describes; None if the answer is no user.

    Args:
        user: the answer to `GET /user`. Its address is what the person shows in public, verified or
            not, so it is not read; its login can be given to another person.
        emails: the answer to `GET /user/emails`; the primary address counts if it is verified.
    """
    number = user.get("id")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < _MAX_NUMBER:
        return None
    entries = [entry for entry in emails if isinstance(entry, Mapping)]
    primary = next((entry for entry in entries if entry.get("primary") is True), {})
    email = _usable_email(primary.get("email")) if primary.get("verified") is True else None
    return Person(
        subject=str(number),
        claimed=Claimed(email=email, is_email_verified=email is not None, domain=_domain_of(email)),
        display_name=_usable_name(user.get("name")),
    )


def _is_verified(preset: Preset, claims: Mapping[str, Any], email: str) -> bool:
    """Return True if the provider knows that the person reads mail at the address.

    Only JSON's `true` counts: a faulty provider sends the text "false".
    """
    if preset is Preset.MICROSOFT:
        # Without this claim an address is what the tenant's administrator typed.
        return claims.get("xms_edov") is True
    says_so = claims.get("email_verified") is True
    if preset is Preset.GOOGLE:
        # Another domain's address was verified once, perhaps long ago, by its former owner.
        return says_so and (_domain_of(email) == _GMAIL or _hosted_domain(claims) is not None)
    return says_so


def _domain(preset: Preset, claims: Mapping[str, Any], verified: str | None) -> str | None:
    """Return what the operator's list of domains is compared with."""
    return _hosted_domain(claims) if preset is Preset.GOOGLE else _domain_of(verified)


def _hosted_domain(claims: Mapping[str, Any]) -> str | None:
    found = claims.get("hd")
    return found.lower() if isinstance(found, str) and found else None


def _domain_of(email: str | None) -> str | None:
    return None if email is None else email.rpartition("@")[2]


def _usable_email(value: object) -> str | None:
    try:
        return canonical_email(value) if isinstance(value, str) else None
    except InvalidIdentifierError:
        return None


def _usable_name(value: object) -> str | None:
    try:
        return clean_display_name(value) if isinstance(value, str) else None
    except InvalidIdentifierError:
        return None
