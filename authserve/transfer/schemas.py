"""The schema of a row, after the conversion from its file's format."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from marshmallow import ValidationError, fields, validate

from authserve.core.identifiers import InvalidIdentifierError, canonical_username
from authserve.http.fields import DisplayName, EmailAddress, Username
from authserve.http.openapi import flatten
from authserve.http.schemas import StrictSchema
from authserve.transfer.errors import UnusableRowError
from authserve.transfer.policy import parse_time, parse_truth, usable_hash
from authserve.users.bulk import ImportedUser

SOURCE_ID_MAX_LENGTH = 255
"""The maximum of characters in another system's key."""


class TimeOfDatabase(fields.Field[datetime | None]):
    """A time in one of the forms of `parse_time`."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> datetime | None:
        try:
            return parse_time(value)
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise ValidationError("Not a time such as 2026-11-23 06:49:48+00.") from error


class TruthOfDatabase(fields.Field[bool]):
    """A truth value in one of the forms of `parse_truth`."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        try:
            return parse_truth(value)
        except ValueError as error:
            raise ValidationError("Not true or false.") from error


class ImportRowSchema(StrictSchema):
    """One account to import."""

    id = fields.UUID()
    source_id = fields.String(validate=validate.Length(max=SOURCE_ID_MAX_LENGTH))
    email = EmailAddress(required=True)
    username = Username()
    display_name = DisplayName()
    password_hash = fields.String()
    email_verified = TruthOfDatabase(load_default=False)
    is_active = TruthOfDatabase(load_default=True)
    created_at = TimeOfDatabase()
    last_login_at = TimeOfDatabase()
    roles = fields.List(fields.String(), load_default=list)


_SCHEMA = ImportRowSchema()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """Options of checking a row.

    Args:
        without_passwords: if no codec accepts an account's hash, import it without the hash.
        without_bad_usernames: if an account's username is invalid, import it without the username.
        flask_security_salt: the setting `FLASK_SECURITY_SALT`; empty if it is not set.
    """

    without_passwords: bool = False
    without_bad_usernames: bool = False
    flask_security_salt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRow:
    """A valid row, converted to the form that is stored.

    Args:
        source_id: the account's key in the other system.
        without: for each omitted field, its name and the reason.
    """

    user: ImportedUser
    source_id: str | None
    without: tuple[str, ...] = ()


def load_row(values: object, options: LoadOptions) -> LoadedRow:
    """Check a row and convert it to the form that is stored.

    Raises:
        UnusableRowError: with every fault of the fields or, if there is none, that of the hash.
    """
    without: list[str] = []
    given: object = values
    if isinstance(values, dict):
        given = {name: value for name, value in values.items() if value not in (None, "")}
        if options.without_bad_usernames:
            _drop_bad_username(given, without)
    loaded = _load(given)
    source_id = loaded.pop("source_id", None)
    loaded["password_hash"] = _load_hash(loaded.get("password_hash"), options, without)
    loaded["roles"] = tuple(loaded["roles"])
    return LoadedRow(user=ImportedUser(**loaded), source_id=source_id, without=tuple(without))


def source_id_of(values: object) -> str | None:
    """Return the key of a refused row, cut to `SOURCE_ID_MAX_LENGTH`, or None if it has none."""
    key = values.get("source_id") if isinstance(values, dict) else None
    return str(key)[:SOURCE_ID_MAX_LENGTH] if key is not None else None


def _load(given: object) -> dict[str, Any]:
    try:
        return _SCHEMA.load(given)  # type: ignore[arg-type, no-any-return]
    except ValidationError as error:
        faults = flatten(error.messages_dict)
        reasons = (f"{name}: {' '.join(messages)}" for name, messages in faults.items())
        raise UnusableRowError("; ".join(reasons)) from error


def _drop_bad_username(given: dict[str, Any], without: list[str]) -> None:
    username = given.get("username")
    try:
        if username is not None:
            canonical_username(str(username))
    except InvalidIdentifierError as error:
        del given["username"]
        without.append(f"username: {error}")


def _load_hash(raw: str | None, options: LoadOptions, without: list[str]) -> str | None:
    try:
        return usable_hash(raw, flask_security_salt=options.flask_security_salt)
    except UnusableRowError as error:
        if not options.without_passwords:
            raise
        without.append(error.reason)
        return None
