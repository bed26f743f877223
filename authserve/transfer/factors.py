"""The form of an account's second factors in a file, with their secrets."""

import binascii
from base64 import b32decode
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate

from authserve.core.base64url import encode_base64url
from authserve.core.clock import to_rfc3339, to_rfc3339_or_none
from authserve.http.fields import Base64Url, MomentInput, StrictBoolean
from authserve.http.schemas import StrictSchema
from authserve.mfa.ceremonies import require_loadable
from authserve.mfa.credential_schemas import CREDENTIAL_ID_LENGTH
from authserve.mfa.own_passkeys import MAX_PASSKEYS
from authserve.mfa.policy import PasskeyRefusedError
from authserve.mfa.records import (
    FactorRecords,
    PasskeyRecord,
    RecoveryCodeRecord,
    TotpRecord,
)
from authserve.mfa.totp import write_secret

SECRET_BYTES = validate.Range(16, 64)
"""Lengths of a TOTP secret: at least 128 bits (RFC 4226 §4, R6), at most a block of SHA-1."""

MAX_CODES = 100
PUBLIC_KEY_LENGTH = 4_096
"""Limits of a row (chosen): recovery codes, and characters of a public key."""


class Base32(fields.String):
    """A TOTP secret in base 32 (RFC 4648 §6), in either letter case and with or without padding."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, *args, **kwargs).rstrip("=")
        try:
            secret = b32decode(text + "=" * (-len(text) % 8), casefold=True)
            SECRET_BYTES(len(secret))
        except (binascii.Error, ValueError) as error:
            raise ValidationError("Not 16 to 64 bytes in base 32.") from error
        return secret


def _only(value: object, name: str) -> Any:
    error = f"Only {value} is supported: {name} of another kind would make other codes."
    return validate.Equal(value, error=error)


class TotpRowSchema(StrictSchema):
    """A TOTP secret; the parameters are those that this service's codes have."""

    secret = Base32(required=True)
    algorithm = fields.String(load_default="SHA1", validate=_only("SHA1", "an algorithm"))
    digits = fields.Integer(load_default=6, validate=_only(6, "a number of digits"), strict=True)
    period = fields.Integer(load_default=30, validate=_only(30, "a period"), strict=True)
    last_step = fields.Integer(load_default=0, strict=True, validate=validate.Range(0, 2**40))
    created_at = MomentInput(required=True)
    last_used_at = MomentInput(load_default=None, allow_none=True)

    @post_load
    def _to_record(self, data: dict[str, Any], **_kwargs: Any) -> TotpRecord:
        names = ("secret", "last_step", "created_at", "last_used_at")
        return TotpRecord(**{name: data[name] for name in names})


def _require_loadable(public_key: bytes) -> None:
    # Otherwise each sign-in with the passkey would fail with 500.
    try:
        require_loadable(public_key)
    except PasskeyRefusedError as error:
        raise ValidationError("Not a COSE key that verifies signatures.") from error


class PasskeyRowSchema(StrictSchema):
    """A passkey."""

    credential_id = Base64Url(CREDENTIAL_ID_LENGTH, required=True, validate=validate.Length(min=1))
    public_key = Base64Url(PUBLIC_KEY_LENGTH, required=True, validate=_require_loadable)
    algorithm = fields.Integer(required=True, strict=True)
    rp_id = fields.String(required=True, validate=validate.Length(1, 253))
    sign_count = fields.Integer(required=True, strict=True, validate=validate.Range(0, 2**32 - 1))
    backup_eligible = StrictBoolean(required=True)
    backed_up = StrictBoolean(required=True)
    transports = fields.List(fields.String(), load_default=list, validate=validate.Length(max=10))
    aaguid = fields.UUID(required=True)
    name = fields.String(required=True, validate=validate.Length(1, 64))
    created_at = MomentInput(required=True)
    last_used_at = MomentInput(load_default=None, allow_none=True)
    flagged_at = MomentInput(load_default=None, allow_none=True)
    counter_ignored = StrictBoolean(load_default=False)

    @post_load
    def _to_record(self, data: dict[str, Any], **_kwargs: Any) -> PasskeyRecord:
        return PasskeyRecord(**data)


class RecoveryCodeRowSchema(StrictSchema):
    """The SHA-256 of a recovery code."""

    digest = Base64Url(43, required=True, validate=validate.Length(equal=32))
    created_at = MomentInput(required=True)
    used_at = MomentInput(load_default=None, allow_none=True)

    @post_load
    def _to_record(self, data: dict[str, Any], **_kwargs: Any) -> RecoveryCodeRecord:
        return RecoveryCodeRecord(**data)


class FactorsRowSchema(StrictSchema):
    """The second factors of one account."""

    enabled = StrictBoolean(load_default=False)
    totp = fields.Nested(TotpRowSchema, load_default=None, allow_none=True)
    passkeys = fields.List(
        fields.Nested(PasskeyRowSchema),
        load_default=list,
        validate=validate.Length(max=MAX_PASSKEYS),
    )
    recovery_codes = fields.List(
        fields.Nested(RecoveryCodeRowSchema),
        load_default=list,
        validate=validate.Length(max=MAX_CODES),
    )


def factors_of_row(loaded: Mapping[str, Any]) -> FactorRecords:
    """Return the factors that `FactorsRowSchema` loaded."""
    return FactorRecords(
        totp=loaded["totp"],
        passkeys=tuple(loaded["passkeys"]),
        recovery_codes=tuple(loaded["recovery_codes"]),
    )


def factors_document(found: FactorRecords, *, mfa_enabled: bool) -> dict[str, Any]:
    """Return an account's factors, secrets included, in the form that `FactorsRowSchema` loads."""
    return {
        "enabled": mfa_enabled,
        "totp": None if found.totp is None else _totp_document(found.totp),
        "passkeys": [_passkey_document(passkey) for passkey in found.passkeys],
        "recovery_codes": [
            {
                "digest": encode_base64url(code.digest),
                "created_at": to_rfc3339(code.created_at),
                "used_at": to_rfc3339_or_none(code.used_at),
            }
            for code in found.recovery_codes
        ],
    }


def _totp_document(totp: TotpRecord) -> dict[str, Any]:
    return {
        "secret": write_secret(totp.secret),
        "algorithm": "SHA1",
        "digits": 6,
        "period": 30,
        "last_step": totp.last_step,
        "created_at": to_rfc3339(totp.created_at),
        "last_used_at": to_rfc3339_or_none(totp.last_used_at),
    }


def _passkey_document(passkey: PasskeyRecord) -> dict[str, Any]:
    return {
        "credential_id": encode_base64url(passkey.credential_id),
        "public_key": encode_base64url(passkey.public_key),
        "algorithm": passkey.algorithm,
        "rp_id": passkey.rp_id,
        "sign_count": passkey.sign_count,
        "backup_eligible": passkey.backup_eligible,
        "backed_up": passkey.backed_up,
        "transports": passkey.transports,
        "aaguid": str(passkey.aaguid),
        "name": passkey.name,
        "created_at": to_rfc3339(passkey.created_at),
        "last_used_at": to_rfc3339_or_none(passkey.last_used_at),
        "flagged_at": to_rfc3339_or_none(passkey.flagged_at),
        "counter_ignored": passkey.counter_ignored,
    }
