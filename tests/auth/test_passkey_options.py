"""Options to complete a sign-in, or to reauthenticate, with a passkey of a known account."""

from datetime import timedelta

import time_machine
from flask import Flask

from authserve.core.actor import VISITOR
from authserve.core.clock import now
from authserve.core.ids import new_id
from authserve.mfa.challenges import ChallengeKind, ChallengeUse, redeem_challenge
from authserve.mfa.policy import PasskeyRefusedError
from authserve.users.accounts import deactivate
from tests.factories import REQUEST
from tests.support.authenticator import Authenticator
from tests.support.clients import Caller, login, register_caller
from tests.support.factors import switch_mfa_on
from tests.support.passkeys import change_passkey, give_passkey
from tests.support.problems import assert_problem
from tests.support.tokens import decode, encode

SECOND_STEP = "/api/v1/auth/mfa/passkey-options"
REAUTHENTICATION = "/api/v1/auth/reauthenticate/passkey-options"


def descriptors(*keys: Authenticator) -> list[dict[str, object]]:
    transports = ["internal", "hybrid"]
    return [
        {"type": "public-key", "id": encode(key.credential_id), "transports": transports}
        for key in keys
    ]


def is_for(app: Flask, challenge: str, use: ChallengeUse) -> bool:
    with app.app_context():
        try:
            redeem_challenge(decode(challenge), use, now=now())
        except PasskeyRefusedError:
            return False
    return True


def begin(app: Flask, name: str = "alice") -> str:
    """Give the right password of an account that needs more; returns the `mfa_token`."""
    problem = assert_problem_with_token(app, name)
    return str(problem["mfa_token"])


def assert_problem_with_token(app: Flask, name: str) -> dict[str, object]:
    response = login(app.test_client(), name)
    assert response.status_code == 403
    problem: dict[str, object] = response.get_json()
    assert problem["code"] == "mfa_required"
    return problem


def test_a_second_step_is_limited_to_the_accounts_usable_passkeys(
    app: Flask, alice: Caller
) -> None:
    usable, flagged, foreign = (give_passkey(app, alice.id) for _ in range(3))
    change_passkey(app, flagged, flagged_at=now())
    change_passkey(app, foreign, rp_id="example.org")
    give_passkey(app, register_caller(app, "bob").id)
    switch_mfa_on(app, alice.id)
    response = app.test_client().post(SECOND_STEP, json={"mfa_token": begin(app)})
    body = response.get_json()
    options = body["public_key"]
    assert body["expires_in"] == 300
    assert options == {
        "challenge": options["challenge"],
        "timeout": 300_000,
        "rpId": "localhost",
        "allowCredentials": descriptors(usable),
        "userVerification": "required",
    }
    assert not is_for(app, options["challenge"], ChallengeUse(ChallengeKind.SIGN_IN))


def test_a_token_that_opens_nothing_gets_no_options(
    app: Flask, clock: time_machine.Traveller, alice: Caller
) -> None:
    give_passkey(app, alice.id)
    switch_mfa_on(app, alice.id)
    client, token = app.test_client(), begin(app)
    for wrong in (alice.tokens["access_token"], "rubbish"):
        refused = client.post(SECOND_STEP, json={"mfa_token": wrong})
        assert_problem(refused, 401, "mfa_token_invalid")
    clock.shift(timedelta(minutes=5))
    expired = client.post(SECOND_STEP, json={"mfa_token": token})
    assert_problem(expired, 401, "mfa_token_expired")
    fresh = begin(app)
    with app.app_context():
        deactivate(alice.id, actor=VISITOR, request=REQUEST)
    disabled = client.post(SECOND_STEP, json={"mfa_token": fresh})
    assert disabled.status_code in (401, 403)


def test_a_reauthentication_is_limited_to_the_callers_passkeys_and_session(
    app: Flask, alice: Caller
) -> None:
    key = give_passkey(app, alice.id)
    # At any level: an account that needs two factors reauthenticates to get there.
    switch_mfa_on(app, alice.id)
    options = alice.post(REAUTHENTICATION, json={}).get_json()["public_key"]
    assert options["allowCredentials"] == descriptors(key)
    for use in (
        ChallengeUse(ChallengeKind.REAUTHENTICATE, new_id()),
        ChallengeUse(ChallengeKind.REGISTER, alice.session_id),
    ):
        assert not is_for(app, options["challenge"], use)
    own = ChallengeUse(ChallengeKind.REAUTHENTICATE, alice.session_id)
    assert is_for(app, options["challenge"], own)


def test_a_visitor_cannot_reauthenticate(app: Flask) -> None:
    refused = app.test_client().post(REAUTHENTICATION, json={})
    assert_problem(refused, 401, "authentication_required")
