"""The decision after a provider's answer: the account that the identity opens, and what happens.

It is pure. No account is taken over by a claim of its address: an identity, once linked, is the
provider's issuer with its subject, and an address only ever leads to a question (OpenID Connect
Core §5.7).
"""

from collections.abc import Collection
from enum import StrEnum
from uuid import UUID

from authserve.core.frozen import frozen


class LinkPolicy(StrEnum):
    """The answer to an unknown identity with the address of an account.

    `NEVER`: a page that says so. `CONFIRM`: the person signs in to the account once in another
    way, and confirms. `VERIFIED`: the identity is linked at once, if the operator trusts the
    provider's addresses, both sides have verified this one, and the account has no second factor;
    otherwise as `CONFIRM`.
    """

    NEVER = "never"
    CONFIRM = "confirm"
    VERIFIED = "verified"


@frozen(kw_only=True)
class ProviderRules:
    """The rules that the operator sets a provider.

    Args:
        sign_up: True if an unknown person gets an account.
        link: see `LinkPolicy`.
        trusts_email: True if an address that it calls verified counts as verified here.
        allowed_domains: in lower case; empty if every domain may sign in.
    """

    sign_up: bool = True
    link: LinkPolicy = LinkPolicy.CONFIRM
    trusts_email: bool = False
    allowed_domains: frozenset[str] = frozenset()


@frozen(kw_only=True)
class Claimed:
    """The claims of a provider about a person, after its preset has checked them.

    Args:
        email: normalized; None if it names no usable address.
        is_email_verified: True only if the provider says so, in the way of its preset.
        domain: what `allowed_domains` is compared with, in lower case; None without one. Presets
            choose it: the organisation that hosts the account, else that of a verified address.
    """

    email: str | None
    is_email_verified: bool
    domain: str | None


@frozen(kw_only=True)
class KnownAccount:
    """An account of this service that the answer leads to.

    Args:
        has_factors: True if its factors and identities change only after a second factor.
    """

    id: UUID
    is_active: bool = True
    is_email_verified: bool = False
    has_factors: bool = False


class Refusal(StrEnum):
    """Reasons for which an answer opens nothing; pages and audit events show these values."""

    DOMAIN_NOT_ALLOWED = "domain_not_allowed"
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_EXISTS = "account_exists"
    IDENTITY_TAKEN = "identity_taken"
    SIGN_UP_CLOSED = "sign_up_closed"


@frozen()
class Refuse:
    """A refusal: nothing changes, and the page explains why."""

    reason: Refusal


@frozen()
class SignIn:
    """The identity is this account's; its second factor is still asked for."""

    user_id: UUID


@frozen()
class Link:
    """The identity becomes this account's.

    Args:
        signs_in: False if the person who asked for the link is signed in already.
    """

    user_id: UUID
    signs_in: bool


@frozen()
class KeepLink:
    """The identity is this signed-in person's already."""


@frozen()
class AskToConfirm:
    """The account has the address: its owner signs in once in another way, and confirms the link.

    Args:
        must_reclaim: True if its address was never verified, so that only a reset by mail shows who
            owns it. The reset ends what its first holder prepared.
    """

    user_id: UUID
    must_reclaim: bool


@frozen()
class AskForAddress:
    """The provider named no address: the person gives one, and verifies it by mail."""


@frozen()
class SignUp:
    """A new account without a password.

    Args:
        is_email_verified: False if the address has to be verified by mail first.
    """

    email: str
    is_email_verified: bool


Outcome = Refuse | SignIn | Link | KeepLink | AskToConfirm | AskForAddress | SignUp


def decide_identity(
    claimed: Claimed,
    *,
    rules: ProviderRules,
    owner: KnownAccount | None,
    email_match: KnownAccount | None,
    linking_user_id: UUID | None = None,
    is_registration_open: bool,
    registration_domains: Collection[str] = (),
) -> Outcome:
    """Return what a provider's answer leads to.

    Args:
        owner: the account that this identity is linked to.
        email_match: the account that has the claimed address.
        linking_user_id: the signed-in person who asked for a link; None at a sign-in.
        is_registration_open: the setting `REGISTRATION`.
        registration_domains: the setting `REGISTRATION_DOMAINS`; empty if every domain may join.
    """
    if not is_admitted(claimed.domain, rules=rules):
        return Refuse(Refusal.DOMAIN_NOT_ALLOWED)
    if linking_user_id is not None:
        return _decide_link(linking_user_id, owner)
    if owner is not None:
        return _decide_known(owner)
    if email_match is not None:
        return _decide_email_match(email_match, claimed, rules)
    may_join = rules.sign_up and is_registration_open
    return _decide_new(claimed, rules, registration_domains) if may_join else _CLOSED


def check_confirmation(domain: str | None, *, rules: ProviderRules) -> Refusal | None:
    """Return why the owner of an account may not link the identity they were asked about, or None.

    The rules may have changed since the provider's answer; those of the confirmation count.

    Args:
        domain: see `Claimed`.
    """
    if not is_admitted(domain, rules=rules):
        return Refusal.DOMAIN_NOT_ALLOWED
    return Refusal.ACCOUNT_EXISTS if rules.link is LinkPolicy.NEVER else None


def is_admitted(domain: str | None, *, rules: ProviderRules) -> bool:
    """Return True if people of a domain may sign in by a provider; see `Claimed`."""
    return not rules.allowed_domains or domain in rules.allowed_domains


_CLOSED = Refuse(Refusal.SIGN_UP_CLOSED)


def _decide_link(user_id: UUID, owner: KnownAccount | None) -> Outcome:
    if owner is None:
        return Link(user_id, signs_in=False)
    return KeepLink() if owner.id == user_id else Refuse(Refusal.IDENTITY_TAKEN)


def _decide_known(owner: KnownAccount) -> Outcome:
    # A sign-in never reactivates an account: only an administrator does.
    return SignIn(owner.id) if owner.is_active else Refuse(Refusal.ACCOUNT_DISABLED)


def _decide_email_match(
    email_match: KnownAccount, claimed: Claimed, rules: ProviderRules
) -> Outcome:
    """Decide about an unknown identity whose address an account has.

    An attacker may have opened that account with another person's address, so one that was never
    verified is not linked as it is, even if the provider is trusted (pre-hijacking).
    """
    if rules.link is LinkPolicy.NEVER:
        return Refuse(Refusal.ACCOUNT_EXISTS)
    if not email_match.is_active:
        return Refuse(Refusal.ACCOUNT_DISABLED)
    is_proven = _is_trusted(claimed, rules) and email_match.is_email_verified
    # One factor alone must not add another way in to an account of two (`mfa.switch`).
    is_proven = is_proven and not email_match.has_factors
    if rules.link is LinkPolicy.VERIFIED and is_proven:
        return Link(email_match.id, signs_in=True)
    return AskToConfirm(email_match.id, must_reclaim=not email_match.is_email_verified)


def _decide_new(claimed: Claimed, rules: ProviderRules, domains: Collection[str]) -> Outcome:
    if claimed.email is None:
        return AskForAddress()
    if domains and claimed.email.rpartition("@")[2] not in domains:
        return _CLOSED
    return SignUp(claimed.email, is_email_verified=_is_trusted(claimed, rules))


def _is_trusted(claimed: Claimed, rules: ProviderRules) -> bool:
    return rules.trusts_email and claimed.is_email_verified
