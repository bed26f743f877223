"""Identities that wait for their person: what their tokens hold, and what is none."""

from collections.abc import Callable, Iterator
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
from authserve.federation.pending_identities import (
    PENDING_IDENTITY_TTL,
    PendingIdentity,
    read_pending_identity,
    write_pending_identity,
)
from authserve.federation.state import Purpose, State, bind, write_state
from authserve.pages.provider_pending import ADDRESS, redirect_to_question
from authserve.tokens.signing import LEEWAY_SECS
from authserve.web.continuation import (
    MAX_TOKEN_LENGTH,
    Continuation,
    TargetKind,
    write_continuation,
)

IDENTITY = ProviderIdentity(issuer="https://id.example.com", subject="24400320", email=None)

NEW = PendingIdentity(
    provider="google", identity=IDENTITY, display_name="Älice", has_two_factors=True
)

KNOWN = PendingIdentity(
    provider="google",
    identity=replace(IDENTITY, email="alice@example.com"),
    account_id=UUID(int=7),
    address="alice@example.com",
)


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.mark.parametrize("pending_identity", [NEW, KNOWN], ids=["new account", "known account"])
def test_it_holds_the_identity_and_the_account(pending_identity: PendingIdentity) -> None:
    moment = now()
    assert (
        read_pending_identity(write_pending_identity(pending_identity, now=moment), now=moment)
        == pending_identity
    )


def test_it_lasts_half_an_hour() -> None:
    begun, leeway = now(), timedelta(seconds=LEEWAY_SECS)
    token = write_pending_identity(KNOWN, now=begun)
    read_pending_identity(token, now=begun + PENDING_IDENTITY_TTL + leeway - timedelta(seconds=1))
    with pytest.raises(UnknownStateError):
        read_pending_identity(token, now=begun + PENDING_IDENTITY_TTL + leeway)


def test_another_token_is_no_pending_identity() -> None:
    state = State(
        provider="google",
        flow_id="abcd-_12",
        purpose=Purpose.SIGN_IN,
        binding=bind(bytes(32), ""),
    )
    token = write_pending_identity(KNOWN, now=now())
    for other in ("", "x", f"{token[:-1]}~", write_state(state, now=now())):
        with pytest.raises(UnknownStateError):
            read_pending_identity(other, now=now())


USUAL = PendingIdentity(
    provider="microsoft",
    identity=ProviderIdentity(
        issuer="https://login.microsoftonline.com/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0",
        subject="AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
        email="alexandra.smith@example.com",
    ),
    account_id=UUID(int=7),
    address="alexandra.smith@example.com",
    display_name="Alexandra Smith",
    domain="example.com",
)

LONGEST = PendingIdentity(
    provider="x" * 32,
    identity=ProviderIdentity(
        issuer="i" * MAX_ISSUER_LENGTH, subject="s" * MAX_SUBJECT_LENGTH, email="e" * 254
    ),
    account_id=UUID(int=7),
    address="e" * 254,
    display_name="ä" * 100,
)


@pytest.mark.parametrize(("pending_identity", "is_kept"), [(USUAL, True), (LONGEST, False)])
def test_a_cookie_has_room_for_the_longest_target(
    make_app: Callable[..., Flask], pending_identity: PendingIdentity, is_kept: bool
) -> None:
    """Browsers keep cookies of 4,096 bytes (RFC 6265 §6.1)."""
    app = make_app(features=("pages", "federation"), public_url="https://auth.example.com")
    with app.test_request_context():
        targets = [f"pages.show_account?x={'x' * length}" for length in range(1_500, 2_200)]
        tokens = [write_continuation(Continuation(TargetKind.PAGE, each)) for each in targets]
        token = max(filter(None, tokens), key=len)
        assert len(token) >= MAX_TOKEN_LENGTH - 2
        answer = redirect_to_question(ADDRESS, pending_identity, token, is_remembered=True)
    (cookie,) = answer.headers.getlist("Set-Cookie")
    assert len(cookie) <= 4_096
    assert (token in cookie) is is_kept
    value = cookie.partition("; ")[0].partition("=")[2]
    assert value.count(".") == (7 if is_kept else 5)
