"""Decisions about the rows of an import: which are refused, made, filled, or left as they are.

Rows are checked against their own fields, the earlier rows of the file, and the database; nothing
is written.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

from authserve.audit.read import find_ids_of_deleted
from authserve.core.actor import UserRef
from authserve.core.frozen import frozen
from authserve.mfa.records import NO_FACTORS, find_taken_credentials
from authserve.rbac.assignment import find_missing_roles, roles_of_many
from authserve.transfer.files import RawRow
from authserve.transfer.results import Result, RowResult
from authserve.transfer.rows import Candidate, UnusableRowError, source_id_of
from authserve.users.bulk import ImportedUser, find_known_ids
from authserve.users.filling import (
    StoredUser,
    UserFill,
    find_stored_users,
    is_same_person,
    name_withheld,
    plan_fill,
)
from authserve.users.lists import find_ids_by_identifier
from authserve.users.released_usernames import find_held_usernames


@frozen(kw_only=True)
class ImportOptions:
    """Options of an import.

    Args:
        dry_run: check everything and write nothing.
        update: fill the fields that existing accounts lack.
        check_existing: refuse rows of existing accounts for what would refuse a new account.
        without_bad_usernames: if an account's username is taken, import it without the username.
    """

    dry_run: bool = False
    update: bool = False
    check_existing: bool = False
    without_bad_usernames: bool = False


@frozen()
class Fill:
    """An existing account whose empty fields a row fills."""

    candidate: Candidate
    user: UserFill
    ref: UserRef
    roles: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the fields, and `roles` if it gets any."""
        return (*self.user.names, *(["roles"] if self.roles else []))


_MAYBE_A_STRANGERS = "a stranger may have opened the account: its address was never verified here"


Decision = RowResult | Candidate | Fill
"""A final result, an account to create, or an account to fill."""

Load = Callable[[RawRow], Candidate]
"""A function that converts a row to the stored form, or raises UnusableRowError."""


class SeenIdentifiers:
    """The addresses, usernames and ids of the rows so far, on disk instead of in memory."""

    def __init__(self) -> None:
        # An empty name makes a temporary SQLite database, which is deleted when it is closed.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("CREATE TABLE seen (identifier TEXT PRIMARY KEY, place TEXT)")
        self._database.execute("BEGIN")

    def find(self, identifier: str) -> str | None:
        """Return the place of the earlier row with this identifier, or None."""
        found = self._database.execute(
            "SELECT place FROM seen WHERE identifier = ?", (identifier,)
        ).fetchone()
        return None if found is None else str(found[0])

    def add(self, identifiers: Sequence[str], row: RawRow) -> None:
        """Store a row's identifiers."""
        self._database.executemany(
            "INSERT OR IGNORE INTO seen VALUES (?, ?)",
            [(identifier, row.place) for identifier in identifiers],
        )

    def close(self) -> None:
        """Delete the temporary database."""
        self._database.close()


def decide(
    batch: Sequence[RawRow], *, load: Load, seen: SeenIdentifiers, options: ImportOptions
) -> list[Decision]:
    """Check the rows of a slice against their fields, the file's earlier rows and the database."""
    refused: list[Decision] = []
    candidates: list[Candidate] = []
    for row in batch:
        try:
            if row.fault is not None:
                raise UnusableRowError(row.fault)
            candidates.append(load(row))
        except UnusableRowError as error:
            key = source_id_of(row.values)
            refused.append(
                RowResult(row=row, result=Result.REFUSED, source_id=key, reason=error.reason)
            )
    return refused + _Slice(candidates, seen, options).decide()


class _Slice:
    """The rows of a slice, and the related rows of the database."""

    def __init__(
        self, candidates: Sequence[Candidate], seen: SeenIdentifiers, options: ImportOptions
    ) -> None:
        users = [candidate.user for candidate in candidates]
        self._candidates = candidates
        self._seen = seen
        self._options = options
        self._owners = find_ids_by_identifier([name for user in users for name in user.identifiers])
        self._held = find_held_usernames(
            {user.username: self._owners.get(user.email) for user in users if user.username}
        )
        self._taken = find_taken_credentials(
            [
                passkey.credential_id
                for candidate in candidates
                for passkey in candidate.factors.passkeys
            ]
        )
        ids = [user.id for user in users if user.id is not None]
        self._known_ids, self._deleted_ids = find_known_ids(ids), find_ids_of_deleted(ids)
        self._unknown_roles = find_missing_roles({role for user in users for role in user.roles})
        existing = [self._owners[user.email] for user in users if user.email in self._owners]
        self._stored: dict[UUID, StoredUser] = {}
        self._roles: dict[UUID, tuple[str, ...]] = {}
        if options.update and existing:
            self._stored = find_stored_users(existing)
            self._roles = roles_of_many(existing)

    def decide(self) -> list[Decision]:
        return [self._decide(candidate) for candidate in self._candidates]

    def _decide(self, candidate: Candidate) -> Decision:
        try:
            # Check earlier rows of the file first: a dry run writes nothing, yet it must find the
            # same faults as an import.
            self._require_unseen("email", candidate.user.email)
            owner = self._owners.get(candidate.user.email)
            if owner is None:
                return self._decide_new(candidate)
            if self._options.check_existing:
                self._check_existing(candidate, owner)
            # Notes are about what a new account gets.
            candidate = replace(candidate, notes=())
            stored = self._stored.get(owner)
            if stored is None:
                return candidate.result(Result.EXISTS, user_id=owner)
            return self._decide_existing(candidate, stored)
        except UnusableRowError as error:
            return candidate.result(Result.REFUSED, reason=error.reason)

    def _decide_new(self, candidate: Candidate) -> Candidate:
        candidate = self._with_free_username(candidate, owner=None)
        user = candidate.user
        if user.id is not None:
            self._require_unseen("id", str(user.id))
            if user.id in self._known_ids:
                raise UnusableRowError("id: another account has it")
            if user.id in self._deleted_ids:
                raise UnusableRowError("id: a deleted account had it, and no other one gets it")
        self._require_known_roles(user)
        credentials = [f"passkey {key.credential_id.hex()}" for key in candidate.factors.passkeys]
        self._require_free(candidate, credentials)
        ids = [str(user.id)] if user.id else []
        self._seen.add([*user.identifiers, *ids, *credentials], candidate.row)
        return candidate

    def _require_free(self, candidate: Candidate, credentials: Sequence[str]) -> None:
        for credential in credentials:
            self._require_unseen("mfa.passkeys", credential)
        if len(set(credentials)) < len(credentials):
            raise UnusableRowError("mfa.passkeys: the same one twice")
        if any(key.credential_id in self._taken for key in candidate.factors.passkeys):
            raise UnusableRowError("mfa.passkeys: another account has one of them")

    def _check_existing(self, candidate: Candidate, owner: UUID) -> None:
        self._with_free_username(candidate, owner=owner)
        self._require_known_roles(candidate.user)
        self._seen.add(candidate.user.identifiers, candidate.row)

    def _decide_existing(self, candidate: Candidate, stored: StoredUser) -> Decision:
        if stored.username is None:
            candidate = self._with_free_username(candidate, owner=stored.id)
        self._require_known_roles(candidate.user)
        if candidate.factors != NO_FACTORS:
            kept = "mfa: an existing account keeps its own factors"
            candidate = replace(candidate, without=(*candidate.without, kept))
        kept_parts = [name for name, records in candidate.parts.items() if records]
        without = [f"{name}: an existing account keeps its own" for name in kept_parts]
        candidate = replace(candidate, without=(*candidate.without, *without))
        roles = set(candidate.user.roles) - set(self._roles[stored.id])
        if not is_same_person(stored, candidate.user):
            withheld = name_withheld(stored, candidate.user, with_roles=bool(roles))
            notes = tuple(f"{name}: withheld, as {_MAYBE_A_STRANGERS}" for name in withheld)
            candidate, roles = replace(candidate, notes=notes), set()
        ref = UserRef(stored.id, stored.audit_id)
        fill = Fill(candidate, plan_fill(stored, candidate.user), ref, tuple(roles))
        if not fill.names:
            return candidate.result(Result.EXISTS, user_id=stored.id)
        self._seen.add(candidate.user.identifiers, candidate.row)
        return fill

    def _with_free_username(self, candidate: Candidate, *, owner: UUID | None) -> Candidate:
        """Return the candidate, without its username if that is taken and may be omitted."""
        username = candidate.user.username
        if username is None:
            return candidate
        try:
            self._require_unseen("username", username)
            if self._owners.get(username, owner) != owner or username in self._held:
                raise UnusableRowError("username: another account uses it")
        except UnusableRowError as error:
            if not self._options.without_bad_usernames:
                raise
            user = replace(candidate.user, username=None)
            return replace(candidate, user=user, without=(*candidate.without, error.reason))
        return candidate

    def _require_unseen(self, name: str, identifier: str) -> None:
        place = self._seen.find(identifier)
        if place is not None:
            raise UnusableRowError(f"{name}: {place} of the file has the same")

    def _require_known_roles(self, user: ImportedUser) -> None:
        missing = sorted(self._unknown_roles.intersection(user.roles))
        if missing:
            raise UnusableRowError("; ".join(f"roles: there is no {name!r}" for name in missing))
