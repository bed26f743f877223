"""The bodies of requests and responses about the caller's own passkeys, and first factors."""

from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from authserve.http.fields import DisplayName, StrictBoolean
from authserve.http.pagination import make_page, page_schema
from authserve.http.schemas import EXAMPLE_TIME, EXAMPLE_USER_ID, Moment, StrictSchema
from authserve.mfa.answers import RegistrationAnswer
from authserve.mfa.credential_schemas import PasskeyOptionsSchema, RegistrationCredentialSchema
from authserve.mfa.email_codes import EMAIL_CODE_DIGITS
from authserve.mfa.own_passkeys import PasskeyView
from authserve.mfa.proving import GivenCode
from authserve.mfa.schemas import DigitCode, RecoveryCodeList
from authserve.mfa.totp import CODE_DIGITS

MAX_NAME_LENGTH = 64
"""Characters of a passkey's name (design)."""


def _name() -> DisplayName:
    return DisplayName(max_length=MAX_NAME_LENGTH, metadata={"example": "Phone"})


class PasskeySchema(Schema):
    """A passkey, without its key."""

    id = fields.UUID(required=True, metadata={"example": EXAMPLE_USER_ID})
    name = fields.String(required=True, metadata={"example": "Phone"})
    created_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    last_used_at = Moment(required=True, allow_none=True, metadata={"example": EXAMPLE_TIME})
    synced = fields.Boolean(
        required=True, metadata={"description": "It is on other devices of its owner, too."}
    )
    aaguid = fields.UUID(
        required=True,
        metadata={
            "description": "The model of the authenticator, as it says itself.",
            "example": "adce0002-35bc-c60a-648b-0b25f1f05503",
        },
    )
    rp_id = fields.String(required=True, metadata={"example": "example.com"})
    usable = fields.Boolean(required=True)
    clone_suspected = fields.Boolean(
        required=True, metadata={"description": "Its counter fell back; it is refused."}
    )


PasskeyPageSchema = page_schema("PasskeyPageSchema", PasskeySchema)


class NewPasskeyOptionsSchema(PasskeyOptionsSchema):
    """Options to make a passkey."""

    email_code_required = fields.Boolean(
        required=True, metadata={"description": "A code has been mailed, which must be given too."}
    )


class EnrollmentSchema(StrictSchema):
    """An account's first factor during a sign-in: a code of its app, or a passkey."""

    mfa_token = fields.String(required=True)
    email_code = DigitCode(EMAIL_CODE_DIGITS)
    totp_code = DigitCode(CODE_DIGITS)
    credential = fields.Nested(RegistrationCredentialSchema)
    name = _name()

    @validates_schema(skip_on_field_errors=True)
    def _require_one(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if ("totp_code" in data) is ("credential" in data):
            raise ValidationError("Give exactly one of credential, totp_code.", "totp_code")


class NewPasskeySchema(StrictSchema):
    """A new passkey; the mailed code where its options say that it is required."""

    credential = fields.Nested(RegistrationCredentialSchema, required=True)
    name = _name()
    email_code = DigitCode(EMAIL_CODE_DIGITS)


class AddedPasskeySchema(PasskeySchema):
    """A registered passkey.

    Recovery codes come with it if the account had none left. An access token comes with it if it
    switched MFA on: the fresh one of the caller's session.
    """

    recovery_codes = RecoveryCodeList()
    access_token = fields.String(
        metadata={"example": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIwMTkzMmY1ZSJ9.MEUCIQ"}
    )
    token_type = fields.String(metadata={"example": "Bearer"})
    expires_in = fields.Integer(metadata={"description": "Seconds."})


class PasskeyChangesSchema(StrictSchema):
    """Changes of a passkey."""

    name = _name()
    clone_suspected = StrictBoolean(
        validate=validate.Equal(False, error="It can only be set to false."),
        metadata={"description": "False: its counter is ignored from now on.", "example": False},
    )


def passkey_document(passkey: PasskeyView) -> dict[str, Any]:
    """Return a passkey as the API names its members."""
    names = ("id", "name", "created_at", "last_used_at", "aaguid", "rp_id")
    return {
        **{name: getattr(passkey, name) for name in names},
        "synced": passkey.is_synced,
        "usable": passkey.is_usable,
        "clone_suspected": passkey.is_clone_suspected,
    }


def passkey_page_document(found: Sequence[PasskeyView], *, limit: int) -> Mapping[str, Any]:
    """Return a page of passkeys.

    Args:
        found: up to `limit + 1` passkeys; one more than `limit` means that a next page exists.
        limit: greatest number of passkeys on the page.
    """
    page = make_page(found, limit=limit, key=lambda passkey: passkey.id)
    items = [passkey_document(passkey) for passkey in page.items]
    return {"items": items, "next_cursor": page.next_cursor}


def get_given_factor(body: Mapping[str, Any]) -> GivenCode | RegistrationAnswer:
    """Return the new factor of a body that `EnrollmentSchema` has validated."""
    answer: RegistrationAnswer | None = body.get("credential")
    return GivenCode(body["totp_code"]) if answer is None else answer
