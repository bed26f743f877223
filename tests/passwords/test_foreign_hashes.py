"""Hashes of other systems: one that is accepted verifies, and none costs too much."""

import hashlib
import hmac
import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from hashlib import pbkdf2_hmac, scrypt
from pathlib import Path

import argon2.low_level
import bcrypt
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from authserve.passwords import foreign_hashes
from authserve.passwords.foreign_hashes import FLASK_SECURITY_PREFIX, UnusableHashError, parse_hash
from authserve.passwords.foreign_hashes.argon2 import MAX_LANES
from authserve.passwords.foreign_hashes.model import encode_base64
from authserve.passwords.foreign_hashes.pbkdf2 import MAX_ITERATIONS

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/password_hashes.json").read_text())

REAL = {name: (VECTORS["password"], raw) for name, raw in VECTORS["hashes"].items()} | {
    name: (vector["password"], vector["hash"]) for name, vector in VECTORS["others"].items()
}
SALT_OF_FLASK_SECURITY = VECTORS["flask_security"]["salt"]


@pytest.mark.parametrize("name", REAL)
def test_it_verifies_a_real_hash_and_its_stored_form(name: str) -> None:
    password, raw = REAL[name]
    parsed = parse_hash(raw)
    assert parsed.check(password.encode())
    assert not parsed.check(b"another password")

    again = parse_hash(parsed.stored)

    assert again.stored == parsed.stored
    assert again.check(password.encode())


@pytest.mark.parametrize("scheme", VECTORS["flask_security"]["hashes"])
def test_flask_security_needs_its_salt(scheme: str) -> None:
    raw = FLASK_SECURITY_PREFIX + VECTORS["flask_security"]["hashes"][scheme]
    password = VECTORS["flask_security"]["password"].encode()
    parsed = parse_hash(raw, flask_security_salt=SALT_OF_FLASK_SECURITY)
    assert parsed.check(password)
    assert not parse_hash(raw, flask_security_salt="another").check(password)
    with pytest.raises(UnusableHashError, match="FLASK_SECURITY_SALT"):
        parse_hash(parsed.stored)


def test_firebases_signer_key_is_not_stored() -> None:
    raw = VECTORS["others"]["supabase firebase scrypt"]["hash"]
    signer_key = raw.partition("sk=")[2].partition("$")[0].rstrip("=")
    assert signer_key in raw
    assert signer_key not in parse_hash(raw).stored


EXPENSIVE = [
    "$argon2id$v=19$m=131073,t=1,p=1$c2FsdHNhbHRzYWx0$dGFndGFndGFndGFndGFndGFn",
    "$argon2id$v=19$m=65536,t=9,p=1$c2FsdHNhbHRzYWx0$dGFndGFndGFndGFndGFndGFn",
    "$argon2id$v=19$m=65536,t=1,p=17$c2FsdHNhbHRzYWx0$dGFndGFndGFndGFndGFndGFn",
    "$argon2id$v=19$m=65536,t=1,p=4000$c2FsdHNhbHRzYWx0$dGFndGFndGFndGFndGFndGFn",
    "$2b$14$" + "a" * 53,
    "$bcrypt-sha256$v=2,t=2b,r=14$" + "a" * 21 + "e$" + "a" * 31,
    "pbkdf2_sha256$2000001$salt$" + "dGFn" * 8,
    "pbkdf2:sha512:1000001$salt$" + "ab" * 64,
    "scrypt:262144:8:1$salt$" + "ab" * 64,
    "scrypt$65536$salt$16$2$" + "A" * 88,
    "$scrypt$ln=999999999,r=999999999,p=1$c2FsdA$" + "A" * 43,
    "$fbscrypt$v=1,n=20,r=8,p=1,sk=" + "A" * 43 + "$c2FsdA$" + "A" * 43,
    "$6$rounds=1000001$salt$" + "a" * 85 + "/",
    "$P$I" + "a" * 29 + "/",
    "AQAAAAEAHoSBAAAAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==",
]


@pytest.mark.parametrize("raw", EXPENSIVE)
def test_it_refuses_what_costs_too_much(raw: str) -> None:
    with pytest.raises(UnusableHashError, match="costs more"):
        parse_hash(raw)


ARGON2_TAIL = "$c2FsdHNhbHRzYWx0$dGFndGFndGFndGFndGFndGFn"
SCRYPT_TAIL = "$c2FsdA$" + "A" * 43
PHPASS_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


BOUNDS: dict[str, tuple[Callable[[int], str], int, int]] = {
    "argon2 memory": (lambda n: f"$argon2id$v=19$m={n},t=1,p=1{ARGON2_TAIL}", 8, 131_072),
    "argon2 passes": (lambda n: f"$argon2id$v=19$m=65536,t={n},p=1{ARGON2_TAIL}", 1, 8),
    "argon2 lanes": (lambda n: f"$argon2id$v=19$m=65536,t=1,p={n}{ARGON2_TAIL}", 1, 16),
    "scrypt ln": (lambda n: f"$scrypt$ln={n},r=8,p=1{SCRYPT_TAIL}", 1, 17),
    "scrypt r": (lambda n: f"$scrypt$ln=14,r={n},p=1{SCRYPT_TAIL}", 1, 64),
    "scrypt p": (lambda n: f"$scrypt$ln=14,r=8,p={n}{SCRYPT_TAIL}", 1, 8),
    "firebase p": (lambda n: f"$firebase-scrypt$ln=14,r=8,p={n}{SCRYPT_TAIL}", 1, 8),
    "pbkdf2 sha1": (lambda n: f"pbkdf2:sha1:{n}$salt$" + "ab" * 20, 1, 2_000_000),
    "pbkdf2 sha256": (lambda n: f"pbkdf2:sha256:{n}$salt$" + "ab" * 32, 1, 2_000_000),
    "pbkdf2 sha512": (lambda n: f"pbkdf2:sha512:{n}$salt$" + "ab" * 64, 1, 1_000_000),
    "bcrypt cost": (lambda n: f"$2b${n:02}$" + "a" * 53, 4, 13),
    "sha-crypt rounds": (lambda n: f"$6$rounds={n}$salt$" + "a" * 85 + "/", 1_000, 1_000_000),
    "phpass rounds": (lambda n: f"$P${PHPASS_ALPHABET[n]}" + "a" * 29 + "/", 7, 19),
}
"""For each parameter a hash with it, the lowest value that is accepted, and the highest."""


@pytest.mark.parametrize("name", BOUNDS)
def test_a_parameter_is_accepted_up_to_its_bounds(name: str) -> None:
    make, lowest, highest = BOUNDS[name]
    assert parse_hash(make(lowest)).stored
    assert parse_hash(make(highest)).stored
    with pytest.raises(UnusableHashError, match="damaged"):
        parse_hash(make(lowest - 1))
    with pytest.raises(UnusableHashError, match="costs more"):
        parse_hash(make(highest + 1))


def test_scrypt_of_one_block_has_fewer_than_16_bits_of_cost() -> None:
    """RFC 7914 §2: N is below 2 to the power of 16 times r."""
    assert parse_hash(f"$scrypt$ln=15,r=1,p=1{SCRYPT_TAIL}").stored
    with pytest.raises(UnusableHashError, match="damaged"):
        parse_hash(f"$scrypt$ln=16,r=1,p=1{SCRYPT_TAIL}")


LENGTHS: dict[str, tuple[Callable[[bytes], str], int]] = {
    "argon2 tag": (lambda b: f"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ${encode_base64(b)}", 16),
    "argon2 salt": (lambda b: f"$argon2id$v=19$m=8,t=1,p=1${encode_base64(b)}$" + "A" * 43, 8),
    "scrypt tag": (lambda b: f"$scrypt$ln=1,r=8,p=1$c2FsdA${encode_base64(b)}", 32),
    "pbkdf2 tag": (lambda b: f"$pbkdf2-sha256$1$c2FsdA${encode_base64(b)}", 16),
    "firebase tag": (lambda b: f"$firebase-scrypt$ln=1,r=8,p=1$c2FsdA${encode_base64(b)}", 16),
}
"""For each part a hash with it, and the fewest bytes that are accepted."""


@pytest.mark.parametrize("name", LENGTHS)
def test_a_part_is_accepted_from_its_fewest_bytes(name: str) -> None:
    make, fewest = LENGTHS[name]
    assert parse_hash(make(b"x" * fewest)).stored
    with pytest.raises(UnusableHashError, match="damaged"):
        parse_hash(make(b"x" * (fewest - 1)))


DAMAGED = [
    "",
    "A",
    "\ud800",
    "5f4dcc3b5aa765d61d8327deb882cf99",
    "plain text",
    "sha1$$5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
    "sha1$salt$5baa61e4",
    "sha256$s\ud800$" + "ab" * 32,
    "scrypt:1000:8:1$salt$" + "ab" * 64,
    "scrypt:0:8:1$salt$" + "ab" * 64,
    "scrypt:1024:8:1$salt$abc",
    "$scrypt$ln=16,r=1,p=1$c2FsdA$" + "A" * 43,
    "pbkdf2:sha256:1000$salt$abc",
    "pbkdf2:sha256$salt$" + "ab" * 32,
    "pbkdf2_sha256$0$salt$" + "dGFn" * 8,
    "pbkdf2_sha256$1000$salt$dGFn",
    "$pbkdf2-sha256$1000$$" + "dGFn" * 8,
    "$2b$03$" + "a" * 53,
    "$2b$12$tooshort",
    "$argon2id$v=19$m=1024,t=1,p=1$x",
    "$argon2id$v=18$m=1024,t=1,p=1$c2FsdHNhbHRzYWx0$dGFndGFndGFndGFndGFndGFn",
    "$argon2id$v=19$m=1024,t=0,p=1$c2FsdHNhbHRzYWx0$dGFndGFndGFndGFndGFndGFn",
    "$argon2id$v=19$m=8,t=1,p=2$c2FsdHNhbHRzYWx0$dGFndGFndGFndGFndGFndGFn",
    "$argon2id$v=19$m=1024,t=1,p=1$c2FsdHNhbHRzYWx0$dGFndGFndGFndGFndGFndGFn=",
    "$5$salt$" + "z" * 43,
    "$6$rounds=999$salt$" + "a" * 85 + "/",
    "AQAAAAEAACcQAAAAEAAB",
    "AQAAAAMAACcQAAAAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==",
    "AgAAAAEAACcQAAAAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==",
    FLASK_SECURITY_PREFIX + "plain text",
    FLASK_SECURITY_PREFIX * 2 + VECTORS["hashes"]["bcrypt"],
    "pbkdf2:sha256:1000$" + "s" * 300 + "$" + "ab" * 32,
]


@pytest.mark.parametrize("raw", DAMAGED)
def test_it_refuses_other_and_damaged_formats(raw: str) -> None:
    with pytest.raises(UnusableHashError) as caught:
        parse_hash(raw, flask_security_salt="salt")
    assert len(raw) < 20 or raw[-20:] not in caught.value.reason


QUICK = sorted(REAL.keys() - {"django argon2 defaults", "wordpress 6.8"})


@pytest.mark.parametrize("name", QUICK)
@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much],
)
@given(data=st.data())
def test_a_changed_hash_is_refused_or_can_be_verified(name: str, data: st.DataObject) -> None:
    password, raw = REAL[name]
    place = data.draw(st.integers(0, len(raw) - 1))
    text = data.draw(st.text(st.sampled_from("$=,:+./0159AZaz-_é"), max_size=2))
    changed = raw[:place] + text + raw[place + data.draw(st.integers(0, 2)) :]
    try:
        parsed = parse_hash(changed)
    except UnusableHashError:
        return
    # Only parameters that stay cheap are computed; that others are affordable is tested above.
    assume(_parameters(parsed.stored) == _parameters(parse_hash(raw).stored))
    assert parse_hash(parsed.stored).stored == parsed.stored
    assert parsed.check(password.encode()) in (True, False)


def _parameters(stored: str) -> str:
    """Everything but the last two parts, which are salt and tag."""
    return stored[:7] if stored[:2] in ("$2", "$w", "$P", "$H") else stored.rsplit("$", 2)[0]


CASES = settings(max_examples=25, deadline=None, derandomize=True)
PASSWORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=100).map(str.encode)
SALTS = st.binary(min_size=1, max_size=24)


@CASES
@given(
    password=PASSWORDS,
    salt=SALTS,
    digest=st.sampled_from(sorted(MAX_ITERATIONS)),
    size=st.integers(16, 100),
    rounds=st.integers(1, 50),
)
def test_pbkdf2_verifies_keys_of_any_length(
    password: bytes, salt: bytes, digest: str, size: int, rounds: int
) -> None:
    key = pbkdf2_hmac(digest, password, salt, rounds, size)
    raw = f"$pbkdf2-{digest}${rounds}${encode_base64(salt)}${encode_base64(key)}"
    assert parse_hash(raw).check(password)
    assert not parse_hash(raw).check(password + b"x")


@CASES
@given(
    password=PASSWORDS,
    salt=st.binary(min_size=8, max_size=24),
    kind=st.sampled_from(["id", "i", "d"]),
    version=st.sampled_from([16, 19]),
    size=st.integers(16, 64),
    lanes=st.integers(1, MAX_LANES),
)
def test_argon2_verifies_all_kinds(
    password: bytes, salt: bytes, kind: str, version: int, size: int, lanes: int
) -> None:
    of_kind = argon2.low_level.Type[kind.upper()]
    tag = argon2.low_level.hash_secret_raw(
        password, salt, 1, 8 * lanes, lanes, size, of_kind, version
    )
    parameters = f"v={version}$m={8 * lanes},t=1,p={lanes}"
    raw = f"$argon2{kind}${parameters}${encode_base64(salt)}${encode_base64(tag)}"
    assert parse_hash(raw).check(password)
    assert not parse_hash(raw).check(password + b"x")


@CASES
@given(
    password=PASSWORDS,
    salt=SALTS,
    log_n=st.integers(1, 10),
    r=st.integers(1, 8),
    p=st.integers(1, 3),
)
def test_scrypt_verifies_all_parameters(
    password: bytes, salt: bytes, log_n: int, r: int, p: int
) -> None:
    assume(log_n < 16 * r)
    tag = scrypt(password, salt=salt, n=2**log_n, r=r, p=p, dklen=64)
    raw = f"$scrypt$ln={log_n},r={r},p={p}${encode_base64(salt)}${encode_base64(tag)}"
    assert parse_hash(raw).check(password)
    assert not parse_hash(raw).check(password + b"x")


@pytest.mark.parametrize("salt_end", "ef")
@pytest.mark.parametrize("tag_end", range(4))
def test_bcrypt_ignores_bits_that_belong_to_nothing(salt_end: str, tag_end: int) -> None:
    alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    made = bcrypt.hashpw(b"a password", b"$2b$04$" + b"a" * 21 + b"e").decode()
    last = alphabet[alphabet.index(made[-1]) + tag_end]
    raw = made[:28] + salt_end + made[29:-1] + last
    assert parse_hash(raw).check(b"a password")
    assert parse_hash(raw).stored == made


def test_a_nul_matches_no_crypt_hash() -> None:
    for name in ("bcrypt", "sha512-crypt", "sha256-crypt"):
        assert not parse_hash(VECTORS["hashes"][name]).check(VECTORS["password"].encode() + b"\0")


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256", "sha512"])
def test_a_salted_digest_is_werkzeugs_or_djangos(name: str) -> None:
    of_werkzeug = hmac.new(b"salt", b"a password", name).hexdigest()
    of_django = hashlib.new(name, b"salta password").hexdigest()
    for tag in (of_werkzeug, of_django):
        assert parse_hash(f"{name}$salt${tag}").check(b"a password")
        assert not parse_hash(f"{name}$salt${tag}").check(b"another")


def test_codecs_are_loaded_at_the_first_hash_of_their_kind() -> None:
    program = f"""
import sys
from authserve.passwords.foreign_hashes import parse_hash
import authserve.passwords.hasher
libraries = ("bcrypt", "passlib.context", "passlib.handlers.bcrypt", "passlib.handlers.sha2_crypt")
codecs = [name for name in sys.modules if "foreign_hashes." in name]
print([name for name in libraries if name in sys.modules], codecs)
parse_hash({VECTORS["hashes"]["bcrypt"]!r})
print([name for name in sys.modules if "foreign_hashes." in name])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    package = foreign_hashes.__name__
    before, after = done.stdout.decode().splitlines()
    assert before == f"[] ['{package}.model']"
    assert after == f"['{package}.model', '{package}.bcrypt']"


def test_every_prefix_has_a_codec() -> None:
    for raw in ("$2b$", "$argon2", "$P$", "$5$", "sha1$", "A", "$fbscrypt$", "$scrypt$", "$pbkdf2"):
        with pytest.raises(UnusableHashError):
            parse_hash(raw)


def test_keycloaks_key_of_64_bytes_is_taken() -> None:
    salt, key = (
        b"0123456789abcdef",
        pbkdf2_hmac("sha256", b"a password", b"0123456789abcdef", 9, 64),
    )
    raw = f"$pbkdf2-sha256$9${b64encode(salt).decode()}${b64encode(key).decode()}".replace("=", "")
    assert parse_hash(raw).check(b"a password")
