"""Conversion of other systems' records to the fields of a row.

A conversion gets one record (a JSON object, or a CSV row by its header) and returns values for the
fields of `rows.FIELDS`. Most are tables of column names; the others are functions.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from typing import Any

from authserve.core.clock import now, to_rfc3339
from authserve.core.frozen import frozen
from authserve.passwords.foreign_hashes import FLASK_SECURITY_PREFIX
from authserve.transfer.values import id_of_source, parse_time

Record = Mapping[str, Any]


@frozen(kw_only=True)
class FirebaseConfig:
    """The parameters of a Firebase project's password hashes."""

    signer_key: str = field(repr=False)
    salt_separator: str
    rounds: int
    mem_cost: int


Convert = Callable[[Any, FirebaseConfig | None], Any]


@frozen(kw_only=True)
class UserTable:
    """The columns of another system's users, in any letter case.

    Args:
        columns: for each of our fields, the source's column names, separated by spaces; the first
            column that is not null counts.
        inactive_if: an account is inactive if one of these columns holds a time or is true.
        inactive_until: an account is inactive while one of these times is in the future.
        adjust: a function that gets the record, with small letters in its keys, and changes the
            values.
    """

    columns: Mapping[str, str]
    inactive_if: Sequence[str] = ()
    inactive_until: Sequence[str] = ()
    adjust: Callable[[Record, dict[str, Any]], None] | None = None

    def convert(self, record: Record, _config: FirebaseConfig | None) -> dict[str, Any]:
        """Return the fields of a row."""
        lowered = {key.lower(): value for key, value in record.items()}
        values = with_identity(
            {ours: _first_of(lowered, theirs.split()) for ours, theirs in self.columns.items()}
        )
        if self.adjust is not None:
            self.adjust(lowered, values)
        if _is_any_true(lowered, self.inactive_if):
            values["is_active"] = False
        if _is_any_ahead(lowered, self.inactive_until):
            values["is_active"] = False
        return values


def _first_of(record: Record, names: Iterable[str]) -> Any:
    return next((record[name] for name in names if record.get(name) is not None), None)


def _is_any_true(record: Record, names: Iterable[str]) -> bool:
    held = (str(record.get(name) or "").lower() for name in names)
    return any(text not in ("", "f", "false", "0", "no", "n") for text in held)


def _is_any_ahead(record: Record, names: Iterable[str]) -> bool:
    times = [parse_time(str(record[name])) for name in names if record.get(name)]
    return any(time is not None and time > now() for time in times)


def with_identity(values: dict[str, Any]) -> dict[str, Any]:
    """Use a key that is a UUID as the id, and a username with an `@` as the email address."""
    source_id = values.get("source_id")
    if source_id is not None:
        values["source_id"] = str(source_id)
        values["id"] = id_of_source(str(source_id))
    username = values.get("username")
    if isinstance(username, str) and "@" in username:
        values["username"] = None
        values["email"] = values.get("email") or username
    return values


def join_names(*parts: Any) -> str | None:
    """Join the parts of a name; return None if all parts are empty."""
    return " ".join(str(part or "") for part in parts).strip() or None


def parse_object(value: Any) -> Mapping[str, Any]:
    """Return a JSON object, given as an object or as text, or an empty one if there is none."""
    parsed = json.loads(value) if isinstance(value, str) and value else value
    return parsed if isinstance(parsed, dict) else {}


def time_of_milliseconds(value: Any) -> str | None:
    """Convert milliseconds since 1970 to RFC 3339; return None for an empty value or 0."""
    return to_rfc3339(datetime.fromtimestamp(int(value) / 1000, UTC)) if value else None


# Single systems


def keep_record(record: Any, _config: FirebaseConfig | None) -> Any:
    """Return a record that has the fields of a row already."""
    return record


def convert_csv(record: Record, _config: FirebaseConfig | None) -> dict[str, Any]:
    """Split the roles of a CSV row, and use a key that is a UUID as the id."""
    values = dict(record)
    if "roles" in values:
        values["roles"] = values["roles"].replace(",", " ").replace(";", " ").split()
    if "id" not in values and (user_id := id_of_source(values.get("source_id", ""))):
        values["id"] = user_id
    return values


def convert_django(record: Any, config: FirebaseConfig | None) -> dict[str, Any]:
    """Convert a line of `dumpdata`, or a row of the table `auth_user`."""
    key, fields = record.get("pk"), record
    if "fields" in record:
        fields = {"id": key, **record["fields"]}
    values = _DJANGO.convert(fields, config)
    values["display_name"] = join_names(fields.get("first_name"), fields.get("last_name"))
    return values


_DJANGO = UserTable(
    columns={
        "source_id": "id",
        "email": "email",
        "username": "username",
        "password_hash": "password",
        "is_active": "is_active",
        "created_at": "date_joined",
        "last_login_at": "last_login",
    }
)


def mark_hmac_first(_record: Record, values: dict[str, Any]) -> None:
    """Mark hashes that Flask-Security made from an HMAC: all except those in Django's forms."""
    raw = values.get("password_hash")
    if raw and not re.match(r"argon2\$|bcrypt\$|bcrypt_sha256\$|pbkdf2_|md5\$|sha1\$", raw):
        values["password_hash"] = FLASK_SECURITY_PREFIX + raw


def take_metadata_name(record: Record, values: dict[str, Any]) -> None:
    """Set the display name from Supabase's metadata."""
    data = parse_object(record.get("raw_user_meta_data"))
    values["display_name"] = data.get("full_name") or data.get("name")


def take_auth0_details(record: Record, values: dict[str, Any]) -> None:
    """Set the key, hash and display name that Auth0's kinds of export hold in different places."""
    key = record.get("_id")
    if values["source_id"] is None and key is not None:
        values["source_id"] = str(key["$oid"] if isinstance(key, dict) else key)
    if values["password_hash"] is None:
        values["password_hash"] = parse_object(
            parse_object(record.get("custom_password_hash")).get("hash")
        ).get("value")
    if values["display_name"] == values["email"]:
        values["display_name"] = None  # Auth0's default.


# Firebase


def convert_firebase(record: Record, config: FirebaseConfig | None) -> dict[str, Any]:
    """Convert a user of Firebase's export."""
    return with_identity(
        {
            "source_id": record["localId"],
            "email": record.get("email"),
            "display_name": record.get("displayName"),
            "password_hash": _firebase_hash(record, config),
            "email_verified": record.get("emailVerified"),
            "is_active": not record.get("disabled", False),
            "created_at": time_of_milliseconds(record.get("createdAt")),
            "last_login_at": time_of_milliseconds(
                record.get("lastSignedInAt") or record.get("lastLoginAt")
            ),
        }
    )


def _firebase_hash(record: Record, config: FirebaseConfig | None) -> str | None:
    if not record.get("passwordHash"):
        return None
    salt_and_tag = f"{record.get('salt') or ''}${record['passwordHash']}"
    if config is None:
        # The codec rejects this hash and names the missing parameters, so that
        # --without-passwords can import the account without it.
        return f"$fbscrypt$${salt_and_tag}"
    project = f"ss={config.salt_separator}," if config.salt_separator else ""
    parameters = f"v=1,n={config.mem_cost},r={config.rounds},p=1,{project}sk={config.signer_key}"
    return f"$fbscrypt${parameters}${salt_and_tag}"


def parse_firebase_config(text: str) -> FirebaseConfig:
    """Parse hash parameters in the form of Firebase's console or of its API.

    Raises:
        ValueError: a parameter is missing, or is not a number where one is required.
    """
    pairs = re.findall(r'"?(\w+)"?\s*[:=]\s*"?([A-Za-z0-9+/=_-]+)', text)
    found = {name.lower().replace("_", "").removeprefix("base64"): value for name, value in pairs}
    try:
        return FirebaseConfig(
            signer_key=found["signerkey"],
            salt_separator=found.get("saltseparator", ""),
            rounds=int(found["rounds"]),
            mem_cost=int(found.get("memcost") or found["memorycost"]),
        )
    except KeyError as error:
        raise ValueError(f"it has no {error.args[0]}") from error


# Keycloak


def convert_keycloak(record: Record, _config: FirebaseConfig | None) -> dict[str, Any]:
    """Convert a user of a realm, without roles and groups."""
    return with_identity(
        {
            "source_id": record.get("id"),
            "email": record.get("email"),
            "username": record.get("username"),
            "display_name": join_names(record.get("firstName"), record.get("lastName")),
            "password_hash": _keycloak_hash(record.get("credentials") or []),
            "email_verified": record.get("emailVerified"),
            "is_active": record.get("enabled", True),
            "created_at": time_of_milliseconds(record.get("createdTimestamp")),
        }
    )


def _keycloak_hash(credentials: list[Record]) -> str | None:
    for credential in credentials:
        if credential.get("type") == "password":
            secret = parse_object(credential.get("secretData"))
            data = parse_object(credential.get("credentialData"))
            # Before version 8, Keycloak has all these values in the credential itself.
            value = secret.get("value") or credential.get("hashedSaltedValue")
            return value and _keycloak_text(value, {**credential, **secret, **data})
    return None


def _keycloak_text(value: str, data: Record) -> str:
    algorithm = str(data.get("algorithm") or "pbkdf2-sha256").lower()
    salt, tag = str(data.get("salt") or "").rstrip("="), value.rstrip("=")
    rounds = data.get("hashIterations")
    if algorithm == "argon2":
        extra = {name: held[0] for name, held in (data["additionalParameters"] or {}).items()}
        version = {"1.0": 16, "1.3": 19}[extra.get("version", "1.3")]
        cost = f"m={extra['memory']},t={rounds},p={extra['parallelism']}"
        return f"$argon2{extra.get('type', 'id')}$v={version}${cost}${salt}${tag}"
    if algorithm.startswith("pbkdf2"):
        return f"${algorithm}${rounds}${salt}${tag}"
    return value
