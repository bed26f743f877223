from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from uuid import UUID

import pytest
from flask import Flask
from marshmallow import ValidationError, fields

from authserve.http.schemas import StrictSchema, UserSchema, user_document
from tests.support.clients import register_caller
from tests.support.marks import both_databases

ID = UUID("01932f5e-7c1a-7d3b-9f3e-3a5b6c7d8e9f")


@dataclass
class Account:
    id: UUID = ID
    email: str = "alice@example.com"
    email_verified: bool = True
    username: str | None = "alice"
    display_name: str | None = "Alice 🐇"
    locale: str | None = "de"
    is_active: bool = True
    mfa_enabled: bool = False
    created_at: datetime = datetime(2030, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    updated_at: datetime = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    last_login_at: datetime | None = datetime(2031, 1, 1, tzinfo=UTC)
    # Further columns of an account, which no answer shows.
    password_hash: str = "$argon2id$"
    audit_id: UUID = ID


ACCOUNTS = [
    (Account(), ["admin", "user"]),
    (Account(username=None, display_name=None, last_login_at=None), []),
    (Account(email_verified=False, is_active=False, mfa_enabled=True), ["user"]),
]


@pytest.mark.parametrize(("account", "roles"), ACCOUNTS)
def test_the_fast_document_is_what_the_schema_dumps(account: Account, roles: list[str]) -> None:
    dumped = UserSchema().dump({**asdict(account), "roles": roles})
    assert user_document(account, roles) == dumped
    assert list(user_document(account, roles)) == list(dumped)


def test_a_document_has_the_fields_of_the_contract_and_no_more() -> None:
    document = user_document(*ACCOUNTS[0])
    assert document == {
        "id": str(ID),
        "email": "alice@example.com",
        "email_verified": True,
        "username": "alice",
        "display_name": "Alice 🐇",
        "locale": "de",
        "is_active": True,
        "roles": ["admin", "user"],
        "mfa_enabled": False,
        "created_at": "2030-01-02T03:04:05.678901Z",
        "updated_at": "2030-01-02T03:04:05Z",
        "last_login_at": "2031-01-01T00:00:00Z",
    }


@both_databases
def test_a_user_from_the_database_is_shown_alike(app: Flask) -> None:
    alice = register_caller(app, "alice")
    shown = alice.get("/api/v1/users/me").get_json()
    loaded = {
        **shown,
        **{name: datetime.fromisoformat(shown[name]) for name in shown if name.endswith("_at")},
    }
    assert UserSchema().dump(loaded) == shown
    assert all(shown[name].endswith("Z") for name in shown if name.endswith("_at"))


class ProbeSchema(StrictSchema):
    name = fields.String()


def test_an_input_has_no_field_that_it_does_not_name() -> None:
    with pytest.raises(ValidationError, match="Unknown field"):
        ProbeSchema().load({"name": "alice", "role": "admin"})
