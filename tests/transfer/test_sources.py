"""The systems that accounts come from: their own exports, row by row."""

import csv
import io
import json
from base64 import b64encode
from hashlib import pbkdf2_hmac
from typing import Any

import pytest

from authserve.passwords.foreign_hashes import parse_hash
from authserve.transfer.conversions import parse_firebase_config
from authserve.transfer.rows import Candidate, LoadOptions, UnusableRowError, load_row
from authserve.transfer.sources import ReadOptions, read_rows
from authserve.transfer.values import parse_time, parse_truth
from tests.passwords.test_foreign_hashes import REAL, VECTORS

UUID = "0190a1b2-0000-7000-8000-000000000001"


def load(record: Any, file_format: str, **options: Any) -> Candidate:
    """Read one record as its source's file, and load it."""
    return load_text(json.dumps([record]), file_format, **options)


def load_cells(record: dict[str, str], file_format: str, **options: Any) -> Candidate:
    text = io.StringIO()
    writer = csv.DictWriter(text, record)
    writer.writeheader()
    writer.writerow(record)
    return load_text(text.getvalue(), file_format, **options)


def load_text(
    text: str,
    file_format: str,
    *,
    salt: str = "",
    load: LoadOptions | None = None,
    **options: Any,
) -> Candidate:
    chosen = ReadOptions(file_format=file_format, **options)
    (row,) = read_rows(io.BytesIO(text.encode()), chosen, on_ignored=lambda _: None)
    assert row.fault is None, row.fault
    return load_row(row, load or LoadOptions(flask_security_salt=salt))


def verifies(row: Candidate, password: str, salt: str = "") -> bool:
    assert row.user.password_hash is not None
    return parse_hash(row.user.password_hash, flask_security_salt=salt).check(password.encode())


KEYCLOAK_KEY = pbkdf2_hmac("sha512", b"a password", b"0123456789abcdef", 210, 64)


@pytest.mark.parametrize(
    ("credential", "password"),
    [
        (VECTORS["keycloak"]["credential"], VECTORS["keycloak"]["password"]),
        (
            {
                "type": "password",
                "secretData": json.dumps(
                    {
                        "value": b64encode(KEYCLOAK_KEY).decode(),
                        "salt": b64encode(b"0123456789abcdef").decode(),
                    }
                ),
                "credentialData": '{"hashIterations":210,"algorithm":"pbkdf2-sha512"}',
            },
            "a password",
        ),
        (
            {
                "type": "password",
                "hashedSaltedValue": "JsfNbCOIdZUbyBJ+BT+VoGI91Ec2rWLOvkLPDaX8e9k=",
                "salt": "P5rtFkGtPfoaryJ6PizUJw==",
                "hashIterations": 27500,
                "algorithm": "pbkdf2-sha256",
            },
            "password",
        ),
    ],
    ids=["argon2", "pbkdf2 of 64 bytes", "before Keycloak 8"],
)
def test_keycloak(credential: dict[str, Any], password: str) -> None:
    user = {
        "id": UUID,
        "createdTimestamp": 1740654292335,
        "username": "ann",
        "enabled": False,
        "emailVerified": True,
        "firstName": "Ann",
        "lastName": "Onymous",
        "email": "ann@example.com",
        "credentials": [{"type": "otp"}, credential],
        "realmRoles": ["default-roles-x"],
    }
    row = load(user, "keycloak")
    assert (str(row.user.id), row.source_id) == (UUID, UUID)
    assert (row.user.username, row.user.display_name) == ("ann", "Ann Onymous")
    assert (row.user.is_active, row.user.email_verified, row.user.roles) == (False, True, ())
    assert row.user.created_at == parse_time("2025-02-27T11:04:52.335Z")
    assert verifies(row, password)


def test_keycloaks_username_may_be_the_address() -> None:
    row = load({"id": "1", "username": "ann@example.com"}, "keycloak")
    assert (row.user.email, row.user.username, row.user.id) == ("ann@example.com", None, None)


@pytest.mark.parametrize("form", [UUID.replace("-", ""), f"{{{UUID}}}", f"urn:uuid:{UUID}"])
def test_only_the_usual_form_of_a_uuid_becomes_the_id(form: str) -> None:
    row = load({"id": form, "username": "ann@example.com"}, "keycloak")
    assert (row.user.id, row.source_id) == (None, form)


SUPABASE = {
    "id": UUID,
    "email": "ann@example.com",
    "encrypted_password": VECTORS["hashes"]["bcrypt"],
    "email_confirmed_at": "2024-05-06 07:08:09.123456+00",
    "created_at": "2024-05-06 07:08:09.1234567+00",
    "last_sign_in_at": "",
    "raw_user_meta_data": '{"full_name": "Ann Onymous"}',
    "banned_until": "",
    "deleted_at": "",
}


def test_supabase() -> None:
    of_csv = load_cells(SUPABASE, "supabase")
    changed = {"raw_user_meta_data": {"name": "Ann"}, "deleted_at": None}
    of_json = load({**SUPABASE, **changed}, "supabase")
    assert str(of_csv.user.id) == UUID
    assert (of_csv.user.display_name, of_json.user.display_name) == ("Ann Onymous", "Ann")
    assert of_csv.user.email_verified
    assert of_csv.user.is_active
    assert verifies(of_csv, VECTORS["password"])
    assert not load_cells({**SUPABASE, "email_confirmed_at": ""}, "supabase").user.email_verified


@pytest.mark.parametrize(
    ("column", "text", "is_active"),
    [
        ("banned_until", "2999-01-01 00:00:00+00", False),
        ("banned_until", "2001-01-01 00:00:00+00", True),
        ("deleted_at", "2001-01-01 00:00:00+00", False),
    ],
)
def test_banned_users_of_supabase_are_inactive(column: str, text: str, is_active: bool) -> None:
    assert load_cells({**SUPABASE, column: text}, "supabase").user.is_active is is_active


def test_auth0() -> None:
    of_hashes = {
        "_id": {"$oid": "60425dc43519d90068f82973"},
        "email_verified": False,
        "email": "ann@example.com",
        "passwordHash": VECTORS["hashes"]["bcrypt"],
        "connection": "Username-Password-Authentication",
    }
    row = load(of_hashes, "auth0")
    assert (row.source_id, row.user.email_verified) == ("60425dc43519d90068f82973", False)
    assert verifies(row, VECTORS["password"])
    of_users = {
        "user_id": "auth0|60425dc43519d90068f82973",
        "email": "ann@example.com",
        "name": "ann@example.com",
        "blocked": True,
        "created_at": "2021-03-05T16:34:12.345Z",
        "custom_password_hash": {
            "algorithm": "bcrypt",
            "hash": {"value": VECTORS["hashes"]["bcrypt"]},
        },
    }
    row = load(of_users, "auth0")
    assert (row.user.display_name, row.user.is_active) == (None, False)
    assert verifies(row, VECTORS["password"])


FIREBASE = VECTORS["others"]["firebase, its signer key in the form of Supabase"]
URL_SAFE = str.maketrans("+/", "-_")
SIGNER_KEY = FIREBASE["hash"].partition("sk=")[2].partition("$")[0]
FIREBASE_CONFIG = f"""
hash_config {{
  algorithm: SCRYPT,
  base64_signer_key: {SIGNER_KEY},
  base64_salt_separator: Bw==,
  rounds: 8,
  mem_cost: 14,
}}
"""


def test_firebase() -> None:
    user = {
        "localId": "uid1",
        "email": "ann@example.com",
        "emailVerified": True,
        # Firebase's command line writes the URL-safe alphabet.
        "passwordHash": FIREBASE["hash"].rpartition("$")[2].translate(URL_SAFE),
        "salt": "42xEC-ixf3L2lw==",
        "createdAt": "1486324310000",
        "disabled": True,
    }
    config = parse_firebase_config(FIREBASE_CONFIG)
    row = load_text(json.dumps({"users": [user]}), "firebase", firebase=config)
    assert (row.source_id, row.user.is_active, row.user.email_verified) == ("uid1", False, True)
    assert verifies(row, FIREBASE["password"])
    assert SIGNER_KEY[:8] not in str(row.user.password_hash)


def test_firebase_takes_the_parameters_of_its_api() -> None:
    text = '{"signerKey": "abc=", "saltSeparator": "Bw==", "rounds": 8, "memoryCost": 14}'
    assert parse_firebase_config(text).mem_cost == 14


def test_firebase_without_parameters_is_refused_by_row() -> None:
    user = {"localId": "1", "email": "ann@example.com", "passwordHash": "lSrf", "salt": "42xE"}
    text = json.dumps({"users": [user]})
    with pytest.raises(UnusableRowError, match="needs the hash parameters"):
        load_text(text, "firebase")
    row = load_text(text, "firebase", load=LoadOptions(without_passwords=True))
    assert row.user.password_hash is None


@pytest.mark.parametrize("scheme", VECTORS["flask_security"]["hashes"])
def test_flask_security(scheme: str) -> None:
    vectors = VECTORS["flask_security"]
    record = {"id": "1", "email": "ann@example.com", "password": vectors["hashes"][scheme]}
    row = load_cells(record, "flask-security", salt=vectors["salt"])
    assert verifies(row, vectors["password"], vectors["salt"])


def test_flask_security_hashes_djangos_forms_once() -> None:
    raw = VECTORS["hashes"]["django pbkdf2"]
    row = load_cells({"email": "ann@example.com", "password": raw}, "flask-security")
    assert verifies(row, VECTORS["password"])


def test_django_also_as_a_table() -> None:
    record = {
        "id": "7",
        "password": VECTORS["hashes"]["django pbkdf2"],
        "username": "ann",
        "first_name": "Ann",
        "last_name": "",
        "email": "ann@example.com",
        "is_active": "f",
        "date_joined": "2020-01-02 03:04:05+00",
    }
    row = load_cells(record, "django")
    assert (row.source_id, row.user.display_name, row.user.is_active) == ("7", "Ann", False)
    assert verifies(row, VECTORS["password"])


def test_laravel() -> None:
    record = {
        "id": "7",
        "name": "Ann",
        "email": "ann@example.com",
        "email_verified_at": "2020-01-02 03:04:05",
        "password": "$2y" + VECTORS["hashes"]["bcrypt"][3:],
        "remember_token": "x",
        "created_at": "2020-01-02 03:04:05",
        "updated_at": "0000-00-00 00:00:00",
    }
    row = load_cells(record, "laravel")
    assert (row.source_id, row.user.email_verified) == ("7", True)
    assert verifies(row, VECTORS["password"])


@pytest.mark.parametrize("name", ["phpass", "wordpress 6.8"])
def test_wordpress(name: str) -> None:
    password, raw = REAL[name]
    record = {"ID": "7", "user_login": "ann", "user_pass": raw, "user_email": "ann@example.com"}
    row = load_cells(record, "wordpress")
    assert (row.source_id, row.user.username) == ("7", "ann")
    assert verifies(row, password)


@pytest.mark.parametrize(
    ("end", "is_active"),
    [
        ("", True),
        ("2001-01-01 00:00:00.0000000 +00:00", True),
        ("9999-12-31 00:00:00 +00:00", False),
    ],
)
def test_aspnet(end: str, is_active: bool) -> None:
    password, raw = REAL["aspnet identity v3 sha256"]
    record = {
        "Id": UUID.upper(),
        "UserName": "ann@example.com",
        "Email": "ann@example.com",
        "EmailConfirmed": "1",
        "PasswordHash": raw,
        "LockoutEnd": end,
    }
    row = load_cells(record, "aspnet")
    assert (str(row.user.id), row.user.username) == (UUID, None)
    assert (row.user.email_verified, row.user.is_active) == (True, is_active)
    assert verifies(row, password)


def test_a_record_of_another_shape_is_refused_alone() -> None:
    credential = {"type": "password", "secretData": "{"}
    text = json.dumps([7, {"id": "1", "email": "a@b.c", "credentials": [credential]}])
    rows = list(
        read_rows(
            io.BytesIO(text.encode()),
            ReadOptions(file_format="keycloak"),
            on_ignored=lambda _: None,
        )
    )
    assert [row.fault for row in rows] == ["not a row of keycloak"] * 2


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-23T06:49:48Z", "2026-11-23T06:49:48+00:00"),
        ("2026-11-23 06:49:48+00", "2026-11-23T06:49:48+00:00"),
        ("2026-11-23 06:49:48.1234567+0130", "2026-11-23T05:19:48.123456+00:00"),
        ("2026-11-23 06:49:48.5", "2026-11-23T06:49:48.500000+00:00"),
        ("2026-11-23 06:49:48 UTC", "2026-11-23T06:49:48+00:00"),
        ("2026-11-23 06:49:48 -02:00", "2026-11-23T08:49:48+00:00"),
        ("2026-11-23", "2026-11-23T00:00:00+00:00"),
    ],
)
def test_times_as_databases_print_them(text: str, utc: str) -> None:
    parsed = parse_time(text)
    assert parsed is not None
    assert parsed.isoformat() == utc


def test_mysqls_zero_is_no_time() -> None:
    assert parse_time("0000-00-00 00:00:00") is None
    assert not parse_truth("0000-00-00 00:00:00")


@pytest.mark.parametrize("text", ["", "now", "2026-13-01", "1700000000", "2026-11-23T06:49"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        (True, True),
        (0, False),
        ("t", True),
        (" FALSE ", False),
        ("yes", True),
        ("2020-01-02 03:04:05", True),
    ],
)
def test_truths_as_databases_print_them(value: object, truth: bool) -> None:
    assert parse_truth(value) is truth
