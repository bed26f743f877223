"""States of sign-ins at providers: what they hold, and what is none."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask

from authserve.core.clock import now
from authserve.core.crypto import KEYRING, Keyring
from authserve.federation.errors import UnknownStateError
from authserve.federation.state import (
    STATE_TTL,
    Purpose,
    State,
    bind,
    challenge_of,
    nonce_of,
    read_state,
    verifier_of,
    write_state,
)
from authserve.tokens.signing import LEEWAY_SECS
from authserve.web.continuation import CONTINUE, Continuation, TargetKind, write_continuation

SECRET = b"a secret of thirty-two bytes 123"

ISSUER = "https://id.example.org"

STATE = State(
    provider="google", flow_id="abcd-_12", purpose=Purpose.SIGN_IN, binding=bind(SECRET, ISSUER)
)


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def test_it_holds_what_the_way_back_needs() -> None:
    moment = now()
    assert read_state(write_state(STATE, now=moment), now=moment) == STATE
    link = replace(STATE, purpose=Purpose.LINK, session_id=UUID(int=7), language="de")
    assert read_state(write_state(link, now=moment), now=moment) == link


def test_it_fits_into_a_url_beside_the_rest() -> None:
    link = replace(STATE, purpose=Purpose.LINK, session_id=UUID(int=7), provider="x" * 32)
    assert len(write_state(link, now=now())) < 800


def test_it_ends_after_ten_minutes() -> None:
    begun, leeway = now(), timedelta(seconds=LEEWAY_SECS)
    token = write_state(STATE, now=begun)
    read_state(token, now=begun + STATE_TTL + leeway - timedelta(seconds=1))
    with pytest.raises(UnknownStateError):
        read_state(token, now=begun + STATE_TTL + leeway)


def test_another_token_is_no_state() -> None:
    moment = now()
    token = write_state(STATE, now=moment)
    header, payload, signature = token.split(".")
    continuation = write_continuation(Continuation(TargetKind.PAGE, "pages.show_account?"))
    assert CONTINUE.purpose != "provider-state-token"
    for other in ("", "x", f"{header}.{payload}.", f"{token}x", signature, continuation or ""):
        with pytest.raises(UnknownStateError):
            read_state(other, now=moment)


def test_another_secret_is_not_the_one_that_it_is_bound_to() -> None:
    assert STATE.is_bound_to(SECRET, ISSUER)
    assert not STATE.is_bound_to(SECRET[:-1] + b"4", ISSUER)
    assert not STATE.is_bound_to(b"", ISSUER)
    assert not STATE.is_bound_to(SECRET, f"{ISSUER}/")


def test_verifier_and_nonce_follow_from_the_secret_and_differ() -> None:
    found = [verifier_of(SECRET), nonce_of(SECRET), challenge_of(SECRET), bind(SECRET, ISSUER)]
    assert len(set(found)) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", each) for each in found)
    assert found == [
        verifier_of(SECRET),
        nonce_of(SECRET),
        challenge_of(SECRET),
        bind(SECRET, ISSUER),
    ]


def test_who_has_the_secret_alone_has_no_verifier(app: Flask) -> None:
    before = verifier_of(SECRET), nonce_of(SECRET)
    KEYRING.fill(app, Keyring(["another secret key of the service, 0123456789"]))
    assert not {verifier_of(SECRET), nonce_of(SECRET)} & {*before}
