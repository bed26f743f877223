"""The forms of a profile."""

from authserve.http.fields import DisplayName, Username
from authserve.http.schemas import StrictSchema


class ProfileSchema(StrictSchema):
    """What users may change of their own account; null removes a value."""

    username = Username(allow_none=True)
    display_name = DisplayName(allow_none=True)
