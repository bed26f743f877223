"""The request and response schemas of administration."""

import dataclasses
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from authserve.admin.sign_in_support import SignInObstacle, SignInStatus, UserFactors
from authserve.auth.policy import SignInFailure
from authserve.core.identifiers import EMAIL_MAX_LENGTH, canonical_domain
from authserve.http.fields import (
    PLAIN_TEXT_PATTERN,
    DisplayName,
    EmailAddress,
    MomentInput,
    StrictBoolean,
    Username,
)
from authserve.http.pagination import (
    Cursor,
    LimitQuerySchema,
    decode_match,
    decode_time_and_id,
    page_schema,
)
from authserve.http.schemas import EXAMPLE_TIME, Moment, StrictSchema, UserSchema
from authserve.mail.policy import MailKind
from authserve.mfa.assurance import ProofFailure, SecondStep
from authserve.mfa.passkey_schemas import PasskeySchema, passkey_document
from authserve.mfa.schemas import TotpTimesSchema
from authserve.outbox.policy import MessageState

MAX_ROLES = 50


def _role_names(**kwargs: Any) -> Any:
    item = fields.String(validate=validate.Length(min=1, max=64))
    return fields.List(item, validate=validate.Length(max=MAX_ROLES), **kwargs)


class UserQuerySchema(LimitQuerySchema):
    """The filters, order and page of a list of accounts."""

    cursor = Cursor(bytes, pattern="^[A-Za-z0-9_-]+$")
    q = fields.String(
        validate=validate.Length(min=1, max=EMAIL_MAX_LENGTH),
        metadata={
            "description": (
                "The beginning of an address (its domain in Unicode or punycode), username or "
                "name; the list is in the order of what fits, and a page may be shorter than "
                "`limit` though there is a next one. `@example.com` lists the addresses of that "
                "domain, newest first."
            ),
            "pattern": PLAIN_TEXT_PATTERN,
        },
    )
    is_active = fields.Boolean(truthy={"true"}, falsy={"false"})
    mfa_enabled = fields.Boolean(truthy={"true"}, falsy={"false"})
    role = fields.String(
        validate=validate.Length(min=1, max=64), metadata={"pattern": PLAIN_TEXT_PATTERN}
    )
    created_after = MomentInput()
    created_before = MomentInput()
    updated_after = MomentInput(
        metadata={
            "description": "Without a beginning in `q`, orders by change, oldest change first.",
            "example": EXAMPLE_TIME,
        }
    )

    @post_load
    def read_query(self, query: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Distinguish a domain from a beginning in `q`, and decode the cursor of that list."""
        text = query.pop("q", "").strip()
        if text.startswith("@"):
            # An invalid domain becomes an empty one, which no address has.
            query["domain"] = canonical_domain(text[1:]) or ""
        elif text:
            query["beginning"] = text
        if query["cursor"] is not None:
            decode = decode_match if "beginning" in query else decode_time_and_id
            try:
                query["cursor"] = decode(query["cursor"])
            except ValueError as error:
                raise ValidationError("Not a cursor of this list.", "cursor") from error
        return query


class InvitationRequestSchema(StrictSchema):
    """The account to create for an invited user."""

    email = EmailAddress(required=True)
    username = Username()
    display_name = DisplayName()
    roles = _role_names(load_default=list, metadata={"example": ["user"]})


class ExpectedUpdatedAt(MomentInput):
    """The `updated_at` that the caller last saw, with every digit."""

    def __init__(self) -> None:
        description = "Refuse the change if `updated_at` is another by now."
        super().__init__(metadata={"description": description, "example": EXAMPLE_TIME})


class AccountChangeSchema(StrictSchema):
    """The changes of an account; null removes a username or display name."""

    email = EmailAddress()
    email_verified = StrictBoolean()
    username = Username(allow_none=True)
    display_name = DisplayName(allow_none=True)
    is_active = StrictBoolean()
    expected_updated_at = ExpectedUpdatedAt()


class RolesSchema(StrictSchema):
    """The complete new roles of a user."""

    roles = _role_names(required=True, metadata={"example": ["user", "support"]})
    expected_updated_at = ExpectedUpdatedAt()


FAILURES = list(dict.fromkeys([*map(str, SignInFailure), *map(str, ProofFailure)]))
"""The reasons of failures in both steps of a sign-in; some are in both."""


class FailureSchema(Schema):
    """A sign-in that failed."""

    at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    reason = fields.String(required=True, allow_none=True, metadata={"enum": [*FAILURES, None]})
    correlation_id = fields.String(required=True, allow_none=True)
    ip = fields.String(required=True, allow_none=True)


class MailSchema(Schema):
    """A mail and the state of its delivery."""

    kind = fields.String(required=True, metadata={"enum": list(MailKind)})
    state = fields.String(required=True, metadata={"enum": list(MessageState)})
    attempts = fields.Integer(required=True)
    last_error = fields.String(required=True, allow_none=True)
    created_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    sent_at = Moment(required=True, allow_none=True)


class MfaStatusSchema(Schema):
    """The second factors of a user, as an unknown device meets them."""

    enabled = fields.Boolean(required=True)
    required = fields.Boolean(required=True)
    methods = fields.List(fields.String(metadata={"enum": list(SecondStep)}), required=True)
    recovery_codes_left = fields.Integer(required=True)
    throttled_until = Moment(required=True, allow_none=True)
    reset_at = Moment(required=True, allow_none=True)


class SignInStatusSchema(Schema):
    """The reasons why a user can or cannot sign in."""

    can_sign_in = fields.Boolean(required=True)
    reasons = fields.List(fields.String(metadata={"enum": list(SignInObstacle)}), required=True)
    is_active = fields.Boolean(required=True)
    email_verified = fields.Boolean(required=True)
    has_password = fields.Boolean(required=True)
    providers = fields.List(
        fields.String(metadata={"example": "google"}),
        required=True,
        metadata={"description": "Other providers by which the user can sign in."},
    )
    throttled_until = Moment(required=True, allow_none=True)
    last_success = Moment(required=True, allow_none=True)
    last_failures = fields.List(fields.Nested(FailureSchema), required=True)
    live_sessions = fields.Integer(required=True)
    mfa = fields.Nested(MfaStatusSchema, required=True)
    mails = fields.List(fields.Nested(MailSchema), required=True)


class UserFactorsSchema(Schema):
    """A user's second factors, without secrets."""

    enabled = fields.Boolean(
        required=True, metadata={"description": "Signing in asks for a second factor."}
    )
    required = fields.Boolean(
        required=True, metadata={"description": "The operator requires a second factor."}
    )
    methods = fields.List(fields.String(metadata={"enum": list(SecondStep)}), required=True)
    totp = fields.Nested(
        TotpTimesSchema,
        required=True,
        allow_none=True,
        metadata={"example": {"created_at": EXAMPLE_TIME, "last_used_at": None}},
    )
    passkeys = fields.List(fields.Nested(PasskeySchema), required=True)
    recovery_codes_left = fields.Integer(required=True)
    reset_at = Moment(
        required=True,
        allow_none=True,
        metadata={"description": "A requested reset removes them then.", "example": EXAMPLE_TIME},
    )


def user_factors_document(found: UserFactors) -> dict[str, Any]:
    """Return a user's second factors, for `UserFactorsSchema` to dump."""
    state = found.state
    return {
        "enabled": state.enabled,
        "required": state.required,
        "methods": state.methods,
        "totp": state.totp,
        "passkeys": [passkey_document(passkey) for passkey in found.passkeys],
        "recovery_codes_left": state.recovery_codes_left,
        "reset_at": found.reset_at,
    }


class MfaResetSchema(Schema):
    """The time at which a reset of second factors takes effect."""

    effective_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})


def sign_in_status_document(status: SignInStatus) -> dict[str, Any]:
    """Return the fields of a sign-in status, for `SignInStatusSchema` to dump."""
    names = (each.name for each in dataclasses.fields(status) if each.name != "mails")
    document = {name: getattr(status, name) for name in names}
    return {**document, "mails": [_mail_document(mail) for mail in status.mails]}


def _mail_document(mail: Any) -> dict[str, Any]:
    return {
        "kind": mail.kind,
        "state": mail.state,
        "attempts": mail.attempts,
        "last_error": mail.last_error,
        "created_at": mail.created_at,
        "sent_at": mail.finished_at if mail.state == MessageState.SENT else None,
    }


class PersonalDataSchema(Schema):
    """All data held on a user."""

    exported_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    user = fields.Dict(required=True)
    factors = fields.List(fields.Dict(), required=True)
    sessions = fields.List(fields.Dict(), required=True)
    links = fields.List(fields.Dict(), required=True)
    mails = fields.List(fields.Dict(), required=True)
    events = fields.List(fields.Dict(), required=True)
    apps = fields.List(fields.Dict(), metadata={"description": "With the feature `oidc`."})
    api_keys = fields.List(fields.Dict(), metadata={"description": "With `api-keys`."})
    identities = fields.List(fields.Dict(), metadata={"description": "With `federation`."})


UserPageSchema = page_schema("UserPageSchema", UserSchema)
