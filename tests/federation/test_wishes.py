"""Identities that wait for their person: what their tokens hold, and what is none."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask

from authserve.core.clock import now
from authserve.federation.configuration import MAX_ISSUER_LENGTH
from authserve.federation.errors import UnknownStateError
from authserve.federation.id_tokens import MAX_SUBJECT_LENGTH
from authserve.federation.identities import ProviderIdentity
from authserve.federation.state import Purpose, State, bind, write_state
from authserve.federation.wishes import WISH_TTL, Wish, read_wish, write_wish
from authserve.tokens.signing import LEEWAY_SECS

IDENTITY = ProviderIdentity(issuer="https://id.example.com", subject="24400320", email=None)

NEW = Wish(provider="google", identity=IDENTITY, display_name="Älice", has_two_factors=True)

KNOWN = Wish(
    provider="google",
    identity=replace(IDENTITY, email="alice@example.com"),
    account_id=UUID(int=7),
    address="alice@example.com",
)


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.mark.parametrize("wish", [NEW, KNOWN], ids=["new account", "known account"])
def test_it_holds_the_identity_and_the_account(wish: Wish) -> None:
    moment = now()
    assert read_wish(write_wish(wish, now=moment), now=moment) == wish


def test_it_lasts_half_an_hour() -> None:
    begun, leeway = now(), timedelta(seconds=LEEWAY_SECS)
    token = write_wish(KNOWN, now=begun)
    read_wish(token, now=begun + WISH_TTL + leeway - timedelta(seconds=1))
    with pytest.raises(UnknownStateError):
        read_wish(token, now=begun + WISH_TTL + leeway)


def test_another_token_is_no_wish() -> None:
    state = State(
        provider="google",
        flow_id="abcd-_12",
        purpose=Purpose.SIGN_IN,
        binding=bind(bytes(32), ""),
    )
    token = write_wish(KNOWN, now=now())
    for other in ("", "x", f"{token[:-1]}~", write_state(state, now=now())):
        with pytest.raises(UnknownStateError):
            read_wish(other, now=now())


def test_the_longest_fits_into_a_cookie() -> None:
    """Browsers keep cookies of 4,096 bytes (RFC 6265 §6.1)."""
    longest = Wish(
        provider="x" * 32,
        identity=ProviderIdentity(
            issuer="i" * MAX_ISSUER_LENGTH, subject="s" * MAX_SUBJECT_LENGTH, email="e" * 254
        ),
        account_id=UUID(int=7),
        address="e" * 254,
        display_name="ä" * 100,
    )
    assert len(write_wish(longest, now=now())) < 3_100
