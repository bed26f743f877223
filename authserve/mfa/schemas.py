"""The bodies of requests and responses about second factors."""

from collections.abc import Mapping
from typing import Any

from marshmallow import (
    Schema,
    ValidationError,
    fields,
    validate,
    validates_schema,
)

from authserve.http.fields import MomentInput, StrictBoolean, matches_pattern
from authserve.http.schemas import EXAMPLE_TIME, Moment, StrictSchema
from authserve.mfa.answers import AssertionAnswer
from authserve.mfa.assurance import SecondStep
from authserve.mfa.credential_schemas import AssertionCredentialSchema
from authserve.mfa.email_codes import EMAIL_CODE_DIGITS
from authserve.mfa.proving import GivenCode, GivenProof, GivenRecoveryCode
from authserve.mfa.recovery_codes import CODES, MAX_LENGTH
from authserve.mfa.totp import CODE_DIGITS

EXAMPLE_TOTP_CODE = "012345"


class DigitCode(fields.String):
    """A code of ASCII digits, as text; a number would lose leading zeros.

    Args:
        digits: exactly as many, at most eight; blanks and signs are refused.
    """

    def __init__(self, digits: int, **kwargs: Any) -> None:
        pattern = f"^[0-9]{{{digits}}}$"
        check = matches_pattern(pattern, error="Not a code of digits.")
        metadata = {"example": "01234567"[:digits], "pattern": pattern}
        super().__init__(validate=check, metadata=metadata, **kwargs)


class NoBodySchema(StrictSchema):
    """An empty object, or no body."""

    is_body_optional = True


class MfaSwitchSchema(StrictSchema):
    """The new position of the account's switch."""

    enabled = StrictBoolean(required=True)


class TotpTimesSchema(Schema):
    """A confirmed TOTP secret, without the secret."""

    created_at = Moment(required=True, metadata={"example": EXAMPLE_TIME})
    last_used_at = Moment(required=True, allow_none=True, metadata={"example": EXAMPLE_TIME})


class RecoveryCodeList(fields.List[Any]):
    """Recovery codes as output."""

    def __init__(self, **kwargs: Any) -> None:
        description = f"{CODES} codes, which cannot be read again."
        metadata = {"description": description, "example": ["7Q0D-1F9K-ZZ01-ABCD-EFGH-JKMN"]}
        super().__init__(fields.String(), metadata=metadata, **kwargs)


class MfaStateSchema(Schema):
    """The caller's second factors."""

    enabled = fields.Boolean(
        required=True, metadata={"description": "Signing in asks for a second factor."}
    )
    required = fields.Boolean(
        required=True, metadata={"description": "The operator requires a second factor."}
    )
    enroll_by = Moment(
        required=True,
        allow_none=True,
        metadata={"description": "The operator requires one from then.", "example": EXAMPLE_TIME},
    )
    methods = fields.List(
        fields.String(metadata={"enum": list(SecondStep)}),
        required=True,
        metadata={
            "description": "Of the second step, in the order in which to offer them.",
            "example": [SecondStep.TOTP, SecondStep.RECOVERY_CODE],
        },
    )
    totp = fields.Nested(
        TotpTimesSchema,
        required=True,
        allow_none=True,
        metadata={"example": {"created_at": EXAMPLE_TIME, "last_used_at": None}},
    )
    passkeys = fields.Integer(required=True)
    recovery_codes_left = fields.Integer(required=True)
    sleeping_roles = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "Roles that have effect only after a second factor.",
            "example": ["admin"],
        },
    )
    recovery_codes = RecoveryCodeList()


class TotpSetUpSchema(Schema):
    """A TOTP secret that waits for its confirmation; it is shown once."""

    secret = fields.String(
        required=True,
        metadata={"description": "In base 32.", "example": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"},
    )
    uri = fields.String(
        required=True,
        metadata={
            "description": "What the QR code holds.",
            "example": "otpauth://totp/example.com:alice@example.com?secret=GEZDGNBVGY3TQOJQ",
        },
    )
    qr_svg = fields.String(
        required=True, metadata={"description": "An SVG document.", "example": "<svg/>"}
    )
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds.", "example": 900})
    email_code_required = fields.Boolean(
        required=True, metadata={"description": "A code has been mailed, which must be given too."}
    )


class TotpConfirmationSchema(StrictSchema):
    """A code of the app, and the mailed one where a set-up says that it is required."""

    code = DigitCode(CODE_DIGITS, required=True)
    email_code = DigitCode(EMAIL_CODE_DIGITS)


class RecoveryCodeSetSchema(Schema):
    """The state of the caller's recovery codes."""

    left = fields.Integer(required=True, metadata={"description": "Unused ones.", "example": CODES})
    created_at = Moment(required=True, allow_none=True, metadata={"example": EXAMPLE_TIME})


class RenewalSchema(StrictSchema):
    """The recovery codes that the caller means to replace."""

    is_body_optional = True

    replaces = MomentInput(
        metadata={
            "description": "Refuse the call if `created_at` is another by now.",
            "example": EXAMPLE_TIME,
        }
    )


class RecoveryCodesSchema(Schema):
    """New recovery codes."""

    codes = RecoveryCodeList(required=True)


class SecondProofSchema(StrictSchema):
    """Exactly one second proof."""

    totp_code = DigitCode(CODE_DIGITS)
    recovery_code = fields.String(
        validate=validate.Length(max=MAX_LENGTH),
        metadata={
            "description": "Case, dashes and spaces do not matter.",
            "example": "7Q0D-4RTY-0000-ABCD-EFGH-M2XA",
        },
    )
    credential = fields.Nested(AssertionCredentialSchema)

    @validates_schema(skip_on_field_errors=True)
    def _validate_proofs(self, data: dict[str, Any], **_kwargs: Any) -> None:
        self.require_proofs(data)

    def require_proofs(self, data: Mapping[str, Any]) -> None:
        """Refuse a body that has not exactly one proof.

        Raises:
            ValidationError: it has none, or several.
        """
        if len(proofs_in(data)) != 1:
            names = ", ".join(sorted(_PROOFS))
            raise ValidationError(f"Give exactly one of {names}.", "totp_code")


_PROOFS = {"totp_code", "recovery_code", "credential"}


def proofs_in(data: Mapping[str, Any]) -> set[str]:
    """Return the names of the second proofs in a body."""
    return _PROOFS & data.keys()


def get_given_proof(body: Mapping[str, Any]) -> GivenProof:
    """Return the second proof of a body that `SecondProofSchema` has validated.

    Raises:
        LookupError: it has none; the schema does not require one.
    """
    given = find_given_proof(body)
    if given is None:
        raise LookupError("the body has no second proof")
    return given


def find_given_proof(body: Mapping[str, Any]) -> GivenProof | None:
    """Return the second proof of a body that `SecondProofSchema` has validated, or None."""
    if "totp_code" in body:
        return GivenCode(body["totp_code"])
    if "recovery_code" in body:
        return GivenRecoveryCode(body["recovery_code"])
    answer: AssertionAnswer | None = body.get("credential")
    return answer
