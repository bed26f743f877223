"""The fields of a row: their forms, and the check that makes an account of them.

A password hash is stored as it is, because only its owner's next sign-in can replace it. The codec
that verifies it at that sign-in decides if it is accepted (`passwords.foreign_hashes`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any
from uuid import UUID

from marshmallow import ValidationError, fields, validate

from authserve.core.frozen import frozen
from authserve.core.identifiers import InvalidIdentifierError, canonical_username
from authserve.http.fields import DisplayName, EmailAddress, Locale, Username
from authserve.http.openapi import flatten
from authserve.http.schemas import StrictSchema
from authserve.mfa.records import NO_FACTORS, FactorRecords
from authserve.passwords.foreign_hashes import UnusableHashError, parse_hash
from authserve.transfer.account_parts import (
    FEATURES_OF_PARTS,
    AccountPart,
    Records,
)
from authserve.transfer.factors import FactorsRowSchema, factors_of_row
from authserve.transfer.files import RawRow
from authserve.transfer.results import Result, RowResult
from authserve.transfer.values import TimeOfDatabase, TruthOfDatabase
from authserve.users.bulk import ImportedUser

FIELDS = (
    "id",
    "source_id",
    "email",
    "username",
    "display_name",
    "locale",
    "password_hash",
    "email_verified",
    "is_active",
    "created_at",
    "last_login_at",
    "roles",
)
"""The fields of a row that a column of CSV can hold; only `email` is required.

A row of JSON may have `mfa` too, the second factors (`transfer.factors`), and the parts of features
(`transfer.account_parts`).
"""


class UnusableRowError(Exception):
    """A row that cannot be imported.

    Args:
        reason: the reason for the operator; it contains no hash.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def usable_hash(raw: str | None, *, flask_security_salt: str = "") -> str | None:
    """Return the form in which a foreign hash is stored and verified.

    Args:
        raw: the hash in the other system's form.
        flask_security_salt: the setting `FLASK_SECURITY_SALT`; empty if it is not set.

    Returns:
        The stored form, or None for an account without a usable password (Django's `!`).

    Raises:
        UnusableRowError: no codec accepts this hash; see `parse_hash`.
    """
    if raw is None or raw == "" or raw.startswith("!"):
        return None
    try:
        return parse_hash(raw, flask_security_salt=flask_security_salt).stored
    except UnusableHashError as error:
        raise UnusableRowError(f"password_hash: {error.reason}") from error


SOURCE_ID_MAX_LENGTH = 255
"""The maximum of characters in another system's key."""


class ImportRowSchema(StrictSchema):
    """One account to import."""

    id = fields.UUID()
    source_id = fields.String(validate=validate.Length(max=SOURCE_ID_MAX_LENGTH))
    email = EmailAddress(required=True)
    username = Username()
    display_name = DisplayName()
    locale = Locale()
    password_hash = fields.String()
    email_verified = TruthOfDatabase(load_default=False)
    is_active = TruthOfDatabase(load_default=True)
    created_at = TimeOfDatabase()
    last_login_at = TimeOfDatabase()
    roles = fields.List(fields.String(), load_default=list)
    mfa = fields.Nested(FactorsRowSchema, load_default=None)


_SCHEMA = ImportRowSchema()


@frozen(kw_only=True)
class LoadOptions:
    """Options of checking a row.

    Args:
        without_passwords: if no codec accepts an account's hash, import it without the hash.
        without_bad_usernames: if an account's username is invalid, import it without the username.
        flask_security_salt: the setting `FLASK_SECURITY_SALT`; empty if it is not set.
        passkey_rp_id: the setting `PASSKEY_RP_ID`; passkeys of another one are reported.
        parts: those of the features that are on.
    """

    without_passwords: bool = False
    without_bad_usernames: bool = False
    flask_security_salt: str = ""
    passkey_rp_id: str = ""
    parts: tuple[AccountPart, ...] = ()


@frozen(kw_only=True)
class Candidate:
    """A valid row, converted to the form that is stored.

    Args:
        source_id: the account's key in the other system.
        password: the password to hash, in a seed file; None if there is none.
        without: for each omitted field, its name and the reason.
        factors: the account's second factors.
        parts: records by the name of their part (`account_parts`).
        notes: what the operator should know besides.
    """

    row: RawRow
    user: ImportedUser
    source_id: str | None = None
    password: str | None = field(default=None, repr=False)
    without: tuple[str, ...] = ()
    factors: FactorRecords = field(default=NO_FACTORS, repr=False)
    parts: Mapping[str, Records] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

    def result(
        self,
        result: Result,
        *,
        user_id: UUID | None = None,
        reason: str | None = None,
        filled: tuple[str, ...] = (),
    ) -> RowResult:
        """Return the outcome of this row."""
        return RowResult(
            row=self.row,
            result=result,
            id=user_id,
            source_id=self.source_id,
            reason=reason,
            without=self.without if result in (Result.CREATED, Result.UPDATED) else (),
            notes=self.notes if result is not Result.REFUSED else (),
            filled=filled,
        )


def load_row(row: RawRow, options: LoadOptions) -> Candidate:
    """Check a row and convert it to the form that is stored.

    Raises:
        UnusableRowError: with every fault of the fields or, if there is none, that of the hash.
    """
    without: list[str] = []
    given: object = row.values
    if isinstance(given, dict):
        given = {name: value for name, value in given.items() if value not in (None, "")}
        if options.without_bad_usernames:
            _drop_bad_username(given, without)
    parts = _take_parts(given, options.parts) if isinstance(given, dict) else {}
    loaded = _load(given)
    factors = NO_FACTORS if loaded["mfa"] is None else factors_of_row(loaded["mfa"])
    user = ImportedUser(
        email=loaded["email"],
        id=loaded.get("id"),
        username=loaded.get("username"),
        display_name=loaded.get("display_name"),
        locale=loaded.get("locale"),
        password_hash=_load_hash(loaded.get("password_hash"), options, without),
        email_verified=loaded["email_verified"],
        is_active=loaded["is_active"],
        mfa_enabled=loaded["mfa"] is not None and loaded["mfa"]["enabled"],
        created_at=loaded.get("created_at"),
        last_login_at=loaded.get("last_login_at"),
        roles=tuple(loaded["roles"]),
        has_credential=_has_credential(factors, parts, options),
    )
    return Candidate(
        row=row,
        user=user,
        source_id=loaded.get("source_id"),
        without=tuple(without),
        factors=factors,
        parts=parts,
        notes=tuple(_foreign_passkeys(factors, options.passkey_rp_id)),
    )


def _has_credential(
    factors: FactorRecords, parts: Mapping[str, Records], options: LoadOptions
) -> bool:
    """Return True if something besides a password opens the account here."""
    if any(passkey.rp_id == options.passkey_rp_id for passkey in factors.passkeys):
        return True
    return any(part.is_credential and parts.get(part.name) for part in options.parts)


def _take_parts(given: dict[str, Any], parts: Sequence[AccountPart]) -> dict[str, Records]:
    """Remove the records of features' parts from a row, and return them loaded.

    Raises:
        UnusableRowError: a record is not acceptable, or the feature is off, which would lose it.
    """
    loaded: dict[str, Records] = {}
    known = {part.name: part for part in parts}
    for name in FEATURES_OF_PARTS.keys() & given.keys():
        records = given.pop(name)
        if name in known:
            loaded[name] = _load_records(known[name], records)
        elif records:
            raise UnusableRowError(f"{name}: needs {FEATURES_OF_PARTS[name]} in FEATURES")
    return loaded


def _load_records(part: AccountPart, records: Any) -> Records:
    try:
        found: Records = part.schema.load(records, many=True)
    except ValidationError as error:
        faults = flatten({part.name: error.messages})
        raise UnusableRowError(describe_faults(faults)) from error
    if part.max_records is not None and len(found) > part.max_records:
        raise UnusableRowError(f"{part.name}: an account can have {part.max_records}")
    return found


def _foreign_passkeys(factors: FactorRecords, rp_id: str) -> Iterator[str]:
    """Yield a note on each other RP ID of the passkeys: it is for ever theirs."""
    foreign = Counter(passkey.rp_id for passkey in factors.passkeys if passkey.rp_id != rp_id)
    for name, count in sorted(foreign.items()):
        yield f"mfa: {count} passkeys are for {name}, so they do not work with this PASSKEY_RP_ID"


def describe_faults(faults: Mapping[str, Sequence[str]]) -> str:
    """Return the faults of a row's fields as one sentence."""
    return "; ".join(f"{name}: {' '.join(messages)}" for name, messages in faults.items())


def source_id_of(values: object) -> str | None:
    """Return the key of a refused row, cut to `SOURCE_ID_MAX_LENGTH`, or None if it has none."""
    key = values.get("source_id") if isinstance(values, dict) else None
    return str(key)[:SOURCE_ID_MAX_LENGTH] if key is not None else None


def _load(given: object) -> dict[str, Any]:
    try:
        return _SCHEMA.load(given)  # type: ignore[arg-type, no-any-return]
    except ValidationError as error:
        raise UnusableRowError(describe_faults(flatten(error.messages_dict))) from error


def _drop_bad_username(given: dict[str, Any], without: list[str]) -> None:
    username = given.get("username")
    try:
        if username is not None:
            canonical_username(str(username))
    except InvalidIdentifierError as error:
        del given["username"]
        without.append(f"username: {error}")


def _load_hash(raw: str | None, options: LoadOptions, without: list[str]) -> str | None:
    try:
        return usable_hash(raw, flask_security_salt=options.flask_security_salt)
    except UnusableRowError as error:
        if not options.without_passwords:
            raise
        without.append(error.reason)
        return None
