"""Validation of a new account that an operator writes, on the command line or in a seed file."""

from dataclasses import field

from marshmallow import fields

from authserve.core.errors import ValidationFailedError
from authserve.core.frozen import frozen
from authserve.http.fields import DisplayName, EmailAddress, Password, Username
from authserve.http.openapi import load_input
from authserve.http.schemas import StrictSchema
from authserve.passwords.hasher import PASSWORD_HASHER
from authserve.passwords.validation import require_acceptable_password
from authserve.settings.model import SETTINGS

DEMO_PASSWORD_PREFIX = "demo only: "
"""The prefix of the passwords in the example file. They are public, so production refuses them."""


class AccountSchema(StrictSchema):
    """One account, as an operator writes it."""

    email = EmailAddress(required=True)
    username = Username()
    password = Password()
    display_name = DisplayName()
    roles = fields.List(fields.String(), load_default=list)


@frozen(kw_only=True)
class AccountInput:
    """A valid account, with address and username in canonical form.

    Args:
        password: acceptable by the password policy; None if the owner has yet to set one.
        roles: names that may not exist.
    """

    email: str
    username: str | None = None
    display_name: str | None = None
    password: str | None = field(default=None, repr=False)
    roles: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The address and names, which the password must not repeat."""
        return [name for name in (self.email, self.username, self.display_name) if name]


def parse_account(values: object) -> AccountInput:
    """Validate an operator's values for a new account.

    Args:
        values: an object with fields of `AccountSchema`; a null field counts as missing.

    Raises:
        ValidationFailedError: with every fault of the fields or, if there is none, those of the
            password.
    """
    if not isinstance(values, dict):
        raise ValidationFailedError({"account": ["Not an object."]})
    given = {name: value for name, value in values.items() if value is not None}
    loaded = load_input(AccountSchema(), given)
    account = AccountInput(
        email=loaded["email"],
        username=loaded.get("username"),
        display_name=loaded.get("display_name"),
        password=loaded.get("password"),
        roles=tuple(loaded["roles"]),
    )
    if account.password is not None:
        _require_usable_password(account.password, names=account.names)
    return account


def _require_usable_password(password: str, *, names: list[str]) -> None:
    require_acceptable_password(password, context=names)
    if SETTINGS.get().is_production and password.startswith(DEMO_PASSWORD_PREFIX):
        message = "The passwords of the example file are public; production does not take them."
        raise ValidationFailedError({"password": [message]})


def hash_given_password(password: str | None) -> str | None:
    """Return the hash of a password, or None if there is no password."""
    return None if password is None else PASSWORD_HASHER.get().hash(password)
