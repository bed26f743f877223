"""Two second opinions on passkey ceremonies: webauthn (Duo) and fido2's own server (Yubico).

Wherever one of them refuses an answer, this service refuses it, too.
"""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import webauthn
from fido2.server import Fido2Server
from fido2.webauthn import AttestedCredentialData, PublicKeyCredentialRpEntity
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from webauthn.helpers.cose import COSEAlgorithmIdentifier

from authserve.mfa.answers import (
    RegisteredPasskey,
)
from authserve.mfa.policy import (
    ALGORITHMS,
)
from tests.mfa.corpus import (
    ASSERTION_FAULTS,
    CEREMONY_FAULTS,
    CHALLENGE,
    CREDENTIAL_ID,
    OPTIONS,
    PARTY,
    REGISTRATION_FAULTS,
    RP_ID,
    authenticator,
    our_assertion,
    our_registration,
    refusal,
    registered,
)
from tests.support.authenticator import AAGUID, Faults
from tests.support.tokens import decode, encode


def duo_registration(answer: dict[str, Any]) -> None:
    webauthn.verify_registration_response(
        credential=answer,
        expected_challenge=CHALLENGE,
        expected_rp_id=RP_ID,
        expected_origin=list(PARTY.origins),
        require_user_verification=True,
        supported_pub_key_algs=[COSEAlgorithmIdentifier(each) for each in ALGORITHMS],
    )


def duo_assertion(answer: dict[str, Any], passkey: RegisteredPasskey) -> None:
    webauthn.verify_authentication_response(
        credential=answer,
        expected_challenge=CHALLENGE,
        expected_rp_id=RP_ID,
        expected_origin=list(PARTY.origins),
        credential_public_key=passkey.public_key,
        credential_current_sign_count=0,
        require_user_verification=True,
    )


SERVER = Fido2Server(PublicKeyCredentialRpEntity(name="Example", id=RP_ID))
STATE = {"challenge": encode(CHALLENGE), "user_verification": "required"}


def yubico_registration(answer: dict[str, Any]) -> None:
    SERVER.register_complete(STATE, answer)


def yubico_assertion(answer: dict[str, Any], passkey: RegisteredPasskey) -> None:
    raw = AAGUID.bytes + len(CREDENTIAL_ID).to_bytes(2) + CREDENTIAL_ID
    credential = AttestedCredentialData(raw + passkey.public_key)
    SERVER.authenticate_complete(STATE, [credential], answer)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Yubico's server writes credential ids to the log."""
    monkeypatch.setattr(logging.getLogger("fido2"), "disabled", True)


def is_accepted(check: Callable[..., object], *arguments: Any) -> bool:
    """True if a second opinion accepts; whatever else it raises is a refusal."""
    try:
        check(*arguments)
    except Exception:
        return False
    return True


def opinions_on_registration(answer: dict[str, Any]) -> tuple[bool, bool]:
    """Return the verdicts of webauthn and of fido2's server on an answer."""
    return (
        is_accepted(duo_registration, answer),
        is_accepted(yubico_registration, answer),
    )


def opinions_on_assertion(answer: dict[str, Any], passkey: RegisteredPasskey) -> tuple[bool, bool]:
    return (
        is_accepted(duo_assertion, answer, passkey),
        is_accepted(yubico_assertion, answer, passkey),
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_they_accept_what_it_accepts(algorithm: int) -> None:
    key = authenticator(algorithm)
    answer = key.create(OPTIONS)
    passkey = registered(key)
    assert opinions_on_registration(answer) == (True, True)
    assert opinions_on_assertion(key.get(OPTIONS), passkey) == (True, True)


STRICTER = {
    "Ids are compared with each other and with the attested one (§7.1, §7.2).": {
        "empty ids",
        "another attested id",
    },
    "The user handle is the account's id (§7.2); neither library sees accounts.": {
        "another user's handle",
        "no user handle",
    },
    "A passkey that cannot be synced never can (§6.1.3).": {"syncable all of a sudden"},
    "A page in a frame of another site could be made to ask for a passkey (§13.4.9).": {
        "a frame of another origin",
        "crossOrigin as a number",
        "crossOrigin as a text",
        "a page around the frame",
    },
    "Input has one form: base64url without padding, strict JSON (§3).": {
        "a challenge with padding",
        "client data with a type twice",
        "transports as a text",
    },
    "A key that could verify nothing, or only slowly, is found at its registration.": {
        "a key of another type",
        "a type of key that is true",
        "another curve",
        "a short coordinate",
        "a coordinate as text",
        "a coordinate beyond the field",
        "a point off its curve",
        "a key with its private part",
        "an Edwards key said to be ES256",
        "an Edwards key of 31 bytes",
        "RSA of 2047 bits",
        "RSA of 4097 bits",
        "RSA with the exponent 1",
        "RSA with a large exponent",
    },
}
"""Faults of the corpus that both second opinions accept, by the reason to refuse them."""


def test_it_is_stricter_than_both_second_opinions_where_it_says_so() -> None:
    accepted = set()
    for name, (_, faults) in {**CEREMONY_FAULTS, **REGISTRATION_FAULTS}.items():
        if all(opinions_on_registration(authenticator().create(OPTIONS, faults))):
            accepted.add(name)
    for name, (_, faults) in {**CEREMONY_FAULTS, **ASSERTION_FAULTS}.items():
        key = authenticator()
        passkey = registered(key)
        if all(opinions_on_assertion(key.get(OPTIONS, faults), passkey)):
            accepted.add(name)
    assert accepted == set().union(*STRICTER.values())


LAXER: dict[str, Faults] = {
    # No statement is asked for, so none is verified.
    "a statement of another format": Faults(
        attestation={"fmt": "packed", "attStmt": {"alg": -7, "sig": b"x"}}
    ),
    # Level 3 has dropped it; browsers that still send it mean nothing by it.
    "an unusable token binding": Faults(client_data={"tokenBinding": {}}),
    # Level 3 §5.1 has unknown values ignored.
    "an unknown attachment": Faults(credential={"authenticatorAttachment": "implant"}),
}
"""What it accepts on purpose though one of them does not."""


@pytest.mark.parametrize("name", LAXER)
def test_it_is_laxer_than_a_second_opinion_where_it_says_so(name: str) -> None:
    answer = authenticator().create(OPTIONS, LAXER[name])
    our_registration(answer)
    assert not all(opinions_on_registration(answer))


Edit = Callable[[bytes], bytes]


def apply(edit: tuple[str, int, bytes], raw: bytes) -> bytes:
    """Return bytes with one edit at a place that wraps around."""
    kind, place, piece = edit
    place %= len(raw)
    match kind:
        case "replace":
            return raw[:place] + piece + raw[place + len(piece) :]
        case "insert":
            return raw[:place] + piece + raw[place:]
        case "delete":
            return raw[:place] + raw[place + len(piece) :]
    return raw[:place]


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["replace", "insert", "delete", "cut"]),
        st.integers(0, 2**16),
        st.binary(min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=2,
)


def mutated(answer: dict[str, Any], part: str, edits: list[tuple[str, int, bytes]]) -> Any:
    raw = decode(answer["response"][part])
    for edit in edits:
        raw = apply(edit, raw) or b"\0"
    return {**answer, "response": {**answer["response"], part: encode(raw)}}


def is_plain(answer: dict[str, Any]) -> bool:
    """True if the attestation object still has the format "none"."""
    return b"cfmtdnone" in decode(answer["response"]["attestationObject"])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("part", ["attestationObject", "clientDataJSON"])
def test_no_mutated_registration_is_accepted_that_a_second_opinion_refuses(
    algorithm: int, part: str
) -> None:
    valid = authenticator(algorithm).create(OPTIONS)

    @given(EDITS)
    @hypothesis_settings(max_examples=150)
    def check(edits: list[tuple[str, int, bytes]]) -> None:
        answer = mutated(valid, part, edits)
        if refusal(our_registration, answer) is None and is_plain(answer):
            assert all(opinions_on_registration(answer))

    check()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("part", ["authenticatorData", "clientDataJSON", "signature"])
def test_no_mutated_assertion_is_accepted(algorithm: int, part: str) -> None:
    """Every byte of them is signed, or is the signature."""
    key = authenticator(algorithm)
    passkey = registered(key)
    valid = key.get(OPTIONS)

    @given(EDITS)
    @hypothesis_settings(max_examples=100)
    def check(edits: list[tuple[str, int, bytes]]) -> None:
        answer = mutated(valid, part, edits)
        if answer != valid:
            assert refusal(our_assertion, answer, passkey) is not None

    check()
