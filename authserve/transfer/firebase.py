"""Conversion of Firebase's `auth:export` file and of a project's hash parameters."""

import re
from typing import Any

from authserve.transfer.columns import FirebaseConfig, Record, time_of_milliseconds, with_identity


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
