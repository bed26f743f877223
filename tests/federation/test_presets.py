"""The worth of each provider's words, by answers of the shape that it sends."""

from typing import Any

import pytest

from authserve.federation.policy import Claimed
from authserve.federation.presets import Preset, person_of_claims, person_of_github

TENANT = "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0"


def claimed(preset: Preset, **claims: Any) -> Claimed:
    """The judged claims of an ID token."""
    return person_of_claims(preset, {"sub": "1", **claims}).claimed


@pytest.mark.parametrize(
    ("preset", "claims", "is_verified", "domain"),
    [
        (Preset.OIDC, {"email_verified": True}, True, "example.com"),
        (Preset.OIDC, {"email_verified": "true"}, False, None),
        (Preset.OIDC, {"email_verified": 1}, False, None),
        (Preset.OIDC, {"email_verified": False}, False, None),
        (Preset.OIDC, {}, False, None),
        (Preset.GITLAB, {"email_verified": True}, True, "example.com"),
        (Preset.GITLAB, {}, False, None),
        # Another organisation's address, which Google has not the say over.
        (Preset.GOOGLE, {"email_verified": True}, False, None),
        (Preset.GOOGLE, {"email_verified": True, "hd": "Example.com"}, True, "example.com"),
        (Preset.GOOGLE, {"email_verified": True, "hd": "example.org"}, True, "example.org"),
        (Preset.GOOGLE, {"email_verified": False, "hd": "example.com"}, False, "example.com"),
        (Preset.GOOGLE, {"email_verified": True, "hd": ["example.com"]}, False, None),
        (Preset.MICROSOFT, {"email_verified": True}, False, None),
        (Preset.MICROSOFT, {"xms_edov": True, "iss": TENANT}, True, "example.com"),
        (Preset.MICROSOFT, {"xms_edov": "1"}, False, None),
    ],
)
def test_an_address_is_verified_only_if_its_provider_can_say_so(
    preset: Preset, claims: dict[str, Any], is_verified: bool, domain: str | None
) -> None:
    found = claimed(preset, email="Alice@Example.com", **claims)
    assert found == Claimed(email="alice@example.com", is_email_verified=is_verified, domain=domain)


def test_google_answers_for_its_own_addresses() -> None:
    found = claimed(Preset.GOOGLE, email="alice@gmail.com", email_verified=True)
    # No organisation hosts the account, so no list of domains lets it in.
    assert found == Claimed(email="alice@gmail.com", is_email_verified=True, domain=None)
    lookalike = claimed(Preset.GOOGLE, email="alice@gmail.com.example", email_verified=True)
    assert not lookalike.is_email_verified


@pytest.mark.parametrize(
    "email", [None, "", "no address", ["a@example.com"], "a@b@example.com", "a@example.com\n", 1]
)
def test_what_is_no_address_counts_as_none(email: object) -> None:
    found = claimed(Preset.OIDC, email=email, email_verified=True)
    assert found.email in (None, "a@example.com")
    assert found.is_email_verified is (found.email is not None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Alice", "Alice"), ("", None), ("x" * 101, None), ("a\u202eb", None), (["Alice"], None)],
)
def test_an_unusable_name_is_left_out(name: object, expected: str | None) -> None:
    assert person_of_claims(Preset.OIDC, {"sub": "1", "name": name}).display_name == expected
    user = {"id": 1, "login": "alice", "name": name}
    found = person_of_github(user, [])
    assert found is not None
    assert found.display_name == expected


ADDRESSES = [
    {"email": "public@example.com", "primary": False, "verified": True, "visibility": "public"},
    {"email": "Alice@Example.com", "primary": True, "verified": True, "visibility": "private"},
]


@pytest.mark.parametrize(
    ("emails", "expected"),
    [
        (ADDRESSES, "alice@example.com"),
        (ADDRESSES[:1], None),
        ([{**ADDRESSES[1], "verified": False}], None),
        ([{**ADDRESSES[1], "verified": "true"}], None),
        ([{**ADDRESSES[1], "email": None}], None),
        (["alice@example.com", None, 1], None),
        ([], None),
    ],
)
def test_github_counts_the_primary_address_if_it_is_verified(
    emails: list[Any], expected: str | None
) -> None:
    user = {"id": 583_231, "login": "octocat", "email": "stranger@example.com"}
    found = person_of_github(user, emails)
    assert found is not None
    assert found.subject == "583231"
    assert (found.claimed.email, found.claimed.is_email_verified) == (expected, bool(expected))


@pytest.mark.parametrize("number", [None, "583231", True, 0, -1, 1.5, 2**63])
def test_github_without_an_id_is_no_user(number: object) -> None:
    assert person_of_github({"id": number, "login": "octocat"}, ADDRESSES) is None
