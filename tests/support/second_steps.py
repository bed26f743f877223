"""Sign-ins in two steps, as clients make them."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authserve.core.clock import now
from authserve.mfa.challenges import ChallengeKind, ChallengeUse
from authserve.mfa.passkey_options import request_options
from authserve.settings.model import SETTINGS
from authserve.tokens.device import issue_device_token, read_device_token
from tests.support.authenticator import Authenticator
from tests.support.clients import PASSWORD
from tests.support.tokens import claims_of
from tests.support.totp import code_at

VERIFY = "/api/v1/auth/mfa/verify"


def first_step(
    client: FlaskClient, identifier: str, *, device_token: str | None = None, ip: str = "127.0.0.1"
) -> str:
    """Give the right password, and return the `mfa_token`."""
    body = {"identifier": identifier, "password": PASSWORD}
    if device_token is not None:
        body["device_token"] = device_token
    response = client.post("/api/v1/auth/login", json=body, environ_base={"REMOTE_ADDR": ip})
    assert response.status_code == 403, response.get_data(as_text=True)
    return str(response.get_json()["mfa_token"])


def second_step(client: FlaskClient, mfa_token: str, **proof: Any) -> TestResponse:
    """Give a second proof."""
    return client.post(VERIFY, json={"mfa_token": mfa_token, **proof})


def sign_in_with_totp(client: FlaskClient, identifier: str, secret: bytes) -> TestResponse:
    """Sign in with the password and a present code."""
    token = first_step(client, identifier)
    return second_step(client, token, totp_code=code_at(secret, now()))


def after_second_step(app: Flask, device_token: str) -> str:
    """Return the token of a device as a second step that was completed there returns it."""
    with app.app_context():
        public_url, moment = SETTINGS.get().public_url, now()
        device = read_device_token(device_token, public_url=public_url, now=moment)
        assert device is not None
        proven = replace(device, has_second_factor=True)
        return issue_device_token(proven, public_url=public_url, now=moment)


def wrong_code(secret: bytes) -> str:
    """Return six digits that are no code of a secret now."""
    return f"{(int(code_at(secret, now())) + 500_000) % 1_000_000:06}"


def verification_answer(
    app: Flask, mfa_token: str, user_id: UUID, key: Authenticator
) -> dict[str, Any]:
    """Return a passkey's answer to the options of a second step."""
    use = ChallengeUse(ChallengeKind.VERIFY, UUID(claims_of(mfa_token)["jti"]))
    with app.app_context():
        options = request_options(use, user_id=user_id, now=now())
    key.rp_id = key.rp_id or options["rpId"]
    return key.get(options)
