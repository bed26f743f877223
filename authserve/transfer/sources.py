"""The systems that accounts come from, and their names for our fields.

A source converts one record of its file (a JSON object, or a CSV row by its header) to the
fields of `transfer.policy.FIELDS`. Values are checked later (`transfer.schemas`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authserve.passwords.foreign_hashes import FLASK_SECURITY_PREFIX
from authserve.transfer.columns import (
    Convert,
    FirebaseConfig,
    Record,
    inactive_if,
    inactive_until,
    join_names,
    of_columns,
    parse_object,
    then,
)
from authserve.transfer.firebase import convert_firebase
from authserve.transfer.keycloak import convert_keycloak
from authserve.transfer.policy import id_of_source


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A format of files.

    Args:
        name: the name on the command line (`--format`).
        convert: converts a record to our fields.
        is_json, is_csv: the kinds of file that the source may have.
        wrapper: the member of the file's JSON object that holds the accounts; empty if the file
            has no such object.
    """

    name: str
    convert: Convert
    is_json: bool = True
    is_csv: bool = True
    wrapper: str = ""


def _as_it_is(record: Any, _config: FirebaseConfig | None) -> Any:
    return record


# CSV


def _from_csv(record: Record, _config: FirebaseConfig | None) -> dict[str, Any]:
    values = dict(record)
    if "roles" in values:
        values["roles"] = values["roles"].replace(",", " ").replace(";", " ").split()
    if "id" not in values and (user_id := id_of_source(values.get("source_id", ""))):
        values["id"] = user_id
    return values


# Django


def _from_django(record: Any, config: FirebaseConfig | None) -> dict[str, Any]:
    """Convert a line of `dumpdata`, or a row of the table `auth_user`."""
    key, fields = record.get("pk"), record
    if "fields" in record:
        fields = {"id": key, **record["fields"]}
    values: dict[str, Any] = _DJANGO(fields, config)
    values["display_name"] = join_names(fields.get("first_name"), fields.get("last_name"))
    return values


_DJANGO = of_columns(
    {
        "source_id": "id",
        "email": "email",
        "username": "username",
        "password_hash": "password",
        "is_active": "is_active",
        "created_at": "date_joined",
        "last_login_at": "last_login",
    }
)


# Flask-Security


def _hmac_first(_record: Record, values: dict[str, Any]) -> None:
    """Mark hashes that Flask-Security made from an HMAC: all except those in Django's forms."""
    raw = values.get("password_hash")
    if raw and not re.match(r"argon2\$|bcrypt\$|bcrypt_sha256\$|pbkdf2_|md5\$|sha1\$", raw):
        values["password_hash"] = FLASK_SECURITY_PREFIX + raw


# Supabase


def _metadata_name(record: Record, values: dict[str, Any]) -> None:
    data = parse_object(record.get("raw_user_meta_data"))
    values["display_name"] = data.get("full_name") or data.get("name")


# Auth0


def _auth0_details(record: Record, values: dict[str, Any]) -> None:
    key = record.get("_id")
    if values["source_id"] is None and key is not None:
        values["source_id"] = str(key["$oid"] if isinstance(key, dict) else key)
    if values["password_hash"] is None:
        values["password_hash"] = parse_object(
            parse_object(record.get("custom_password_hash")).get("hash")
        ).get("value")
    if values["display_name"] == values["email"]:
        values["display_name"] = None  # Auth0's default.


SOURCES: Mapping[str, Source] = {
    source.name: source
    for source in (
        Source(name="authserve", convert=_as_it_is, is_csv=False),
        Source(name="csv", convert=_from_csv, is_json=False),
        Source(
            name="aspnet",
            convert=then(
                of_columns(
                    {
                        "source_id": "id",
                        "email": "email",
                        "username": "username",
                        "password_hash": "passwordhash",
                        "email_verified": "emailconfirmed",
                    }
                ),
                inactive_until("lockoutend", "lockoutenddateutc"),
            ),
        ),
        Source(
            name="auth0",
            convert=then(
                of_columns(
                    {
                        "source_id": "user_id",
                        "email": "email",
                        "username": "username",
                        "display_name": "name",
                        "password_hash": "passwordhash password_hash",
                        "email_verified": "email_verified",
                        "created_at": "created_at",
                        "last_login_at": "last_login",
                    }
                ),
                _auth0_details,
                inactive_if("blocked"),
            ),
        ),
        Source(name="django", convert=_from_django),
        Source(name="firebase", convert=convert_firebase, is_csv=False, wrapper="users"),
        Source(
            name="flask-security",
            convert=then(
                of_columns(
                    {
                        "source_id": "id",
                        "email": "email",
                        "username": "username",
                        "password_hash": "password",
                        "email_verified": "confirmed_at",
                        "is_active": "active",
                        "created_at": "create_datetime",
                        "last_login_at": "current_login_at last_login_at",
                    }
                ),
                _hmac_first,
            ),
        ),
        Source(name="keycloak", convert=convert_keycloak, is_csv=False, wrapper="users"),
        Source(
            name="laravel",
            convert=then(
                of_columns(
                    {
                        "source_id": "id",
                        "email": "email",
                        "username": "username",
                        "display_name": "name",
                        "password_hash": "password",
                        "email_verified": "email_verified_at",
                        "created_at": "created_at",
                    }
                ),
                inactive_if("deleted_at"),
            ),
        ),
        Source(
            name="supabase",
            convert=then(
                of_columns(
                    {
                        "source_id": "id",
                        "email": "email",
                        "password_hash": "encrypted_password",
                        "email_verified": "email_confirmed_at confirmed_at",
                        "created_at": "created_at",
                        "last_login_at": "last_sign_in_at",
                    }
                ),
                _metadata_name,
                inactive_if("deleted_at"),
                inactive_until("banned_until"),
            ),
        ),
        Source(
            name="wordpress",
            convert=of_columns(
                {
                    "source_id": "id",
                    "email": "user_email",
                    "username": "user_login",
                    "display_name": "display_name",
                    "password_hash": "user_pass",
                    "created_at": "user_registered",
                }
            ),
        ),
    )
}
"""Every format of `--format`, by name."""
