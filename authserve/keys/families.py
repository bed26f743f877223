"""The two families of signing keys: each has one algorithm and a table of its own.

The keys of `RS256` are in another table because a release before it loads every row of
`signing_keys` as a key for ES256, and may run beside this one.
"""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from authserve.core.frozen import frozen
from authserve.keys.models import AppSigningKey, SigningKey

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

KeyRow = SigningKey | AppSigningKey

RSA_BITS = 3_072
"""128-bit security, as P-256 has (NIST SP 800-57 part 1 table 2, ASVS 11.2.3). A key is made in 0.1
to 0.4 s (measured)."""

RSA_EXPONENT = 65_537
"""The least exponent that FIPS 186-5 §5.1 allows, and the usual one."""


@frozen(kw_only=True)
class KeyFamily:
    """The signing keys of one algorithm.

    Args:
        algorithm: the only one that its keys sign and verify with (RFC 7518 §3.1).
        table: the model of its rows.
        seal_purpose: names the key that its private keys are encrypted under.
        is_always_needed: True if every process makes the first key, so that there always is one.
        generate: returns a new private key.
    """

    algorithm: str
    table: type[KeyRow]
    seal_purpose: str
    is_always_needed: bool
    generate: Callable[[], PrivateKey]


def _generate_ec() -> PrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _generate_rsa() -> PrivateKey:
    return rsa.generate_private_key(RSA_EXPONENT, RSA_BITS)


ES256 = KeyFamily(
    algorithm="ES256",
    table=SigningKey,
    seal_purpose="signing-key",
    is_always_needed=True,
    generate=_generate_ec,
)
"""ECDSA on P-256 with SHA-256 (RFC 7518 §3.4): 128-bit security (ASVS 11.2.3), short tokens. All
access tokens are signed with it."""

RS256 = KeyFamily(
    algorithm="RS256",
    table=AppSigningKey,
    seal_purpose="app-signing-key",
    is_always_needed=False,
    generate=_generate_rsa,
)
"""RSA with SHA-256 (RFC 7518 §3.3), for ID tokens and logout tokens of apps that know no other. Its
first key is made with the first client that needs it."""

FAMILIES = (ES256, RS256)
