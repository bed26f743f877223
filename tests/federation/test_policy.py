"""The table of outcomes after a provider's answer."""

from typing import Any
from uuid import UUID

import pytest

from authserve.federation.policy import (
    AskForAddress,
    AskToConfirm,
    Claimed,
    KeepLink,
    KnownAccount,
    Link,
    LinkPolicy,
    Outcome,
    ProviderRules,
    Refusal,
    Refuse,
    SignIn,
    SignUp,
    check_confirmation,
    decide_identity,
)

ALICE, BOB = UUID(int=1), UUID(int=2)

SURE = Claimed(email="alice@example.com", is_email_verified=True, domain="example.com")
UNSURE = Claimed(email="alice@example.com", is_email_verified=False, domain=None)
NAMELESS = Claimed(email=None, is_email_verified=False, domain=None)

VERIFIED = KnownAccount(id=ALICE, is_email_verified=True)
GUARDED = KnownAccount(id=ALICE, is_email_verified=True, has_factors=True)
UNVERIFIED = KnownAccount(id=ALICE)
DISABLED = KnownAccount(id=ALICE, is_active=False, is_email_verified=True)

JOINING = ProviderRules(link=LinkPolicy.VERIFIED, trusts_email=True)


def decide(claimed: Claimed, rules: ProviderRules | None = None, **known: Any) -> Outcome:
    """Decide with an open registration, and nothing known but what is given."""
    given: dict[str, Any] = {"owner": None, "email_match": None, "is_registration_open": True}
    return decide_identity(claimed, rules=rules or ProviderRules(), **{**given, **known})


@pytest.mark.parametrize(
    ("claimed", "known", "outcome"),
    [
        (SURE, {"owner": VERIFIED}, SignIn(ALICE)),
        (UNSURE, {"owner": UNVERIFIED}, SignIn(ALICE)),
        # The identity decides, not the address, which may have become another person's.
        (SURE, {"owner": KnownAccount(id=BOB), "email_match": VERIFIED}, SignIn(BOB)),
        (SURE, {"owner": DISABLED}, Refuse(Refusal.ACCOUNT_DISABLED)),
        (SURE, {"owner": VERIFIED, "is_registration_open": False}, SignIn(ALICE)),
    ],
)
def test_a_known_identity_is_its_account(
    claimed: Claimed, known: dict[str, Any], outcome: Outcome
) -> None:
    assert decide(claimed, **known) == outcome


@pytest.mark.parametrize(
    ("owner", "outcome"),
    [
        (None, Link(ALICE, signs_in=False)),
        (KnownAccount(id=ALICE), KeepLink()),
        (KnownAccount(id=BOB), Refuse(Refusal.IDENTITY_TAKEN)),
        (KnownAccount(id=BOB, is_active=False), Refuse(Refusal.IDENTITY_TAKEN)),
    ],
)
@pytest.mark.parametrize("claimed", [SURE, NAMELESS])
def test_a_signed_in_person_links_to_their_own_account(
    claimed: Claimed, owner: KnownAccount | None, outcome: Outcome
) -> None:
    """The address at the provider is of no matter, nor is another account that has it."""
    email_match = KnownAccount(id=BOB, is_email_verified=True)
    assert decide(claimed, owner=owner, email_match=email_match, linking_user_id=ALICE) == outcome


@pytest.mark.parametrize("trusts_email", [False, True])
@pytest.mark.parametrize("claimed", [SURE, UNSURE])
@pytest.mark.parametrize("email_match", [VERIFIED, GUARDED, UNVERIFIED, DISABLED])
@pytest.mark.parametrize("link", LinkPolicy)
def test_an_address_alone_opens_no_account(
    link: LinkPolicy, email_match: KnownAccount, claimed: Claimed, trusts_email: bool
) -> None:
    """It does in the one case that the operator chose, with an address verified on both sides."""
    rules = ProviderRules(link=link, trusts_email=trusts_email)
    found = decide(claimed, rules, email_match=email_match)
    if link is LinkPolicy.NEVER:
        expected: Outcome = Refuse(Refusal.ACCOUNT_EXISTS)
    elif email_match is DISABLED:
        expected = Refuse(Refusal.ACCOUNT_DISABLED)
    elif (link, email_match, claimed, trusts_email) == (LinkPolicy.VERIFIED, VERIFIED, SURE, True):
        expected = Link(ALICE, signs_in=True)
    else:
        expected = AskToConfirm(ALICE, must_reclaim=email_match is UNVERIFIED)
    assert found == expected


@pytest.mark.parametrize(
    ("claimed", "rules", "known", "outcome"),
    [
        (SURE, JOINING, {}, SignUp("alice@example.com", is_email_verified=True)),
        (UNSURE, JOINING, {}, SignUp("alice@example.com", is_email_verified=False)),
        (SURE, ProviderRules(), {}, SignUp("alice@example.com", is_email_verified=False)),
        (NAMELESS, JOINING, {}, AskForAddress()),
        (SURE, JOINING, {"is_registration_open": False}, Refuse(Refusal.SIGN_UP_CLOSED)),
        (NAMELESS, JOINING, {"is_registration_open": False}, Refuse(Refusal.SIGN_UP_CLOSED)),
        (SURE, ProviderRules(sign_up=False), {}, Refuse(Refusal.SIGN_UP_CLOSED)),
        (
            SURE,
            JOINING,
            {"registration_domains": ("example.com",)},
            SignUp("alice@example.com", is_email_verified=True),
        ),
        (
            SURE,
            JOINING,
            {"registration_domains": ("ample.com",)},
            Refuse(Refusal.SIGN_UP_CLOSED),
        ),
    ],
)
def test_an_unknown_person_joins_if_the_operator_lets_people_join(
    claimed: Claimed, rules: ProviderRules, known: dict[str, Any], outcome: Outcome
) -> None:
    assert decide(claimed, rules, **known) == outcome


@pytest.mark.parametrize("link", LinkPolicy)
@pytest.mark.parametrize(
    ("domain", "is_foreign"), [("example.com", False), ("example.org", True), (None, True)]
)
def test_the_rules_of_the_confirmation_count(
    link: LinkPolicy, domain: str | None, is_foreign: bool
) -> None:
    closed = Refusal.ACCOUNT_EXISTS if link is LinkPolicy.NEVER else None
    assert check_confirmation(domain, rules=ProviderRules(link=link)) is closed
    here = ProviderRules(link=link, allowed_domains=frozenset({"example.com"}))
    expected = Refusal.DOMAIN_NOT_ALLOWED if is_foreign else closed
    assert check_confirmation(domain, rules=here) is expected


@pytest.mark.parametrize(
    "known", [{}, {"owner": VERIFIED}, {"email_match": VERIFIED}, {"linking_user_id": ALICE}]
)
@pytest.mark.parametrize("claimed", [SURE, UNSURE, NAMELESS])
def test_another_domain_is_refused_before_all_else(claimed: Claimed, known: dict[str, Any]) -> None:
    elsewhere = ProviderRules(allowed_domains=frozenset({"example.org"}))
    assert decide(claimed, elsewhere, **known) == Refuse(Refusal.DOMAIN_NOT_ALLOWED)
    here = ProviderRules(allowed_domains=frozenset({"example.com"}))
    is_refused = decide(claimed, here, **known) == Refuse(Refusal.DOMAIN_NOT_ALLOWED)
    # An address that is not verified shows no domain.
    assert is_refused is (claimed is not SURE)
