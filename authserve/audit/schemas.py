"""The request and response schemas of the audit trail."""

from marshmallow import Schema, fields

from authserve.core.events import AuditAction, Outcome
from authserve.http.fields import MomentInput, StrictUUID, matches_pattern
from authserve.http.pagination import MomentPageQuerySchema, page_schema
from authserve.http.request_info import AddressRule
from authserve.http.schemas import EXAMPLE_TIME, EXAMPLE_USER_ID, Moment

ACTIONS = [action.value for action in AuditAction]
OUTCOMES = [outcome.value for outcome in Outcome]


EXAMPLE_CORRELATION_ID = "0b9c6c2f3d5e4a7c8f6d1e2b3a4c5d6e"

CORRELATION_ID_PATTERN = "^[A-Za-z0-9._-]{1,64}$"
"""The form of the correlation ids that the service accepts and makes (contract).

No event has an id of another form."""


class EventQuerySchema(MomentPageQuerySchema):
    """The filters of a list of events."""

    action = fields.Enum(AuditAction, by_value=True)
    actor_id = StrictUUID(metadata={"example": EXAMPLE_USER_ID})
    subject_id = StrictUUID(metadata={"example": EXAMPLE_USER_ID})
    correlation_id = fields.String(
        validate=matches_pattern(
            CORRELATION_ID_PATTERN,
            error="1 to 64 letters, digits, dots, hyphens and underscores.",
        ),
        metadata={"pattern": CORRELATION_ID_PATTERN, "example": EXAMPLE_CORRELATION_ID},
    )
    after = MomentInput()
    before = MomentInput()


class AuditEventSchema(Schema):
    """An audit event, as in the contract."""

    id = fields.UUID(required=True, metadata={"example": EXAMPLE_USER_ID})
    occurred_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    action = fields.String(required=True, metadata={"enum": ACTIONS})
    outcome = fields.String(required=True, metadata={"enum": OUTCOMES})
    actor_id = fields.UUID(required=True, allow_none=True)
    actor_client_id = fields.String(required=True, allow_none=True)
    subject_id = fields.UUID(required=True, allow_none=True)
    ip = fields.String(required=True, allow_none=True, metadata={"example": "192.0.2.1"})
    user_agent = fields.String(required=True, allow_none=True, metadata={"example": "curl/8.5"})
    correlation_id = fields.String(required=True, allow_none=True)
    details = fields.Dict(keys=fields.String(), required=True)


class ClientAddressSchema(Schema):
    """The client address of a request, and the rule that found it."""

    address = fields.String(required=True, allow_none=True, metadata={"example": "203.0.113.7"})
    network = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "What it counts as.", "example": "203.0.113.7"},
    )
    rule = fields.String(required=True, metadata={"enum": [rule.value for rule in AddressRule]})
    trusted_proxies = fields.Integer(required=True, metadata={"example": 0})
    peer = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Who connected to the service.", "example": "203.0.113.7"},
    )
    forwarded_for = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "`X-Forwarded-For`, believed or not.", "example": []},
    )
    warning = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Set if all recent events seem to come from one address."},
    )


AuditEventPageSchema = page_schema("AuditEventPageSchema", AuditEventSchema)
