"""The forms of signing up and in."""

from marshmallow import Schema, fields, validate

from authserve.http.fields import DisplayName, EmailAddress, Password, Username
from authserve.http.schemas import EXAMPLE_USER_ID, StrictSchema

MAX_IDENTIFIER_LENGTH = 320
"""More than the longest address; only decomposed letters and spaces could need it."""

EXAMPLE_TOKEN = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiIwMTkzMmY1ZSJ9.MEUCIQ"


class RegisterSchema(StrictSchema):
    """What it takes to open an account."""

    email = EmailAddress(required=True)
    password = Password(required=True)
    username = Username()
    display_name = DisplayName()


class LoginSchema(StrictSchema):
    """What it takes to sign in."""

    identifier = fields.String(
        required=True,
        validate=validate.Length(min=1, max=MAX_IDENTIFIER_LENGTH),
        metadata={"description": "An email address or a username.", "example": "alice"},
    )
    password = Password(required=True)


class AccessTokenSchema(Schema):
    """An access token by itself."""

    access_token = fields.String(required=True, metadata={"example": EXAMPLE_TOKEN})
    token_type = fields.String(required=True, metadata={"example": "Bearer"})
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds."})


class TokensSchema(AccessTokenSchema):
    """A pair of tokens."""

    refresh_token = fields.String(required=True, metadata={"example": EXAMPLE_TOKEN})
    refresh_expires_in = fields.Integer(required=True, metadata={"description": "Seconds."})
    session_id = fields.UUID(required=True, metadata={"example": EXAMPLE_USER_ID})
