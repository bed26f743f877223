"""Every rule of the two passkey ceremonies, broken one at a time."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import cbor2
import pytest

from authserve.core.ids import new_id
from authserve.mfa.ceremonies import check_registration, read_client_data
from authserve.mfa.credential_schemas import RegistrationCredentialSchema
from authserve.mfa.policy import ALGORITHMS, Ceremony, PasskeyFault, PasskeyRefusedError
from tests.mfa.corpus import (
    ASSERTION_FAULTS,
    CEREMONY_FAULTS,
    CREDENTIAL_ID,
    OPTIONS,
    PARTY,
    REGISTRATION_FAULTS,
    RULE,
    USER_ID,
    authenticator,
    nested,
    our_assertion,
    our_registration,
    refusal,
    registered,
)
from tests.support.authenticator import AAGUID, BE, BS, Authenticator, Faults, cose_key
from tests.support.tokens import encode


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("flags", [0, BE, BE | BS])
def test_it_accepts_what_an_authenticator_makes(algorithm: int, flags: int) -> None:
    key = authenticator(algorithm, flags=flags, sign_count=7)
    answer = key.create(OPTIONS)
    made = our_registration(answer)
    assert (made.credential_id, made.aaguid) == (CREDENTIAL_ID, AAGUID)
    assert (made.algorithm, made.sign_count) == (algorithm, 7)
    assert (made.is_backup_eligible, made.is_backed_up) == (flags & BE != 0, flags & BS != 0)
    assert made.transports == ("internal", "hybrid")
    assert cbor2.loads(made.public_key) == cose_key(key.private)
    passkey = registered(key)
    assertion = key.get(OPTIONS)
    used = our_assertion(assertion, passkey)
    assert (used.passkey, used.sign_count, used.is_backed_up) == (passkey, 8, flags & BS != 0)


def test_it_accepts_an_app_by_the_hash_of_its_key() -> None:
    app = Authenticator("android:apk-key-hash:" + "A" * 43)
    assert our_registration(app.create(OPTIONS)).algorithm == -7


def test_it_accepts_an_object_in_another_order() -> None:
    """Some authenticators do not keep the order of CTAP2's canonical CBOR."""
    reordered = Faults(attestation=lambda parts: dict(reversed(parts.items())))
    answer = authenticator().create(OPTIONS, reordered)
    assert our_registration(answer).credential_id == CREDENTIAL_ID


@pytest.mark.parametrize("name", [*CEREMONY_FAULTS, *REGISTRATION_FAULTS])
def test_a_registration_with_one_fault_is_refused_for_it(name: str) -> None:
    rule, faults = {**CEREMONY_FAULTS, **REGISTRATION_FAULTS}[name]
    answer = authenticator().create(OPTIONS, faults)
    assert refusal(our_registration, answer) == rule


@pytest.mark.parametrize("name", [*CEREMONY_FAULTS, *ASSERTION_FAULTS])
def test_an_assertion_with_one_fault_is_refused_for_it(name: str) -> None:
    rule, faults = {**CEREMONY_FAULTS, **ASSERTION_FAULTS}[name]
    key = authenticator()
    passkey = registered(key)
    answer = key.get(OPTIONS, faults)
    assert refusal(our_assertion, answer, passkey) == rule


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"rp_id": "example.org"}, RULE.OTHER_RP_ID),
        ({"is_flagged": True}, RULE.FLAGGED),
        ({"user_id": new_id()}, RULE.USER_HANDLE),
        ({"is_backup_eligible": True}, RULE.BACKUP_ELIGIBILITY),
    ],
)
def test_an_assertion_is_refused_for_its_passkeys_state(
    changes: dict[str, Any], rule: PasskeyFault
) -> None:
    key = authenticator()
    passkey = registered(key, **changes)
    assert refusal(our_assertion, key.get(OPTIONS), passkey) == rule


def test_a_known_account_needs_no_user_handle_but_its_own_passkey() -> None:
    key = authenticator()
    passkey = registered(key)
    bare = key.get(OPTIONS, Faults(response={"userHandle": None}))
    assert our_assertion(bare, passkey, account=USER_ID).passkey == passkey
    foreign = key.get(OPTIONS, Faults(response={"userHandle": encode(bytes(16))}))
    assert refusal(our_assertion, foreign, passkey, USER_ID) == RULE.USER_HANDLE
    assert refusal(our_assertion, bare, passkey, new_id()) == RULE.UNKNOWN


def test_a_coordinate_keeps_its_leading_zeros() -> None:
    """RFC 9053 §7.1.1; the shorter form is the same number, and so the same point."""
    key = authenticator()
    while cose_key(key.private)[-2][0] != 0:
        key = authenticator()
    shorter = Faults(key=lambda parts: {**parts, -2: parts[-2][1:]})
    assert refusal(our_registration, key.create(OPTIONS, shorter)) == RULE.KEY
    assert refusal(our_registration, key.create(OPTIONS)) is None


def test_an_answer_to_one_ceremony_is_none_to_the_other() -> None:
    key = authenticator()
    passkey = registered(key)
    as_get = Faults(client_data={"type": "webauthn.get"})
    as_create = Faults(client_data={"type": "webauthn.create"})
    assert refusal(our_registration, key.create(OPTIONS, as_get)) == RULE.TYPE
    assert refusal(our_assertion, key.get(OPTIONS, as_create), passkey) == RULE.TYPE


WRONG = [None, 5, 1.5, True, [], {}, "", "text", ["x"], {"x": 1}]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_wrong_type_in_any_member_is_refused(wrong: object) -> None:
    key = authenticator()
    passkey = registered(key)
    for answer, check, passkeys in (
        (key.create(OPTIONS), our_registration, ()),
        (key.get(OPTIONS), our_assertion, (passkey,)),
    ):
        for member in ("id", "rawId", "type", "response"):
            assert refusal(check, {**answer, member: wrong}, *passkeys) is not None, member
        for member in set(answer["response"]) - {"transports"}:
            response = {**answer["response"], member: wrong}
            assert refusal(check, {**answer, "response": response}, *passkeys) is not None, member


def test_unknown_members_are_ignored_wherever_browsers_may_add_some() -> None:
    extra = {"publicKeyAlgorithm": -7, "new": {"x": 1}}
    faults = Faults(
        client_data={"new": 1, "other_keys_can_be_added_here": "do not compare"},
        response=lambda parts: {**parts, **extra},
        credential=lambda parts: {**parts, **extra},
    )
    our_registration(authenticator().create(OPTIONS, faults))


@pytest.mark.parametrize("levels", [500, 40_000])
def test_cbor_nested_deep_is_refused_before_and_after_its_size(levels: int) -> None:
    """The sizes of bodies keep the deepest out; the decoder must survive them all the same."""
    raw = nested(levels)
    answer = authenticator().create(OPTIONS)
    loaded = RegistrationCredentialSchema().load(answer)
    client_data = read_client_data(loaded, Ceremony.REGISTRATION)
    hostile = replace(loaded, attestation_object=raw)
    with pytest.raises(PasskeyRefusedError) as caught:
        check_registration(hostile, client_data, party=PARTY)
    assert caught.value.fault == RULE.MALFORMED


def test_the_library_is_imported_at_the_first_ceremony_alone() -> None:
    """It takes 43 ms and 1.6 MB, which a service without passkeys saves."""
    lines = (
        "import sys",
        "from authserve.mfa import ceremonies",
        "assert not [name for name in sys.modules if name.partition('.')[0] == 'fido2']",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)
