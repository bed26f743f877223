"""The bodies of calls that ask for a link or redeem one."""

from marshmallow import Schema, fields, validate

from authserve.http.fields import DisplayName, EmailAddress, Password, Username
from authserve.http.schemas import StrictSchema

MAX_TOKEN_LENGTH = 200
"""Characters; a token has 64. Longer input is refused without reading it."""

EXAMPLE_TOKEN = "AZMvXnwafTufPjpbbH2On2_0iX0bFhCqHyr8RmBnQkq3sYxkQkOe0y3Yy7mJ9d1V"


EXAMPLE_DEVICE_TOKEN = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiIwMTkzMmY1ZSJ9.MEUCIQ"


class LinkToken(fields.String):
    """The token of a link."""

    def __init__(self) -> None:
        super().__init__(
            required=True,
            validate=validate.Length(min=1, max=MAX_TOKEN_LENGTH),
            metadata={"example": EXAMPLE_TOKEN},
        )


class AddressSchema(StrictSchema):
    """An address, not yet looked up."""

    email = EmailAddress(required=True)


class ProvenTokenSchema(StrictSchema):
    """A link's token, and the account's password if the request has no session."""

    token = LinkToken()
    password = Password()


class ResetSchema(StrictSchema):
    """A reset link's token and the new password."""

    token = LinkToken()
    new_password = Password(required=True)


class InvitationSchema(StrictSchema):
    """An invitation's token, a password, and the names that the user chooses."""

    token = LinkToken()
    password = Password(required=True)
    username = Username()
    display_name = DisplayName()


class NewEmailSchema(StrictSchema):
    """The caller's wanted new address."""

    new_email = EmailAddress(required=True)


class DeviceTokenSchema(Schema):
    """A token that makes this device known at the next sign-in."""

    device_token = fields.String(required=True, metadata={"example": EXAMPLE_DEVICE_TOKEN})
