"""Password hashes of other systems: which are taken, in which form, at what cost.

A hash is taken as it is, since only its owner's next sign-in can replace it. Until then every
attempt pays what it costs, so what would take more than a second or 64 MiB is refused.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from math import log2

from passlib.utils.binary import ab64_encode

from authserve.transfer.errors import UnusableRowError

MAX_HASH_LENGTH = 255
"""What the column holds; the formats taken are all shorter."""

MAX_MEMORY_KIB = 64 * 1024
MAX_ARGON2_WORK = 8 * MAX_MEMORY_KIB
MAX_BCRYPT_COST = 13
MAX_SCRYPT_WORK = 2**20
MAX_SHA_CRYPT_ROUNDS = 1_000_000
MAX_PBKDF2_ITERATIONS = {"sha1": 2_000_000, "sha256": 2_000_000, "sha512": 1_000_000}
"""About half a second each where they were measured (one core of a small server), so that a
second is not reached on slower ones."""

SCRYPT_TAG_BYTES = 32
"""scrypt ends in PBKDF2 (RFC 7914 §2), whose first bytes do not depend on how many are asked for;
so the first 32 of Werkzeug's and Django's 64 are the tag of the form that is verified here."""


def usable_hash(raw: str | None) -> str | None:
    """The form in which a foreign hash is stored and verified.

    Args:
        raw: as the other system wrote it: PHC strings, Django, Werkzeug, crypt.

    Returns:
        None for an account without a usable password (Django's `!`).

    Raises:
        UnusableRowError: a format that is not taken, a damaged hash, or one that costs too much.
    """
    if raw is None or raw == "" or raw.startswith("!"):
        return None
    for pattern, convert in _FORMATS:
        match = pattern.fullmatch(raw)
        if match is not None:
            return _convert(convert, match)
    raise UnusableRowError("password_hash: not in a format that is taken")


def _convert(convert: Callable[[re.Match[str]], str], match: re.Match[str]) -> str:
    try:
        converted = convert(match)
    except ValueError as error:
        raise UnusableRowError("password_hash: damaged") from error
    if len(converted) > MAX_HASH_LENGTH:
        raise UnusableRowError("password_hash: too long")
    return converted


def _require(is_bearable: bool) -> None:
    if not is_bearable:
        raise UnusableRowError("password_hash: costs more than a second or 64 MiB to check")


def _argon2(match: re.Match[str]) -> str:
    memory_kib, rounds = int(match["m"]), int(match["t"])
    _require(memory_kib <= MAX_MEMORY_KIB and memory_kib * rounds <= MAX_ARGON2_WORK)
    return match["phc"]


def _bcrypt(match: re.Match[str]) -> str:
    _require(int(match["cost"]) <= MAX_BCRYPT_COST)
    return match["hash"]


def _django_bcrypt_sha256(match: re.Match[str]) -> str:
    _require(int(match["cost"]) <= MAX_BCRYPT_COST)
    return match[0]


def _pbkdf2(match: re.Match[str]) -> str:
    _require(int(match["iterations"]) <= MAX_PBKDF2_ITERATIONS[match["digest"]])
    return match[0]


def _werkzeug_pbkdf2(match: re.Match[str]) -> str:
    digest, iterations = match["digest"], int(match["iterations"] or 1_000_000)
    _require(iterations <= MAX_PBKDF2_ITERATIONS[digest])
    salt = ab64_encode(match["salt"].encode()).decode()
    tag = ab64_encode(bytes.fromhex(match["tag"])).decode()
    return f"$pbkdf2-{digest}${iterations}${salt}${tag}"


def _werkzeug_scrypt(match: re.Match[str]) -> str:
    return _scrypt(match, bytes.fromhex(match["tag"]))


def _django_scrypt(match: re.Match[str]) -> str:
    # Python's own decoder passes over what is not in the alphabet; a damaged tag must not pass.
    return _scrypt(match, b64decode(match["tag"], validate=True))


def _scrypt(match: re.Match[str], tag: bytes) -> str:
    n, r, p = int(match["n"]), int(match["r"]), int(match["p"])
    if n < 2 or n & (n - 1) or len(tag) < SCRYPT_TAG_BYTES:
        raise ValueError("not scrypt")
    _require(128 * n * r <= MAX_MEMORY_KIB * 1024 and n * r * p <= MAX_SCRYPT_WORK)
    salt = _unpadded(match["salt"].encode())
    return f"$scrypt$ln={int(log2(n))},r={r},p={p}${salt}${_unpadded(tag[:SCRYPT_TAG_BYTES])}"


def _passlib_scrypt(match: re.Match[str]) -> str:
    n, r, p = 2 ** int(match["ln"]), int(match["r"]), int(match["p"])
    _require(128 * n * r <= MAX_MEMORY_KIB * 1024 and n * r * p <= MAX_SCRYPT_WORK)
    return match[0]


def _sha_crypt(match: re.Match[str]) -> str:
    _require(int(match["rounds"] or 5000) <= MAX_SHA_CRYPT_ROUNDS)
    return match[0]


def _unpadded(raw: bytes) -> str:
    return b64encode(raw).decode().rstrip("=")


_B64 = r"[A-Za-z0-9+/]+"
_CRYPT = r"[A-Za-z0-9./]"
_NUMBER = r"[0-9]{1,9}"

_ARGON2 = (
    rf"(?:argon2)?(?P<phc>\$argon2(?:id|i|d)\$v=19\$m=(?P<m>{_NUMBER}),t=(?P<t>{_NUMBER}),"
    rf"p={_NUMBER}\${_B64}\${_B64})"
)
"""A PHC string; Django puts its own name in front."""

_BCRYPT = rf"(?P<hash>\$2[aby]\$(?P<cost>[0-9]{{2}})\${_CRYPT}{{53}})"

_DJANGO_PBKDF2 = rf"pbkdf2_(?P<digest>sha1|sha256)\$(?P<iterations>{_NUMBER})\$[^$]+\${_B64}=*"

_PASSLIB_PBKDF2 = (
    rf"\$pbkdf2-(?P<digest>sha256|sha512)\$(?P<iterations>{_NUMBER})\${_CRYPT}*\${_CRYPT}+"
)

_WERKZEUG_PBKDF2 = (
    rf"pbkdf2:(?P<digest>sha256|sha512)(?::(?P<iterations>{_NUMBER}))?"
    r"\$(?P<salt>[^$]+)\$(?P<tag>[0-9a-f]+)"
)

_WERKZEUG_SCRYPT = (
    rf"scrypt:(?P<n>{_NUMBER}):(?P<r>{_NUMBER}):(?P<p>{_NUMBER})"
    r"\$(?P<salt>[^$]+)\$(?P<tag>[0-9a-f]+)"
)

_DJANGO_SCRYPT = (
    rf"scrypt\$(?P<n>{_NUMBER})\$(?P<salt>[^$]+)\$(?P<r>{_NUMBER})\$(?P<p>{_NUMBER})"
    rf"\$(?P<tag>{_B64}=*)"
)

_PASSLIB_SCRYPT = (
    rf"\$scrypt\$ln=(?P<ln>[0-9]{{1,2}}),r=(?P<r>{_NUMBER}),p=(?P<p>{_NUMBER})"
    rf"\${_B64}\${_B64}"
)

_SHA_CRYPT = rf"\$[56]\$(?:rounds=(?P<rounds>{_NUMBER})\$)?{_CRYPT}{{1,16}}\${_CRYPT}+"

_FORMATS = tuple(
    (re.compile(pattern), convert)
    for pattern, convert in (
        (_ARGON2, _argon2),
        (rf"(?:bcrypt\$)?{_BCRYPT}", _bcrypt),
        (rf"bcrypt_sha256\${_BCRYPT}", _django_bcrypt_sha256),
        (_DJANGO_PBKDF2, _pbkdf2),
        (_PASSLIB_PBKDF2, _pbkdf2),
        (_WERKZEUG_PBKDF2, _werkzeug_pbkdf2),
        (_WERKZEUG_SCRYPT, _werkzeug_scrypt),
        (_DJANGO_SCRYPT, _django_scrypt),
        (_PASSLIB_SCRYPT, _passlib_scrypt),
        (_SHA_CRYPT, _sha_crypt),
    )
)
"""Every format that is taken, and how it becomes one that `core.passwords` verifies."""
