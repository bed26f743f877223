"""The systems that accounts come from: what each calls our fields.

A source converts one record of its file (a JSON object, or a CSV row by its header) into the
fields of `transfer.policy.FIELDS`. Values are checked later (`transfer.schemas`).
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from authserve.core.clock import now, to_rfc3339
from authserve.core.foreign_hashes import FLASK_SECURITY_PREFIX
from authserve.transfer.errors import UnusableRowError
from authserve.transfer.policy import id_of_source, parse_time

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirebaseConfig:
    """The parameters of a Firebase project's password hashes."""

    signer_key: str = field(repr=False)
    salt_separator: str
    rounds: int
    mem_cost: int


Convert = Callable[[Any, FirebaseConfig | None], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A format of files.

    Args:
        name: as the command line has it.
        convert: makes our fields of a record.
        is_json, is_csv: the kinds of file that it comes in.
        wrapper: the member of the file's JSON object that holds the accounts; empty if none does.
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


# Sources that are a table of columns


def _of_columns(columns: Mapping[str, str]) -> Convert:
    """Return a conversion by the names of the source's columns, in any letter case.

    Args:
        columns: the source's names by our fields, separated by spaces: the first that holds
            something counts.
    """
    names = {ours: theirs.split() for ours, theirs in columns.items()}

    def convert(record: Record, _config: FirebaseConfig | None) -> dict[str, Any]:
        lowered = {key.lower(): value for key, value in record.items()}
        values = {
            ours: next((lowered[name] for name in theirs if lowered.get(name) is not None), None)
            for ours, theirs in names.items()
        }
        return _with_identity(values)

    return convert


def _with_identity(values: dict[str, Any]) -> dict[str, Any]:
    """Keep a key that is a UUID as the id, and a username that is an address as the address."""
    source_id = values.get("source_id")
    if source_id is not None:
        values["source_id"] = str(source_id)
        values["id"] = id_of_source(str(source_id))
    username = values.get("username")
    if isinstance(username, str) and "@" in username:
        values["username"] = None
        values["email"] = values.get("email") or username
    return values


def _then(convert: Convert, *steps: Callable[[Record, dict[str, Any]], None]) -> Convert:
    """Return a conversion with further steps, which get the record and change the values."""

    def converted(record: Record, config: FirebaseConfig | None) -> dict[str, Any]:
        values: dict[str, Any] = convert(record, config)
        lowered = {key.lower(): value for key, value in record.items()}
        for step in steps:
            step(lowered, values)
        return values

    return converted


def _inactive_until(*columns: str) -> Callable[[Record, dict[str, Any]], None]:
    """Return a step that deactivates an account while one of these times is in the future."""

    def step(record: Record, values: dict[str, Any]) -> None:
        times = [parse_time(str(record[name])) for name in columns if record.get(name)]
        if any(time is not None and time > now() for time in times):
            values["is_active"] = False

    return step


def _inactive_if(*columns: str) -> Callable[[Record, dict[str, Any]], None]:
    """Return a step that deactivates an account if one of these columns holds a time or a truth."""

    def step(record: Record, values: dict[str, Any]) -> None:
        held = (str(record.get(name) or "").lower() for name in columns)
        if any(text not in ("", "f", "false", "0", "no", "n") for text in held):
            values["is_active"] = False

    return step


# Django


def _from_django(record: Any, config: FirebaseConfig | None) -> dict[str, Any]:
    """Convert a line of `dumpdata`, or a row of the table `auth_user`."""
    key, fields = record.get("pk"), record
    if "fields" in record:
        fields = {"id": key, **record["fields"]}
    values: dict[str, Any] = _DJANGO(fields, config)
    values["display_name"] = _full_name(fields.get("first_name"), fields.get("last_name"))
    return values


_DJANGO = _of_columns(
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


def _full_name(*parts: Any) -> str | None:
    return " ".join(str(part or "") for part in parts).strip() or None


# Flask-Security


def _hmac_first(_record: Record, values: dict[str, Any]) -> None:
    """Mark hashes that Flask-Security made from an HMAC: all but those of Django's forms."""
    raw = values.get("password_hash")
    if raw and not re.match(r"argon2\$|bcrypt\$|bcrypt_sha256\$|pbkdf2_|md5\$|sha1\$", raw):
        values["password_hash"] = FLASK_SECURITY_PREFIX + raw


# Supabase


def _metadata_name(record: Record, values: dict[str, Any]) -> None:
    data = _object(record.get("raw_user_meta_data"))
    values["display_name"] = data.get("full_name") or data.get("name")


def _object(value: Any) -> Mapping[str, Any]:
    """Return a JSON object that may have come as text; empty if there is none."""
    parsed = json.loads(value) if isinstance(value, str) and value else value
    return parsed if isinstance(parsed, dict) else {}


# Auth0


def _auth0_details(record: Record, values: dict[str, Any]) -> None:
    key = record.get("_id")
    if values["source_id"] is None and key is not None:
        values["source_id"] = str(key["$oid"] if isinstance(key, dict) else key)
    if values["password_hash"] is None:
        values["password_hash"] = _object(
            _object(record.get("custom_password_hash")).get("hash")
        ).get("value")
    if values["display_name"] == values["email"]:
        values["display_name"] = None  # Auth0's default.


# Firebase


def _from_firebase(record: Record, config: FirebaseConfig | None) -> dict[str, Any]:
    return _with_identity(
        {
            "source_id": record["localId"],
            "email": record.get("email"),
            "display_name": record.get("displayName"),
            "password_hash": _firebase_hash(record, config),
            "email_verified": record.get("emailVerified"),
            "is_active": not record.get("disabled", False),
            "created_at": _of_milliseconds(record.get("createdAt")),
            "last_login_at": _of_milliseconds(
                record.get("lastSignedInAt") or record.get("lastLoginAt")
            ),
        }
    )


def _firebase_hash(record: Record, config: FirebaseConfig | None) -> str | None:
    if not record.get("passwordHash"):
        return None
    if config is None:
        raise UnusableRowError("password_hash: needs --firebase-config")
    project = f"ss={config.salt_separator}," if config.salt_separator else ""
    parameters = f"v=1,n={config.mem_cost},r={config.rounds},p=1,{project}sk={config.signer_key}"
    return f"$fbscrypt${parameters}${record.get('salt') or ''}${record['passwordHash']}"


def parse_firebase_config(text: str) -> FirebaseConfig:
    """Read the hash parameters as Firebase's console shows them, or as its API has them.

    Raises:
        ValueError: one of them is missing.
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


def _of_milliseconds(value: Any) -> str | None:
    return to_rfc3339(datetime.fromtimestamp(int(value) / 1000, UTC)) if value else None


# Keycloak


def _from_keycloak(record: Record, _config: FirebaseConfig | None) -> dict[str, Any]:
    return _with_identity(
        {
            "source_id": record.get("id"),
            "email": record.get("email"),
            "username": record.get("username"),
            "display_name": _full_name(record.get("firstName"), record.get("lastName")),
            "password_hash": _keycloak_hash(record.get("credentials") or []),
            "email_verified": record.get("emailVerified"),
            "is_active": record.get("enabled", True),
            "created_at": _of_milliseconds(record.get("createdTimestamp")),
        }
    )


def _keycloak_hash(credentials: list[Record]) -> str | None:
    for credential in credentials:
        if credential.get("type") == "password":
            secret = _object(credential.get("secretData"))
            data = _object(credential.get("credentialData"))
            # Keycloak before 8 has all of it in the credential itself.
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


SOURCES: Mapping[str, Source] = {
    source.name: source
    for source in (
        Source(name="authserve", convert=_as_it_is, is_csv=False),
        Source(name="csv", convert=_from_csv, is_json=False),
        Source(
            name="aspnet",
            convert=_then(
                _of_columns(
                    {
                        "source_id": "id",
                        "email": "email",
                        "username": "username",
                        "password_hash": "passwordhash",
                        "email_verified": "emailconfirmed",
                    }
                ),
                _inactive_until("lockoutend", "lockoutenddateutc"),
            ),
        ),
        Source(
            name="auth0",
            convert=_then(
                _of_columns(
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
                _inactive_if("blocked"),
            ),
        ),
        Source(name="django", convert=_from_django),
        Source(name="firebase", convert=_from_firebase, is_csv=False, wrapper="users"),
        Source(
            name="flask-security",
            convert=_then(
                _of_columns(
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
        Source(name="keycloak", convert=_from_keycloak, is_csv=False, wrapper="users"),
        Source(
            name="laravel",
            convert=_then(
                _of_columns(
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
                _inactive_if("deleted_at"),
            ),
        ),
        Source(
            name="supabase",
            convert=_then(
                _of_columns(
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
                _inactive_if("deleted_at"),
                _inactive_until("banned_until"),
            ),
        ),
        Source(
            name="wordpress",
            convert=_of_columns(
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
"""Every format of `--format`, by its name."""
