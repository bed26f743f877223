"""Importing accounts: checked in slices, written in slices, at the speed of the database.

No password is hashed: hashes are stored as they came and replaced at their owners' next sign-in.
What is there already stays as it is, so an import that was cut off is simply run again.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.db import transaction
from authserve.core.errors import AuthserveError
from authserve.core.events import emit
from authserve.rbac.service import USER_ROLE, assign_roles_in_bulk, find_missing_roles
from authserve.transfer.errors import UnusableRowError
from authserve.transfer.service.reading import RawRow
from authserve.users.events import UsersImported
from authserve.users.service import (
    ImportedUser,
    add_users_in_bulk,
    find_ids_by_identifier,
    find_known_ids,
)

SLICE = 1_000
"""Rows checked and written at once (chosen: larger ones were not measured)."""


class Result(StrEnum):
    """What became of a row: a closed list."""

    CREATED = "created"
    EXISTS = "exists"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of a row, for the result file."""

    line: int
    result: Result
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    row: RawRow
    user: ImportedUser


def import_users(
    rows: Iterable[RawRow], *, load: Callable[[object], ImportedUser], dry_run: bool
) -> Iterator[list[RowResult]]:
    """Import accounts, slice by slice; each slice is committed before its results are told.

    Args:
        load: checks a row and brings it into the stored form (`transfer.schemas.load_row`).
        dry_run: check everything and write nothing.

    Yields:
        What became of the rows of a slice, in their order.
    """
    with closing(_SeenLines()) as seen:
        source = iter(rows)
        while batch := list(islice(source, SLICE)):
            results, candidates = _check(batch, load, seen)
            created = _created(candidates, dry_run=dry_run)
            results += created
            yield sorted(results, key=lambda result: result.line)


def _check(
    batch: Sequence[RawRow], load: Callable[[object], ImportedUser], seen: "_SeenLines"
) -> tuple[list[RowResult], list[_Candidate]]:
    results: list[RowResult] = []
    candidates: list[_Candidate] = []
    for row in batch:
        try:
            if row.fault is not None:
                raise UnusableRowError(row.fault)
            user = load(row.values)
            seen.add(user, row.line)
            candidates.append(_Candidate(row, user))
        except UnusableRowError as error:
            results.append(RowResult(row.line, Result.REFUSED, error.reason))
    collisions, free = _find_collisions(candidates)
    return results + collisions, free


def _find_collisions(
    candidates: Sequence[_Candidate],
) -> tuple[list[RowResult], list[_Candidate]]:
    users = [candidate.user for candidate in candidates]
    owners = find_ids_by_identifier([name for user in users for name in user.identifiers])
    known_ids = find_known_ids([user.id for user in users if user.id is not None])
    unknown_roles = find_missing_roles({role for user in users for role in user.roles})
    results: list[RowResult] = []
    free: list[_Candidate] = []
    for candidate in candidates:
        user, line = candidate.user, candidate.row.line
        missing = sorted(unknown_roles.intersection(user.roles))
        if user.email in owners:
            results.append(RowResult(line, Result.EXISTS))
        elif user.username in owners:
            results.append(RowResult(line, Result.REFUSED, "username: another account uses it"))
        elif user.id in known_ids:
            results.append(RowResult(line, Result.REFUSED, "id: another account has it"))
        elif missing:
            results.append(RowResult(line, Result.REFUSED, f"roles: there is no {missing[0]!r}"))
        else:
            free.append(candidate)
    return results, free


def _created(candidates: Sequence[_Candidate], *, dry_run: bool) -> list[RowResult]:
    if not candidates:
        return []
    if dry_run:
        return [RowResult(candidate.row.line, Result.CREATED) for candidate in candidates]
    try:
        _write([candidate.user for candidate in candidates])
        return [RowResult(candidate.row.line, Result.CREATED) for candidate in candidates]
    except AuthserveError:
        # Somebody registered in the same moment: find out who, one by one.
        return [_write_one(candidate) for candidate in candidates]


def _write_one(candidate: _Candidate) -> RowResult:
    try:
        _write([candidate.user])
    except AuthserveError as error:
        return RowResult(candidate.row.line, Result.REFUSED, error.detail)
    return RowResult(candidate.row.line, Result.CREATED)


def _write(users: Sequence[ImportedUser]) -> None:
    with transaction():
        ids = add_users_in_bulk(users)
        assign_roles_in_bulk(
            (user_id, role)
            for user_id, user in zip(ids, users, strict=True)
            for role in {USER_ROLE, *user.roles}
        )
        request = RequestInfo(user_agent="flask users import")
        emit(UsersImported(actor=VISITOR, request=request, details={"count": len(users)}))


class _SeenLines:
    """Which line had an identifier first, for files of any size: kept on disk, not in memory."""

    def __init__(self) -> None:
        # An empty name is SQLite's word for a temporary database, gone when it is closed.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("CREATE TABLE seen (identifier TEXT PRIMARY KEY, line INTEGER)")
        self._database.execute("BEGIN")

    def add(self, user: ImportedUser, line: int) -> None:
        """Note a row's identifiers.

        Raises:
            UnusableRowError: an earlier row of the file has one of them.
        """
        identifiers = [*user.identifiers, *([str(user.id)] if user.id else [])]
        for identifier in identifiers:
            found = self._database.execute(
                "SELECT line FROM seen WHERE identifier = ?", (identifier,)
            ).fetchone()
            if found is not None:
                raise UnusableRowError(f"line {found[0]} of the file has the same address or name")
        self._database.executemany(
            "INSERT INTO seen VALUES (?, ?)", [(identifier, line) for identifier in identifiers]
        )

    def close(self) -> None:
        """Forget it all."""
        self._database.close()
