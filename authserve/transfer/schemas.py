"""The form of a row, once its file's format has been seen through."""

from marshmallow import ValidationError, fields

from authserve.http.fields import DisplayName, EmailAddress, MomentInput, StrictBoolean, Username
from authserve.http.openapi import flatten
from authserve.http.schemas import StrictSchema
from authserve.transfer.errors import UnusableRowError
from authserve.transfer.policy import usable_hash
from authserve.users.service import ImportedUser

FIELDS = (
    "id",
    "email",
    "username",
    "display_name",
    "password_hash",
    "email_verified",
    "is_active",
    "created_at",
    "last_login_at",
    "roles",
)
"""What a row can hold; all but the address may be missing."""


class ImportRowSchema(StrictSchema):
    """One account."""

    id = fields.UUID(allow_none=True)
    email = EmailAddress(required=True)
    username = Username(allow_none=True)
    display_name = DisplayName(allow_none=True)
    password_hash = fields.String(allow_none=True)
    email_verified = StrictBoolean(load_default=False)
    is_active = StrictBoolean(load_default=True)
    created_at = MomentInput(allow_none=True)
    last_login_at = MomentInput(allow_none=True)
    roles = fields.List(fields.String(), load_default=list)


_SCHEMA = ImportRowSchema()


def load_row(values: object) -> ImportedUser:
    """Check a row and bring it into the stored form.

    Raises:
        UnusableRowError: with everything that is wrong with it.
    """
    try:
        loaded = _SCHEMA.load(values)  # type: ignore[arg-type]
    except ValidationError as error:
        faults = flatten(error.messages_dict)
        reasons = (f"{name}: {' '.join(messages)}" for name, messages in faults.items())
        raise UnusableRowError("; ".join(reasons)) from error
    loaded["password_hash"] = usable_hash(loaded.get("password_hash"))
    loaded["roles"] = tuple(loaded["roles"])
    return ImportedUser(**loaded)
