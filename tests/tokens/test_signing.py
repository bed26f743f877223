"""Tokens of the service's own: one spelling, one kind, one time."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
import time_machine
from hypothesis import example, given
from hypothesis import strategies as st
from jwt.utils import base64url_encode

from authserve.core.clock import now
from authserve.core.crypto import KEYRING, digest
from authserve.core.errors import InvalidTokenError, TokenExpiredError
from authserve.tokens.signing import (
    COMMON_CLAIMS,
    LEEWAY_SECS,
    TokenKind,
    require_form,
    sign,
    timed_claims,
)
from authserve.tokens.signing import verify as verify_at

pytestmark = pytest.mark.usefixtures("core_context")

Secrets = Callable[..., AbstractContextManager[object]]

KIND = TokenKind(name="probe", header_type="probe+jwt", claims=("colour",))
HOUR = timedelta(hours=1)
URL = "http://localhost:8000"


def verify(kind: TokenKind, token: str) -> dict[str, Any]:
    """Verify a token as the service does now."""
    return verify_at(kind, token, public_url=URL, now=now())


def claims_of(**changes: Any) -> dict[str, Any]:
    return {"sub": str(uuid4()), "colour": "green", **changes}


def signed(kind: TokenKind = KIND, **changes: Any) -> str:
    """A token of ours for the next hour."""
    moment = now()
    return sign(
        kind, claims_of(**changes), public_url=URL, issued_at=moment, expires_at=moment + HOUR
    )


def signed_by_us(payload: Any, *, header: dict[str, Any] | None = None) -> str:
    """Return a token with a valid signature over any payload."""
    names = {"alg": "HS256", "typ": KIND.header_type} if header is None else header
    parts = [base64url_encode(json.dumps(part).encode()).decode() for part in (names, payload)]
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        ".".join(parts).encode(), KEYRING.get().keys(KIND.purpose)[0]
    )
    return ".".join([*parts, base64url_encode(signature).decode()])


def full_claims(**changes: Any) -> dict[str, Any]:
    token = signed()
    return {**jwt.decode(token, options={"verify_signature": False}), **changes}


def test_it_returns_what_was_signed(clock: time_machine.Traveller) -> None:
    claims, moment = claims_of(), now()
    token = sign(KIND, claims, public_url=URL, issued_at=moment, expires_at=moment + HOUR)
    verified = verify(KIND, token)
    assert UUID(verified.pop("jti")) != UUID(verify(KIND, signed())["jti"])
    assert verified == {
        **claims,
        "iat": moment.timestamp(),
        "nbf": moment.timestamp(),
        "exp": (moment + HOUR).timestamp(),
        "iss": URL,
        "aud": f"{URL}/probe",
        "type": "probe",
    }


def test_no_caller_chooses_issuer_audience_or_kind() -> None:
    token = signed(iss="evil", aud="evil", type="access")
    assert verify(KIND, token)["aud"] == f"http://localhost:8000/{KIND.name}"


def test_the_header_holds_only_algorithm_and_type() -> None:
    header = jwt.get_unverified_header(signed())
    assert header == {"alg": "HS256", "typ": "probe+jwt"}


# Secrets


def test_a_token_outlives_a_change_of_secret(with_secrets: Secrets) -> None:
    with with_secrets("old"):
        token = signed()
    with with_secrets("new", "older", "old"):
        assert verify(KIND, token)["colour"] == "green"
        assert verify(KIND, signed())["colour"] == "green"


def test_new_tokens_are_signed_with_the_newest_secret(with_secrets: Secrets) -> None:
    with with_secrets("new", "old"):
        token = signed()
    with with_secrets("new"):
        verify(KIND, token)
    with with_secrets("old"), pytest.raises(InvalidTokenError):
        verify(KIND, token)


def test_a_token_of_a_fallback_expires_too(
    with_secrets: Secrets, clock: time_machine.Traveller
) -> None:
    with with_secrets("old"):
        token = signed()
    clock.shift(HOUR + timedelta(seconds=LEEWAY_SECS))
    with with_secrets("new", "old"), pytest.raises(TokenExpiredError):
        verify(KIND, token)


# Kinds


@pytest.mark.parametrize(
    "other",
    [
        TokenKind(name="other", header_type="other+jwt", claims=("colour",)),
        # Each of the three would be enough: type of the header, key, and audience and `type`.
        TokenKind(name="other", header_type="probe+jwt", claims=("colour",)),
        TokenKind(name="probe", header_type="other+jwt", claims=("colour",)),
    ],
)
def test_one_kind_never_passes_for_another(other: TokenKind) -> None:
    with pytest.raises(InvalidTokenError):
        verify(other, signed())
    with pytest.raises(InvalidTokenError):
        verify(KIND, signed(other))


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "access"},
        {"aud": "http://localhost:8000/access"},
        {"aud": [f"{URL}/probe"]},
        {"iss": "http://localhost:8000/"},
    ],
)
def test_a_good_key_is_not_enough(changes: dict[str, Any]) -> None:
    verify(KIND, signed_by_us(full_claims()))
    with pytest.raises(InvalidTokenError):
        verify(KIND, signed_by_us(full_claims(**changes)))


@pytest.mark.parametrize("missing", [*COMMON_CLAIMS, "colour"])
def test_every_claim_is_required(missing: str) -> None:
    claims = full_claims()
    del claims[missing]
    with pytest.raises(InvalidTokenError):
        verify(KIND, signed_by_us(claims))


ODD_VALUES = [None, True, -1, 2**70, 1.5, float("inf"), float("nan"), "", "text", [], ["x"], {}]


@pytest.mark.parametrize("name", COMMON_CLAIMS)
def test_no_value_of_a_claim_makes_it_fail(name: str) -> None:
    for value in ODD_VALUES:
        with suppress(InvalidTokenError, TokenExpiredError):
            verify(KIND, signed_by_us(full_claims(**{name: value})))


@pytest.mark.parametrize("name", ["iat", "nbf", "exp"])
def test_a_time_is_a_whole_number(name: str) -> None:
    for value in (None, True, 2**70, 1.5, float("inf"), float("nan"), "1893456000", []):
        with pytest.raises(InvalidTokenError):
            verify(KIND, signed_by_us(full_claims(**{name: value})))


@pytest.mark.parametrize("payload", [None, 1, "text", [], ["iss"], {}])
def test_claims_are_an_object(payload: Any) -> None:
    with pytest.raises(InvalidTokenError):
        verify(KIND, signed_by_us(payload))


# Time


@pytest.mark.parametrize(("late_secs", "is_good"), [(0, True), (29, True), (30, False)])
def test_a_token_ends_when_the_leeway_does(
    clock: time_machine.Traveller, late_secs: int, is_good: bool
) -> None:
    token = signed()
    clock.shift(HOUR + timedelta(seconds=late_secs))
    if is_good:
        verify(KIND, token)
    else:
        with pytest.raises(TokenExpiredError):
            verify(KIND, token)


@pytest.mark.parametrize(("early_secs", "is_good"), [(0, True), (30, True), (31, False)])
def test_a_token_begins_when_the_leeway_does(
    clock: time_machine.Traveller, early_secs: int, is_good: bool
) -> None:
    """Another machine, whose clock is ahead, made it."""
    token = signed()
    clock.shift(-timedelta(seconds=early_secs))
    if is_good:
        verify(KIND, token)
    else:
        with pytest.raises(InvalidTokenError):
            verify(KIND, token)


def test_a_forged_token_does_not_get_token_expired(clock: time_machine.Traveller) -> None:
    token = signed()
    clock.shift(2 * HOUR)
    with pytest.raises(InvalidTokenError):
        verify(KIND, with_other_signature(token))


def test_times_are_whole_seconds() -> None:
    begin = datetime(2030, 1, 1, 0, 0, 0, 999_999, tzinfo=UTC)
    claims = timed_claims(begin, begin + HOUR)
    del claims["jti"]
    assert claims == {"iat": 1_893_456_000, "nbf": 1_893_456_000, "exp": 1_893_459_600}


# Spelling


def with_other_signature(token: str) -> str:
    signing_input, _, _ = token.rpartition(".")
    return f"{signing_input}.{base64url_encode(digest(b'another')).decode()}"


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def test_a_token_has_one_spelling() -> None:
    token = signed()
    header, payload, signature = token.split(".")
    respelled = [f"{token[:-1]}{letter}" for letter in LETTERS if letter != token[-1]]
    respelled += [f"{token}=", f"{token}==", f"{token}.", f".{token}", f"{token}A", f"{token} "]
    respelled += [f"{header}=.{payload}.{signature}", f"{header}.{payload}=.{signature}"]
    respelled += [f"{header}.{payload}.{signature}\n", token.replace("-", "+").replace("_", "/")]
    for text in respelled:
        if text != token:
            with pytest.raises(InvalidTokenError):
                verify(KIND, text)


def test_unused_bits_are_refused_before_a_key_is_touched() -> None:
    for length in (30, 31, 32):
        signature = base64url_encode(bytes(length)).decode()
        token = signed_by_us({}).rpartition(".")[0] + f".{signature}"
        require_form(token, "HS256", KIND.header_type)
        for letter in LETTERS[1:]:
            respelled = f"{signature[:-1]}{letter}="
            if urlsafe_b64decode(f"{respelled}=") == bytes(length):
                with pytest.raises(InvalidTokenError):
                    require_form(f"{token[:-1]}{letter}", "HS256", KIND.header_type)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": "probe+jwt"},
        {"alg": "HS512", "typ": "probe+jwt"},
        {"alg": "hs256", "typ": "probe+jwt"},
        {"alg": ["HS256"], "typ": "probe+jwt"},
        {"alg": "HS256", "typ": "JWT"},
        {"alg": "HS256", "typ": "Probe+JWT"},
        {"alg": "HS256", "typ": {}},
        {"alg": "HS256"},
        {"typ": "probe+jwt"},
        {"alg": "HS256", "typ": "probe+jwt", "kid": "one"},
        {"alg": "HS256", "typ": "probe+jwt", "kid": 1},
        {"alg": "HS256", "typ": "probe+jwt", "crit": ["exp"]},
        {"alg": "HS256", "typ": "probe+jwt", "b64": False},
        {"alg": "HS256", "typ": "probe+jwt", "jwk": {}},
        {"alg": "HS256", "typ": "probe+jwt", "jku": "https://evil.example"},
        {"alg": "HS256", "typ": "probe+jwt", "cty": "JWT"},
        {},
    ],
    ids=json.dumps,
)
def test_the_header_is_exactly_ours(header: dict[str, Any]) -> None:
    token = signed_by_us(full_claims(), header=header)
    with pytest.raises(InvalidTokenError):
        verify(KIND, token)


def test_an_unsigned_token_is_refused() -> None:
    token = jwt.encode(full_claims(), None, "none", headers={"typ": KIND.header_type})
    for text in (token, f"{token}A", token.rstrip(".")):
        with pytest.raises(InvalidTokenError):
            verify(KIND, text)


def test_an_oversized_header_is_not_even_read() -> None:
    header = {"alg": "HS256", "typ": KIND.header_type, "kid": "k" * 200}
    with pytest.raises(InvalidTokenError):
        require_form(signed_by_us({}, header=header), "HS256", KIND.header_type)
    header["kid"] = "k" * 64
    kid = require_form(signed_by_us({}, header=header), "HS256", KIND.header_type)
    assert kid == header["kid"]


NESTED_HEADER = base64url_encode(b"[" * 150 + b"]" * 40).decode()
TOKEN_LIKE = st.text("".join((LETTERS, "...=+/ ")), max_size=300)


@given(st.one_of(st.text(), TOKEN_LIKE, st.lists(TOKEN_LIKE, min_size=3, max_size=3).map(".".join)))
@example("")
@example("." * 60_000)
@example("a." * 30_000)
@example("a" * 60_000)
@example("\ud800.\x00.é")
@example(f"{NESTED_HEADER}.e30.e30")
@example("bnVsbA.e30.e30")
@example("____.e30.e30")
@example("e30.e30.A")
def test_no_text_makes_it_fail(text: str) -> None:
    with pytest.raises(InvalidTokenError):
        verify(KIND, text)


@given(st.data())
def test_no_change_of_a_token_is_overlooked(data: st.DataObject) -> None:
    token = signed()
    position = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.characters())
    changed = token[:position] + letter + token[position + 1 :]
    if changed != token:
        with pytest.raises(InvalidTokenError):
            verify(KIND, changed)


@given(st.binary(max_size=200))
def test_no_header_makes_it_fail(header: bytes) -> None:
    with pytest.raises(InvalidTokenError):
        verify(KIND, f"{base64url_encode(header).decode()}.e30.e30")
