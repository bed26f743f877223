"""Schemas of a profile and of a password change."""

from authserve.http.fields import DisplayName, Locale, Password, Username
from authserve.http.schemas import StrictSchema


class ProfileSchema(StrictSchema):
    """Fields that users may change in their own account; null removes a value."""

    username = Username(allow_none=True)
    display_name = DisplayName(allow_none=True)
    locale = Locale(allow_none=True)


class PasswordChangeSchema(StrictSchema):
    """A new password, and the current one that it replaces (ASVS 6.2.3)."""

    current_password = Password(required=True)
    new_password = Password(required=True)
