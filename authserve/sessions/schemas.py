"""The forms of sessions."""

from marshmallow import Schema, fields

from authserve.http.pagination import page_schema
from authserve.http.schemas import EXAMPLE_TIME, EXAMPLE_USER_ID, Moment


class SessionSchema(Schema):
    """The contract's Session."""

    id = fields.UUID(required=True, metadata={"example": EXAMPLE_USER_ID})
    created_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    last_used_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    expires_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    ip = fields.String(required=True, allow_none=True, metadata={"example": "192.0.2.1"})
    user_agent = fields.String(required=True, allow_none=True, metadata={"example": "curl/8.5"})
    amr = fields.List(fields.String(), required=True, metadata={"example": ["pwd"]})
    current = fields.Boolean(required=True)


SessionPageSchema = page_schema("SessionPageSchema", SessionSchema)
