"""Passkeys as browsers send them, and the options that browsers ask for."""

from typing import Any

from marshmallow import EXCLUDE, Schema, fields, post_load

from authserve.http.fields import Base64Url
from authserve.mfa.answers import AssertionAnswer, RegistrationAnswer

TRANSPORTS = ("usb", "nfc", "ble", "smart-card", "hybrid", "internal")
"""The transports of WebAuthn Level 3 §5.8.4; browsers may name others, which are ignored."""


def _base64url_length(count: int) -> int:
    """Return the number of characters of `count` bytes in base64url without padding."""
    return (count * 4 + 2) // 3


CREDENTIAL_ID_LENGTH = _base64url_length(1023)
CLIENT_DATA_LENGTH = _base64url_length(4 * 1024)
ATTESTATION_OBJECT_LENGTH = _base64url_length(16 * 1024)
AUTHENTICATOR_DATA_LENGTH = _base64url_length(2 * 1024)
SIGNATURE_LENGTH = _base64url_length(1024)
USER_HANDLE_LENGTH = _base64url_length(64)
"""Limits in characters. WebAuthn Level 3 limits a credential id (§7.1) and a user handle (§5.4.3);
the others are chosen: browsers send a tenth of them (measured)."""


class _BrowserSchema(Schema):
    """The base of what browsers make; it ignores unknown members, since browsers add some."""

    class Meta:
        """marshmallow's options."""

        unknown = EXCLUDE


class _AttestationResponseSchema(_BrowserSchema):
    clientDataJSON = Base64Url(CLIENT_DATA_LENGTH, required=True)  # noqa: N815
    attestationObject = Base64Url(ATTESTATION_OBJECT_LENGTH, required=True)  # noqa: N815
    transports = fields.List(
        fields.String(), load_default=list, metadata={"example": ["internal", "hybrid"]}
    )


class _AssertionResponseSchema(_BrowserSchema):
    clientDataJSON = Base64Url(CLIENT_DATA_LENGTH, required=True)  # noqa: N815
    authenticatorData = Base64Url(AUTHENTICATOR_DATA_LENGTH, required=True)  # noqa: N815
    signature = Base64Url(SIGNATURE_LENGTH, required=True)
    userHandle = Base64Url(USER_HANDLE_LENGTH, allow_none=True)  # noqa: N815


class _CredentialSchema(_BrowserSchema):
    id = Base64Url(CREDENTIAL_ID_LENGTH, required=True)
    rawId = Base64Url(CREDENTIAL_ID_LENGTH, required=True)  # noqa: N815
    type = fields.String(required=True, metadata={"example": "public-key"})


class RegistrationCredentialSchema(_CredentialSchema):
    """A new passkey, as `toJSON()` of the browser's credential has it (WebAuthn Level 3 §5.1)."""

    response = fields.Nested(_AttestationResponseSchema, required=True)

    @post_load
    def _to_answer(self, data: dict[str, Any], **_kwargs: Any) -> RegistrationAnswer:
        response = data["response"]
        return RegistrationAnswer(
            id=data["id"],
            raw_id=data["rawId"],
            type=data["type"],
            client_data=response["clientDataJSON"],
            attestation_object=response["attestationObject"],
            transports=tuple(each for each in response["transports"] if each in TRANSPORTS),
        )


class AssertionCredentialSchema(_CredentialSchema):
    """A passkey's answer, as `toJSON()` of the browser's credential has it."""

    response = fields.Nested(_AssertionResponseSchema, required=True)

    @post_load
    def _to_answer(self, data: dict[str, Any], **_kwargs: Any) -> AssertionAnswer:
        response = data["response"]
        return AssertionAnswer(
            id=data["id"],
            raw_id=data["rawId"],
            type=data["type"],
            client_data=response["clientDataJSON"],
            authenticator_data=response["authenticatorData"],
            signature=response["signature"],
            user_handle=response.get("userHandle"),
        )


class PasskeyOptionsSchema(Schema):
    """Options for the browser, and how long their answer is accepted."""

    public_key = fields.Dict(
        required=True,
        metadata={
            "description": "For `parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`.",
            "example": {"challenge": "AAECAwQFBgcICQoLDA0ODw", "rpId": "example.com"},
        },
    )
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds.", "example": 300})
