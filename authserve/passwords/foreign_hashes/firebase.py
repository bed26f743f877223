"""Firebase's scrypt (github.com/firebase/scrypt), with the parameters of a project.

Firebase encrypts the project's signer key by AES-CTR with a key that scrypt derives from the
password. Counter mode XORs a key stream, so hash XOR signer key is that key stream. The database
stores the key stream, and never the signer key.
"""

import re

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from authserve.core.crypto import is_equal
from authserve.passwords.foreign_hashes.model import (
    MIN_TAG_BYTES,
    NUMBER,
    ForeignHash,
    UnusableHashError,
    codec,
    decode_base64,
    encode_base64,
    require_undamaged,
)
from authserve.passwords.foreign_hashes.scrypt import derive_scrypt, require_scrypt_parameters


def _fbscrypt(match: re.Match[str]) -> ForeignHash:
    """Accept Supabase's form, which includes the project's parameters."""
    salt, separator = decode_base64(match["salt"]), decode_base64(match["separator"] or "")
    signer_key, tag = decode_base64(match["signer_key"]), decode_base64(match["tag"])
    require_undamaged(len(signer_key) == len(tag))
    key_stream = bytes(a ^ b for a, b in zip(signer_key, tag, strict=True))
    return _make(match, salt + separator, key_stream)


def _incomplete(_match: re.Match[str]) -> ForeignHash:
    raise UnusableHashError("needs the hash parameters of the Firebase project")


def _stored(match: re.Match[str]) -> ForeignHash:
    return _make(match, decode_base64(match["salt"]), decode_base64(match["tag"]))


def _make(match: re.Match[str], salt: bytes, key_stream: bytes) -> ForeignHash:
    log_n, r, p = (int(match[name]) for name in "nrp")
    require_scrypt_parameters(log_n=log_n, r=r, p=p)
    require_undamaged(len(salt) >= 1 and len(key_stream) >= MIN_TAG_BYTES)

    def check(secret: bytes) -> bool:
        key = derive_scrypt(secret, salt, log_n=log_n, r=r, p=p)
        encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
        return is_equal(encryptor.update(bytes(len(key_stream))), key_stream)

    parameters = f"ln={log_n},r={r},p={p}"
    stored = f"$firebase-scrypt${parameters}${encode_base64(salt)}${encode_base64(key_stream)}"
    return ForeignHash(stored=stored, check=check)


_N, _R, _P = (rf"(?P<{name}>{NUMBER})" for name in "nrp")
_BASE64 = r"[A-Za-z0-9+/_-]+=*"

_FBSCRYPT = (
    rf"\$fbscrypt\$v=1,n={_N},r={_R},p={_P}(?:,ss=(?P<separator>{_BASE64}))?"
    rf",sk=(?P<signer_key>{_BASE64})\$(?P<salt>{_BASE64})\$(?P<tag>{_BASE64})"
)
_STORED = rf"\$firebase-scrypt\$ln={_N},r={_R},p={_P}\$(?P<salt>{_BASE64})\$(?P<tag>{_BASE64})"

_INCOMPLETE = rf"\$fbscrypt\$\$(?:{_BASE64})?\${_BASE64}"
"""The form without the parameters of the project."""

parse = codec([(_FBSCRYPT, _fbscrypt), (_STORED, _stored), (_INCOMPLETE, _incomplete)])
