"""Generated answers of providers: whatever they say, it is refused or means what it says.

The functions are pure and the inputs are the same in each run, so that this takes two seconds.
"""

import json
from contextlib import suppress
from typing import Any

from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authserve.core.clock import now
from authserve.federation.discovery import MetadataError, read_metadata
from authserve.federation.errors import UnknownStateError
from authserve.federation.id_tokens import IDTokenError, read_keys, verify_id_token
from authserve.federation.pending_identities import read_pending_identity
from authserve.federation.presets import Preset, person_of_claims, person_of_github
from authserve.federation.state import Purpose, State, bind, read_state, write_state
from tests.federation.test_id_tokens import CLAIMS, EXPECTED, KEYS, NOW, SET, sign

fuzzed = settings(
    max_examples=15,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)

JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)

ADDRESS = st.just("alice@gmail.com") | st.emails() | JSON

TRUTH = st.sampled_from([True, "true", 1, [True], False, None])

METADATA = {
    "issuer": EXPECTED.issuer,
    "authorization_endpoint": f"{EXPECTED.issuer}/authorize",
    "token_endpoint": f"{EXPECTED.issuer}/token",
    "jwks_uri": f"{EXPECTED.issuer}/keys",
}


def members(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Generate some of these members, each with any value."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, JSON))


@fuzzed
@given(members(*CLAIMS, "azp", "nbf", "amr"))
def test_a_signed_token_is_refused_or_is_of_this_sign_in(changes: dict[str, Any]) -> None:
    token = sign({**CLAIMS, **changes}, "EC", "ES256")
    with suppress(IDTokenError):
        found = verify_id_token(token, KEYS, expected=EXPECTED, now=NOW)
        assert (found["iss"], found["nonce"]) == (EXPECTED.issuer, EXPECTED.nonce)
        assert found["aud"] == EXPECTED.client_id or EXPECTED.client_id in found["aud"]
        assert isinstance(found["sub"], str)


@fuzzed
@given(st.text(max_size=40), JSON, st.integers(0, 400))
def test_another_token_is_refused(text: str, header: Any, place: int) -> None:
    good = sign(CLAIMS, "EC", "ES256")
    place %= len(good) - 1
    other = "A" if good[place] != "A" else "B"
    named = header if isinstance(header, dict) else {"kid": header}
    for token in (
        text,
        f"{text}.{text}.{text}",
        f"{good[:place]}{other}{good[place + 1 :]}",
        sign(CLAIMS, "EC", "ES256", **{**named, "alg": "ES256", "typ": "JWT", "kid": "other"}),
    ):
        try:
            verify_id_token(token, KEYS, expected=EXPECTED, now=NOW)
        except IDTokenError:
            continue
        raise AssertionError(token)


@fuzzed
@given(JSON, st.lists(members("kty", "crv", "x", "y", "n", "e", "alg", "use", "kid"), max_size=3))
def test_unusable_keys_are_left_out(document: Any, changes: list[dict[str, Any]]) -> None:
    read_keys(document)
    changed = [{**SET["keys"][1], **change} for change in changes]
    assert len(read_keys({"keys": [*changed, SET["keys"][0]]})) >= 1


@fuzzed
@given(JSON, members(*METADATA, "userinfo_endpoint", "response_types_supported"))
def test_metadata_is_refused_or_usable(document: Any, changes: dict[str, Any]) -> None:
    for each in (document, {**METADATA, **changes}):
        with suppress(MetadataError):
            found = read_metadata(each, EXPECTED.issuer)
            assert found.token_endpoint.startswith(("https://", "http://"))


@fuzzed
@given(
    st.sampled_from([preset for preset in Preset if preset is not Preset.GITHUB]),
    ADDRESS,
    members("name", "hd"),
    st.fixed_dictionaries({}, optional=dict.fromkeys(("email_verified", "xms_edov"), TRUTH)),
)
def test_only_true_verifies_an_address(
    preset: Preset, address: Any, more: dict[str, Any], given: dict[str, Any]
) -> None:
    found = person_of_claims(preset, {"sub": "1", "email": address, **more, **given})
    if found.claimed.is_email_verified:
        name = "xms_edov" if preset is Preset.MICROSOFT else "email_verified"
        assert (given[name] is True, isinstance(address, str)) == (True, True)


@fuzzed
@given(members("id", "name"), st.lists(JSON | members("email", "primary", "verified"), max_size=4))
def test_github_names_a_number_or_no_one(user: dict[str, Any], emails: list[Any]) -> None:
    found = person_of_github(user, emails)
    assert found is None or found.subject == str(user["id"])


@fuzzed
@given(st.text(max_size=60), st.integers(0, 600))
def test_a_changed_state_is_none(app: Flask, text: str, place: int) -> None:
    with app.app_context():
        state = State(
            provider="work",
            flow_id="abcd-_12",
            purpose=Purpose.SIGN_IN,
            binding=bind(bytes(32), EXPECTED.issuer),
        )
        good = write_state(state, now=now())
        place %= len(good)
        other = "A" if good[place] != "A" else "B"
        for token in (text, f"{good[:place]}{other}{good[place + 1 :]}", json.dumps(text)):
            for read in (read_state, read_pending_identity):
                try:
                    read(token, now=now())
                except UnknownStateError:
                    continue
                raise AssertionError(token)
