"""The bodies of the auth routes' requests and responses."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from authserve.auth.factor_confirmation import ConfirmedFactor
from authserve.http.fields import DisplayName, EmailAddress, Locale, Password, Username
from authserve.http.schemas import EXAMPLE_TIME, EXAMPLE_USER_ID, StrictSchema
from authserve.mfa.assurance import SecondStep
from authserve.mfa.credential_schemas import AssertionCredentialSchema
from authserve.mfa.email_codes import EMAIL_CODE_DIGITS
from authserve.mfa.schemas import (
    DigitCode,
    RecoveryCodeList,
    SecondProofSchema,
    proofs_in,
)
from authserve.tokens.access import AccessToken
from authserve.verification.schemas import LinkToken

MAX_IDENTIFIER_LENGTH = 320
"""Characters; more than the longest address, to allow decomposed letters and spaces."""

EXAMPLE_PASSWORD = "correct horse battery staple"
EXAMPLE_TOKEN = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiIwMTkzMmY1ZSJ9.MEUCIQ"


class RegisterSchema(StrictSchema):
    """The data to open an account."""

    email = EmailAddress(required=True)
    password = Password(required=True)
    username = Username()
    display_name = DisplayName()
    locale = Locale()


class FirstAdministratorSchema(StrictSchema):
    """The first link's token, with an address and a password for the account."""

    token = LinkToken()
    email = EmailAddress(required=True)
    password = Password(required=True)


def _device_token() -> fields.String:
    return fields.String(
        metadata={
            "description": "From an earlier sign-in on this device; ignored if not valid.",
            "example": EXAMPLE_TOKEN,
        }
    )


class LoginSchema(StrictSchema):
    """The data to sign in."""

    identifier = fields.String(
        required=True,
        validate=validate.Length(min=1, max=MAX_IDENTIFIER_LENGTH),
        metadata={"description": "An email address or a username.", "example": "alice"},
    )
    password = Password(required=True)
    device_token = _device_token()


class MfaTokenSchema(StrictSchema):
    """A sign-in that waits for its second step."""

    mfa_token = fields.String(required=True, metadata={"example": EXAMPLE_TOKEN})


class PasskeySignInSchema(StrictSchema):
    """The answer of a passkey to options for a sign-in."""

    credential = fields.Nested(AssertionCredentialSchema, required=True)
    device_token = _device_token()


class VerificationSchema(SecondProofSchema):
    """The second step of a sign-in: its token, and exactly one proof."""

    mfa_token = fields.String(required=True, metadata={"example": EXAMPLE_TOKEN})


class EnrollmentOptionsSchema(MfaTokenSchema):
    """The kind of factor that a sign-in's account gets."""

    method = fields.Enum(
        SecondStep, by_value=fields.String, required=True, metadata={"example": "totp"}
    )


class NewFactorSchema(Schema):
    """The options of an app's secret or of a passkey."""

    secret = fields.String(
        metadata={"description": "In base 32.", "example": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}
    )
    uri = fields.String(
        metadata={"example": "otpauth://totp/example.com:alice?secret=GEZDGNBVGY3TQOJQ"}
    )
    qr_svg = fields.String(metadata={"description": "An SVG document.", "example": "<svg/>"})
    public_key = fields.Dict(metadata={"example": {"challenge": "AAECAwQFBgcICQoLDA0ODw"}})


class EmailCodeSchema(StrictSchema):
    """The address to mail a code to."""

    email = EmailAddress(required=True)
    device_token = _device_token()


class SignInTokenSchema(Schema):
    """The token with which alone the mailed code is accepted."""

    sign_in_token = fields.String(required=True, metadata={"example": EXAMPLE_TOKEN})
    expires_in = fields.Integer(
        required=True,
        metadata={"description": "Seconds of the token; a code lasts 10 minutes once it is sent."},
    )


class EmailCodeSignInSchema(StrictSchema):
    """A mailed code, and the token of its request."""

    sign_in_token = fields.String(required=True, metadata={"example": EXAMPLE_TOKEN})
    code = DigitCode(EMAIL_CODE_DIGITS, required=True)
    device_token = _device_token()


EXTENTS = ("apps", "api-keys")
"""The values that `logout-all` accepts in `include`, also while their features are off."""


class RefreshSchema(StrictSchema):
    """A refresh token, unless it is sent as bearer token."""

    is_body_optional = True

    refresh_token = fields.String(metadata={"example": EXAMPLE_TOKEN})


class LogoutAllSchema(StrictSchema):
    """The grants to end besides the caller's sessions."""

    is_body_optional = True

    include = fields.List(
        fields.String(validate=validate.OneOf(EXTENTS)),
        validate=validate.Length(max=len(EXTENTS)),
        load_default=list,
        metadata={"example": list(EXTENTS)},
    )


class ReauthenticateSchema(SecondProofSchema):
    """The caller's password, perhaps with a code or a recovery code; or a passkey alone."""

    password = Password()

    def require_proofs(self, data: Mapping[str, Any]) -> None:
        """Refuse any other combination."""
        given = proofs_in(data)
        if "credential" in given and ("password" in data or len(given) > 1):
            raise ValidationError("A passkey needs nothing beside it.", "credential")
        if len(given) > 1:
            raise ValidationError("Give one code.", "recovery_code")
        if "credential" not in given and "password" not in data:
            raise ValidationError("Missing data for required field.", "password")


class IntrospectSchema(StrictSchema):
    """A token to inspect; the hint of RFC 7662 §2.1 is accepted and ignored."""

    token = fields.String(required=True, metadata={"example": EXAMPLE_TOKEN})
    token_type_hint = fields.String(metadata={"example": "access_token"})


class IntrospectionSchema(Schema):
    """The response of RFC 7662 §2.2; only `active` if the token is not valid."""

    active = fields.Boolean(required=True)
    sub = fields.String(
        metadata={
            "description": "The user, or the client of a machine.",
            "example": EXAMPLE_USER_ID,
        }
    )
    sid = fields.UUID(metadata={"example": EXAMPLE_USER_ID})
    scope = fields.String(
        metadata={
            "description": "Of an OAuth token: the scopes that it still has.",
            "example": "openid profile",
        }
    )
    client_id = fields.String(metadata={"example": "wiki"})
    exp = fields.Integer(metadata={"example": 1795419675})
    iat = fields.Integer(metadata={"example": 1795419075})
    iss = fields.String(metadata={"example": "https://auth.example.com"})
    aud = fields.String(metadata={"example": "https://api.example.com"})
    acr = fields.String(metadata={"example": "aal2"})
    amr = fields.List(fields.String(), metadata={"example": ["otp", "pwd", "mfa"]})
    auth_time = fields.Integer(metadata={"example": 1795419075})
    token_type = fields.String(metadata={"example": "Bearer"})
    username = fields.String(metadata={"example": "alice"})


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
    device_token = fields.String(
        metadata={"description": "Comes with a sign-in.", "example": EXAMPLE_TOKEN}
    )
    recovery_codes = RecoveryCodeList()
    recovery_codes_left = fields.Integer(
        metadata={"description": "Comes with a sign-in from three codes down.", "example": 3}
    )
    mfa_enroll_by = fields.String(
        metadata={
            "format": "date-time",
            "description": "From then on this account cannot be used without a second factor.",
            "example": EXAMPLE_TIME,
        }
    )


class ConfirmedTotpSchema(AccessTokenSchema):
    """A fresh token of the risen session, and the recovery codes if there were none."""

    recovery_codes = RecoveryCodeList()


def confirmed_factor_document(confirmed: ConfirmedFactor[AccessToken]) -> dict[str, Any]:
    """Return the members that an answer has of a new factor: its codes and its token, if any."""
    codes = confirmed.recovery_codes
    return {**({} if codes is None else {"recovery_codes": codes}), **(confirmed.renewal or {})}
