"""Creation of the accounts of a seed file: all of them or, if a row has a fault, none.

The file is read and checked like an import; but it holds passwords, which are hashed here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.errors import ValidationFailedError
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.rbac.policy import USER_ROLE
from authserve.transfer.decisions import Decision, ImportOptions, SeenIdentifiers, decide
from authserve.transfer.files import RawRow, TransferFileError
from authserve.transfer.import_users import add_accounts
from authserve.transfer.results import Result, RowResult
from authserve.transfer.rows import Candidate, UnusableRowError, describe_faults
from authserve.transfer.sources import ReadOptions, read_rows
from authserve.users.account_input import hash_given_password, parse_account
from authserve.users.bulk import ImportedUser

FIELDS = ("email", "username", "password", "display_name", "roles")
"""The fields of a seed file; only `email` is required."""

_FORMATS = {".json": "authserve", ".csv": "csv"}
"""The format of a file by the end of its name."""


@frozen()
class SeedResult:
    """The numbers of accounts that were created, and that existed and were not changed."""

    created: int
    existing: int


def read_seed_file(path: Path) -> list[RawRow]:
    """Return the rows of a seed file: JSON, or CSV with a header of `FIELDS`.

    Raises:
        TransferFileError: the file's name or content is of neither format.
    """
    file_format = _FORMATS.get(path.suffix.lower())
    if file_format is None:
        raise TransferFileError("the file's name must end in .json or .csv, after its content")
    content = path.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise TransferFileError("the file is not UTF-8") from error
    if not content.strip():
        raise TransferFileError("the file is empty")
    options = ReadOptions(file_format=file_format, fields=FIELDS, encoding="utf-8-sig")
    return list(read_rows(BytesIO(content), options, on_ignored=_refuse_columns))


def _refuse_columns(names: Sequence[str]) -> None:
    known = ", ".join(FIELDS)
    raise TransferFileError(f"no field is named {names[0]!r}; the fields are {known}")


def seed_users(
    rows: Iterable[RawRow], *, on_progress: Callable[[], None] = lambda: None
) -> SeedResult:
    """Create the accounts that do not exist yet; existing accounts stay as they are.

    The addresses count as verified, because the operator confirms them.

    Args:
        on_progress: called for each new account after its password, if any, is hashed.

    Raises:
        TransferFileError: with the faults of all rows; nothing was written.
        EmailTakenError, UsernameTakenError: another process wrote at the same time. Nothing was
            written; a second run reports the row.
    """
    options = ImportOptions(check_existing=True)
    with closing(SeenIdentifiers()) as seen:
        decisions = decide(list(rows), load=_load_row, seen=seen, options=options)
    _require_no_fault(decisions)
    hashed = []
    for candidate in _new_accounts(decisions):
        hashed.append(_with_hash(candidate))
        on_progress()
    _write(hashed)
    return SeedResult(created=len(hashed), existing=len(decisions) - len(hashed))


def _load_row(row: RawRow) -> Candidate:
    try:
        account = parse_account(row.values)
    except ValidationFailedError as error:
        raise UnusableRowError(describe_faults(error.errors)) from error
    user = ImportedUser(
        email=account.email,
        username=account.username,
        display_name=account.display_name,
        email_verified=True,
        roles=account.roles,
    )
    return Candidate(row=row, user=user, password=account.password)


def _require_no_fault(decisions: Sequence[Decision]) -> None:
    refused = [
        decision
        for decision in decisions
        if isinstance(decision, RowResult) and decision.result is Result.REFUSED
    ]
    if refused:
        refused.sort(key=lambda result: result.row.number)
        raise TransferFileError("\n".join(str(result.sentence) for result in refused))


def _new_accounts(decisions: Iterable[Decision]) -> Iterator[Candidate]:
    return (decision for decision in decisions if isinstance(decision, Candidate))


def _with_hash(candidate: Candidate) -> Candidate:
    password_hash = hash_given_password(candidate.password)
    return replace(candidate, user=replace(candidate.user, password_hash=password_hash))


def _write(new: Sequence[Candidate]) -> None:
    request = RequestInfo(user_agent="flask users seed")
    with transaction():
        for user, candidate in zip(add_accounts(new), new, strict=True):
            emit(
                AuditAction.USER_CREATED,
                actor=OPERATOR,
                subject=user,
                request=request,
                details={"roles": sorted({USER_ROLE, *candidate.user.roles})},
            )
