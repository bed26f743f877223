"""Conversion of the users in a Keycloak realm's export."""

from typing import Any

from authserve.transfer.columns import (
    FirebaseConfig,
    Record,
    join_names,
    parse_object,
    time_of_milliseconds,
    with_identity,
)


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
