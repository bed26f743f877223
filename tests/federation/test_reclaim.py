"""A reset of an account that another person opened with its owner's address (pre-hijacking)."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from authserve.core.clock import now
from authserve.database.transactions import transaction
from authserve.federation.identities import ProviderIdentity, find_owner, record_use
from authserve.mfa.own_passkeys import find_passkeys
from authserve.settings.model import EmailVerification
from tests.support.api_keys import give_api_key
from tests.support.clients import Caller, login, register_caller
from tests.support.factors import switch_mfa_on
from tests.support.identities import GOOGLE, give_identity
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.passkeys import give_passkey
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, change_user
from tests.support.second_steps import first_step

API = "/api/v1"

NEW_PASSWORD = "another horse, another staple"

STRANGER = ProviderIdentity(issuer=GOOGLE, subject="stranger", email="alice@example.com")


@dataclass
class House:
    """An account that a stranger opened with Alice's address, and the mail of both."""

    app: Flask
    stranger: Caller
    mailbox: Mailbox

    @property
    def email(self) -> str:
        """Alice's address."""
        return str(self.stranger.user["email"])

    def reset(self) -> None:
        """Let Alice set a password with a link from her mailbox."""
        client = self.app.test_client()
        client.post(f"{API}/auth/password/forgot", json={"email": self.email})
        work(self.app)
        body = {"token": self.mailbox.to(self.email)[-1].token, "new_password": NEW_PASSWORD}
        answer = client.post(f"{API}/auth/password/reset", json=body)
        assert answer.status_code == 200, answer.get_json()

    def has_identity(self) -> bool:
        """Return True if the stranger's identity signs in to the account."""
        with self.app.app_context(), transaction():
            return record_use(self.stranger.id, STRANGER, now=now())


@pytest.fixture
def house(make_app: Callable[..., Flask]) -> House:
    """An account whose address is not verified, with an identity of the stranger."""
    app = make_app(features=("pages", "federation", "api-keys"))
    stranger = register_caller(app, "alice")
    give_identity(app, stranger.id, subject=STRANGER.subject)
    return House(app, stranger, open_mailbox(app))


def test_the_strangers_identity_opens_it_no_more(house: House) -> None:
    assert house.has_identity()
    house.reset()
    assert not house.has_identity()
    with house.app.app_context():
        assert find_owner(GOOGLE, STRANGER.subject) is None
    (event,) = audit_trail(house.app, "identity.unlinked")
    assert event["details"] == {"count": 1}


def test_the_strangers_password_and_session_open_it_no_more(house: House) -> None:
    house.reset()
    assert login(house.app.test_client(), "alice").status_code == 401
    assert_problem(house.stranger.get(f"{API}/users/me"), 401, "session_revoked")
    assert login(house.app.test_client(), "alice", password=NEW_PASSWORD).status_code == 200


def use_key(app: Flask, key: str) -> TestResponse:
    headers = {"Authorization": f"Bearer {key}"}
    return app.test_client().get(f"{API}/users/me", headers=headers)


def test_the_strangers_api_key_opens_it_no_more(house: House) -> None:
    _id, key = give_api_key(house.app, house.stranger.id)
    assert use_key(house.app, key).status_code == 200
    house.reset()
    assert use_key(house.app, key).status_code == 401


def test_a_reset_counts_for_features_that_are_off_meanwhile(
    house: House, make_app: Callable[..., Flask]
) -> None:
    """An operator may switch them off because of an attack, and on again after the resets."""
    _id, key = give_api_key(house.app, house.stranger.id)
    on, house.app = house.app, make_app(features=())
    house.mailbox = open_mailbox(house.app)
    house.reset()
    house.app = on
    assert not house.has_identity()
    assert use_key(on, key).status_code == 401
    actions = ("api_key.revoked", "identity.unlinked")
    events = [event for action in actions for event in audit_trail(on, action)]
    assert [event["details"] for event in events] == [{"count": 1}, {"count": 1}]


def test_the_strangers_pending_change_of_address_ends(house: House) -> None:
    body = {"new_email": "stranger@example.org"}
    assert house.stranger.post(f"{API}/users/me/email", json=body).status_code == 202
    work(house.app)
    link = house.mailbox.to("stranger@example.org")[-1].token
    house.reset()
    confirm = {"token": link, "password": NEW_PASSWORD}
    answer = house.app.test_client().post(f"{API}/users/me/email/confirm", json=confirm)
    assert_problem(answer, 400, "invalid_or_expired_token")


def test_the_strangers_pending_sign_in_ends(house: House) -> None:
    switch_mfa_on(house.app, house.stranger.id)
    token = first_step(house.app.test_client(), "alice")
    house.reset()
    body = {"mfa_token": token, "method": "totp"}
    answer = house.app.test_client().post(f"{API}/auth/mfa/enroll/options", json=body)
    assert_problem(answer, 401, "mfa_token_invalid")


def test_where_no_address_is_verified_a_factor_stays(make_app: Callable[..., Flask]) -> None:
    """A mailbox passes no second factor, not even a stranger's (docs/threat-model.md)."""
    app = make_app(
        features=("pages", "federation", "api-keys"), email_verification=EmailVerification.OFF
    )
    house = House(app, register_caller(app, "alice"), open_mailbox(app))
    give_passkey(app, house.stranger.id)
    house.reset()
    with app.app_context():
        assert len(find_passkeys(house.stranger.id, limit=2)) == 1


def test_a_reset_of_a_verified_account_keeps_its_identities(house: House) -> None:
    change_user(house.app, house.stranger.id, email_verified=True)
    house.reset()
    assert house.has_identity()


def test_what_is_linked_after_the_first_reset_stays(house: House) -> None:
    house.reset()
    give_identity(house.app, house.stranger.id, subject=STRANGER.subject)
    house.reset()
    assert house.has_identity()
