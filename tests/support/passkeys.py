"""Passkeys of people in tests: registered past the HTTP edge, used through it."""

from typing import Any
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from authserve.core.clock import now
from authserve.database.transactions import read_all, transaction
from authserve.mfa.ceremonies import NewPasskey
from authserve.mfa.challenges import ChallengeKind, ChallengeUse
from authserve.mfa.credential_schemas import RegistrationCredentialSchema
from authserve.mfa.models import Passkey
from authserve.mfa.own_passkeys import add_passkey
from authserve.mfa.passkey_options import PasskeyOwner, creation_options
from authserve.mfa.passkeys import check_registration
from authserve.settings.model import SETTINGS
from authserve.users.accounts import lock_user
from tests.support.authenticator import Authenticator, Faults
from tests.support.clients import Caller

OPTIONS, SIGN_IN = "/api/v1/auth/passkey/options", "/api/v1/auth/passkey"


def give_passkey(
    app: Flask, user_id: UUID, *, name: str | None = None, **key: Any
) -> Authenticator:
    """Register a passkey of an account, and return the authenticator that holds it."""
    with app.app_context():
        authenticator = Authenticator(SETTINGS.get().passkey_origins[0], **key)
        use = ChallengeUse(ChallengeKind.REGISTER, user_id)
        owner = PasskeyOwner(id=user_id, email="alice@example.com", display_name=None)
        answer = authenticator.create(creation_options(owner, use, now=now()))
        loaded = RegistrationCredentialSchema().load(answer)
        made = check_registration(loaded, use, now=now())
        assert isinstance(made, NewPasskey), made
        with transaction():
            lock_user(user_id)
            add_passkey(user_id, made, name=name, now=now())
    return authenticator


def sign_in_options(client: FlaskClient) -> dict[str, Any]:
    """Return options for a sign-in."""
    response = client.post(OPTIONS, json={})
    assert response.status_code == 200, response.get_data(as_text=True)
    options: dict[str, Any] = response.get_json()["public_key"]
    return options


def passkey_answer(
    client: FlaskClient, key: Authenticator, faults: Faults | None = None
) -> dict[str, Any]:
    """Return a passkey's answer to new options for a sign-in; it is not sent yet."""
    options = sign_in_options(client)
    key.rp_id = key.rp_id or options["rpId"]
    return key.get(options, faults)


def passkey_login(
    client: FlaskClient, key: Authenticator, faults: Faults | None = None, **body: Any
) -> TestResponse:
    """Sign in with a passkey."""
    answer = passkey_answer(client, key, faults)
    return client.post(SIGN_IN, json={"credential": answer, **body})


def passkey_row(app: Flask, key: Authenticator) -> dict[str, Any]:
    """Every column of a passkey."""
    with app.app_context():
        (row,) = read_all(
            select(Passkey.__table__).where(Passkey.credential_id == key.credential_id)
        )
    return dict(row._mapping)


def change_passkey(app: Flask, key: Authenticator, **columns: Any) -> None:
    """Overwrite columns of a passkey."""
    mine = Passkey.credential_id == key.credential_id
    with app.app_context(), transaction() as session:
        session.execute(update(Passkey).where(mine).values(**columns))


PATH = "/api/v1/users/me/passkeys"
ORIGIN = "http://localhost:8000"
"""The only origin of passkeys with the settings of tests."""


def new_passkey_options(caller: Caller) -> dict[str, Any]:
    """Return options to make a passkey in a caller's session."""
    response = caller.post(f"{PATH}/options", json={})
    assert response.status_code == 200, response.get_data(as_text=True)
    options: dict[str, Any] = response.get_json()["public_key"]
    return options


def register_passkey(caller: Caller, key: Authenticator, **body: Any) -> TestResponse:
    """Register a passkey in a caller's session."""
    answer = key.create(new_passkey_options(caller))
    return caller.post(PATH, json={"credential": answer, **body})


def step_up(app: Flask, caller: Caller, key: Authenticator) -> None:
    """Sign a caller in with a passkey; the caller goes on in that session."""
    response = passkey_login(app.test_client(), key)
    assert response.status_code == 200, response.get_data(as_text=True)
    caller.tokens = response.get_json()
