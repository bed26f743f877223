"""The forms of administration."""

from typing import Any

from marshmallow import Schema, fields, validate

from authserve.admin.service import SignInObstacle, SignInStatus
from authserve.auth.policy import SignInFailure
from authserve.http.fields import (
    PLAIN_TEXT_PATTERN,
    DisplayName,
    EmailAddress,
    MomentInput,
    StrictBoolean,
    Username,
)
from authserve.http.pagination import MomentPageQuerySchema, page_schema
from authserve.http.schemas import EXAMPLE_TIME, Moment, StrictSchema, UserSchema
from authserve.mail.service import MailKind
from authserve.outbox.service import MessageState

MAX_ROLES = 50
MAX_SEARCH_LENGTH = 100


def _role_names(**kwargs: Any) -> Any:
    item = fields.String(validate=validate.Length(min=1, max=64))
    return fields.List(item, validate=validate.Length(max=MAX_ROLES), **kwargs)


class UserQuerySchema(MomentPageQuerySchema):
    """Which accounts to list."""

    q = fields.String(
        validate=validate.Length(min=1, max=MAX_SEARCH_LENGTH),
        metadata={
            "description": "The beginning of an address, username or name.",
            "pattern": PLAIN_TEXT_PATTERN,
        },
    )
    is_active = fields.Boolean(truthy={"true"}, falsy={"false"})
    role = fields.String(
        validate=validate.Length(min=1, max=64), metadata={"pattern": PLAIN_TEXT_PATTERN}
    )
    created_after = MomentInput()
    created_before = MomentInput()


class InvitationRequestSchema(StrictSchema):
    """Whom to invite."""

    email = EmailAddress(required=True)
    username = Username()
    display_name = DisplayName()
    roles = _role_names(load_default=list, metadata={"example": ["user"]})


class AccountChangeSchema(StrictSchema):
    """What to change of an account; null removes a name."""

    email = EmailAddress()
    email_verified = StrictBoolean()
    username = Username(allow_none=True)
    display_name = DisplayName(allow_none=True)
    is_active = StrictBoolean()


class RolesSchema(StrictSchema):
    """The roles that a user is to hold."""

    roles = _role_names(required=True, metadata={"example": ["user", "support"]})


class FailureSchema(Schema):
    """A sign-in that failed."""

    at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    reason = fields.String(
        required=True, allow_none=True, metadata={"enum": [*SignInFailure, None]}
    )
    correlation_id = fields.String(required=True, allow_none=True)
    ip = fields.String(required=True, allow_none=True)


class MailSchema(Schema):
    """A mail that is owed, sent or given up."""

    kind = fields.String(required=True, metadata={"enum": list(MailKind)})
    state = fields.String(required=True, metadata={"enum": list(MessageState)})
    attempts = fields.Integer(required=True)
    last_error = fields.String(required=True, allow_none=True)
    created_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    sent_at = Moment(required=True, allow_none=True)


class SignInStatusSchema(Schema):
    """Why a user can or cannot sign in."""

    can_sign_in = fields.Boolean(required=True)
    reasons = fields.List(fields.String(metadata={"enum": list(SignInObstacle)}), required=True)
    is_active = fields.Boolean(required=True)
    email_verified = fields.Boolean(required=True)
    has_password = fields.Boolean(required=True)
    throttled_until = Moment(required=True, allow_none=True)
    last_success = Moment(required=True, allow_none=True)
    last_failures = fields.List(fields.Nested(FailureSchema), required=True)
    live_sessions = fields.Integer(required=True)
    mails = fields.List(fields.Nested(MailSchema), required=True)


def sign_in_status_document(status: SignInStatus) -> dict[str, Any]:
    """Return the fields of a sign-in status, for `SignInStatusSchema` to dump."""
    names = (name for name in SignInStatus.__slots__ if name != "mails")
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
    """Everything that is held on a user."""

    exported_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    user = fields.Dict(required=True)
    sessions = fields.List(fields.Dict(), required=True)
    links = fields.List(fields.Dict(), required=True)
    mails = fields.List(fields.Dict(), required=True)
    events = fields.List(fields.Dict(), required=True)


UserPageSchema = page_schema("UserPageSchema", UserSchema)
