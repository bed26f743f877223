"""The values of both passkey ceremonies: browsers' answers, and what they are compared with."""

from collections.abc import Collection, Mapping
from dataclasses import field
from typing import Any
from uuid import UUID

from authserve.core.frozen import frozen


@frozen(kw_only=True)
class RegistrationAnswer:
    """A browser's answer to creation options (`RegistrationResponseJSON`), with bytes decoded."""

    id: bytes
    raw_id: bytes
    type: str
    client_data: bytes
    attestation_object: bytes
    transports: tuple[str, ...] = ()


@frozen(kw_only=True)
class AssertionAnswer:
    """A browser's answer to request options (`AuthenticationResponseJSON`), with bytes decoded."""

    id: bytes
    raw_id: bytes
    type: str
    client_data: bytes
    authenticator_data: bytes
    signature: bytes
    user_handle: bytes | None = None


@frozen(kw_only=True)
class ClientData:
    """The browser's statement about the page that asked (WebAuthn Level 3 §5.8.1).

    Args:
        type, origin, cross_origin: as sent; any JSON value, False for an absent `crossOrigin`.
        challenge: decoded from base64url.
        has_top_origin: True if it names the origin of a page around the frame that asked.
    """

    type: object
    challenge: bytes
    origin: object
    cross_origin: object
    has_top_origin: bool


@frozen(kw_only=True)
class AuthenticatorReport:
    """The authenticator's statement (WebAuthn Level 3 §6.1).

    Args:
        is_backup_eligible: True if the passkey can be synced to other devices.
        is_backed_up: True if it is synced now.
        sign_count: the signature counter; 0 if the authenticator has none.
    """

    # No secret; but no dataclass prints a field with the name of one.
    rp_id_hash: bytes = field(repr=False)
    is_user_present: bool
    is_user_verified: bool
    is_backup_eligible: bool
    is_backed_up: bool
    sign_count: int


@frozen(kw_only=True)
class Attestation:
    """A new credential as an attestation object holds it (WebAuthn Level 3 §6.5).

    Args:
        key: the COSE key, by the labels of RFC 9052 §7.
        has_statement: True if the attestation statement is not empty.
    """

    report: AuthenticatorReport
    credential_id: bytes
    aaguid: UUID
    key: Mapping[Any, Any]
    format: object
    has_statement: bool

    @property
    def algorithm(self) -> Any:
        """The COSE algorithm of the key (RFC 9052 §7.1); None if the key names none."""
        return self.key.get(3)


@frozen()
class RelyingParty:
    """The service as passkeys know it.

    Args:
        id: the RP ID, a domain.
        origins: the exact origins of pages and apps that may use its passkeys.
    """

    id: str
    origins: Collection[str]


@frozen(kw_only=True)
class RegisteredPasskey:
    """A passkey of an account, as far as an assertion is compared with it.

    Args:
        public_key: a COSE key in CBOR.
        is_flagged: True once its counter fell back, until its owner clears it.
    """

    id: UUID
    user_id: UUID
    public_key: bytes
    rp_id: str
    is_backup_eligible: bool
    is_flagged: bool
