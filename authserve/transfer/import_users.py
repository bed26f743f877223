"""Import of accounts, which are checked and written in slices.

No password is hashed: hashes are stored as they are and replaced at the users' next sign-in. An
existing account stays as it is, or gets the fields that it lacks, so an interrupted import can be
run again.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice

from authserve.core.actor import OPERATOR, RequestInfo, UserRef
from authserve.core.errors import AuthserveError
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.mfa.records import write_records
from authserve.rbac.assignment import assign_roles_in_bulk, record_roles_in_bulk
from authserve.rbac.policy import USER_ROLE
from authserve.transfer.account_parts import ACCOUNT_PARTS
from authserve.transfer.decisions import (
    Decision,
    Fill,
    ImportOptions,
    Load,
    SeenIdentifiers,
    decide,
)
from authserve.transfer.files import RawRow
from authserve.transfer.results import Result, RowResult
from authserve.transfer.rows import Candidate
from authserve.users.bulk import add_users_in_bulk
from authserve.users.filling import fill_users_in_bulk

SLICE = 1_000
"""Rows checked and written at once (chosen; larger slices were not measured)."""


def import_users(
    rows: Iterable[RawRow], *, load: Load, options: ImportOptions
) -> Iterator[list[RowResult]]:
    """Import accounts, slice by slice; each slice is committed before its results are yielded.

    Args:
        load: checks a row and converts it to the stored form.

    Yields:
        The outcomes of the rows of a slice, in the file's order.
    """
    with closing(SeenIdentifiers()) as seen:
        source = iter(rows)
        while batch := list(islice(source, SLICE)):
            decisions = decide(batch, load=load, seen=seen, options=options)
            results = _carry_out(decisions, is_dry_run=options.dry_run)
            yield sorted(results, key=lambda result: result.row.number)


def _carry_out(decisions: Sequence[Decision], *, is_dry_run: bool) -> list[RowResult]:
    final = [decision for decision in decisions if isinstance(decision, RowResult)]
    open_ones = [decision for decision in decisions if not isinstance(decision, RowResult)]
    if is_dry_run:
        return final + [_would_be(decision) for decision in open_ones]
    if not open_ones:
        return final
    try:
        return final + _write(open_ones)
    except AuthserveError:
        # Another process wrote at the same time: write one by one to find the conflicting row.
        return final + [_write_one(decision) for decision in open_ones]


def _would_be(decision: Candidate | Fill) -> RowResult:
    if isinstance(decision, Candidate):
        return decision.result(Result.CREATED, user_id=decision.user.id)
    return _updated(decision)


def _updated(fill: Fill) -> RowResult:
    return fill.candidate.result(Result.UPDATED, user_id=fill.user.id, filled=fill.names)


def _write_one(decision: Candidate | Fill) -> RowResult:
    try:
        return _write([decision])[0]
    except AuthserveError as error:
        candidate = decision if isinstance(decision, Candidate) else decision.candidate
        return candidate.result(Result.REFUSED, reason=error.detail)


def _write(decisions: Sequence[Candidate | Fill]) -> list[RowResult]:
    new = [decision for decision in decisions if isinstance(decision, Candidate)]
    fills = [decision for decision in decisions if isinstance(decision, Fill)]
    with transaction():
        added = add_accounts(new)
        pairs = list(zip(added, new, strict=True))
        write_records({user.id: candidate.factors for user, candidate in pairs})
        for part in ACCOUNT_PARTS.get():
            part.write({user.id: candidate.parts.get(part.name, ()) for user, candidate in pairs})
        fill_users_in_bulk([fill.user for fill in fills])
        assign_roles_in_bulk((fill.user.id, role) for fill in fills for role in fill.roles)
        request = RequestInfo(user_agent="flask users import")
        details = {"count": len(new), "updated": len(fills)}
        emit(AuditAction.USERS_IMPORTED, actor=OPERATOR, request=request, details=details)
        given = [(user, candidate.user.roles) for user, candidate in pairs]
        given += [(fill.ref, fill.roles) for fill in fills]
        record_roles_in_bulk(given, actor=OPERATOR, request=request)
    created = [
        candidate.result(Result.CREATED, user_id=user.id)
        for user, candidate in zip(added, new, strict=True)
    ]
    return created + [_updated(fill) for fill in fills]


def add_accounts(new: Sequence[Candidate]) -> list[UserRef]:
    """Insert new accounts with their roles, in the open transaction; each has `user` too.

    Returns:
        The references to the accounts, in the same order.

    Raises:
        EmailTakenError, UsernameTakenError: see `add_users_in_bulk`.
    """
    added = add_users_in_bulk([candidate.user for candidate in new])
    assign_roles_in_bulk(
        (user.id, role)
        for user, candidate in zip(added, new, strict=True)
        for role in {USER_ROLE, *candidate.user.roles}
    )
    return added
