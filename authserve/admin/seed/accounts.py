"""Creation of the accounts of a seed file: all of them or, if a row has a fault, none."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError, fields

from authserve.admin.accounts import create_user
from authserve.admin.seed.reading import Row, RowFault, SeedFileError
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.errors import ValidationFailedError
from authserve.database.transactions import transaction
from authserve.http.fields import DisplayName, EmailAddress, Password, Username
from authserve.http.openapi import flatten
from authserve.http.schemas import StrictSchema
from authserve.passwords.hasher import PASSWORD_HASHER
from authserve.passwords.validation import require_acceptable_password
from authserve.rbac.assignment import find_missing_roles
from authserve.settings.model import SETTINGS
from authserve.users.accounts import NewUser
from authserve.users.lists import find_ids_by_identifier

DEMO_PASSWORD_PREFIX = "demo only: "
"""The prefix of the passwords in the example file. They are public, so production refuses them."""


class AccountSchema(StrictSchema):
    """One account, as an operator writes it."""

    email = EmailAddress(required=True)
    username = Username()
    password = Password()
    display_name = DisplayName()
    roles = fields.List(fields.String(), load_default=list)


@dataclass(frozen=True, slots=True)
class SeedResult:
    """The numbers of accounts that were created, and that existed and were not changed."""

    created: int
    existing: int


def check_account(values: Any) -> dict[str, Any]:
    """Validate an operator's values for a new account.

    Args:
        values: an object with fields of `AccountSchema`; a null field counts as missing.

    Returns:
        The fields of `users.accounts.NewUser` that were given, with `password` in place of its
        hash, and `roles`.

    Raises:
        ValidationFailedError: with every fault of the fields or, if there is none, those of the
            password.
    """
    if not isinstance(values, dict):
        raise ValidationFailedError({"account": ["Not an object."]})
    given = {name: value for name, value in values.items() if value is not None}
    try:
        checked: dict[str, Any] = AccountSchema().load(given)
    except ValidationError as error:
        raise ValidationFailedError(flatten(error.messages_dict)) from error
    password = checked.get("password")
    if password is None:
        return checked
    names = ("email", "username", "display_name")
    require_acceptable_password(password, context=[checked[n] for n in names if n in checked])
    if SETTINGS.get().is_production and password.startswith(DEMO_PASSWORD_PREFIX):
        message = "The passwords of the example file are public; production does not take them."
        raise ValidationFailedError({"password": [message]})
    return checked


def prepare_account(checked: dict[str, Any]) -> NewUser:
    """Hash the password and return the account to create.

    Its address counts as verified, because the operator confirms it.

    Args:
        checked: the result of `check_account`, without `roles`.
    """
    fields_of_user = dict(checked)
    password = fields_of_user.pop("password", None)
    password_hash = None if password is None else PASSWORD_HASHER.get().hash(password)
    return NewUser(**fields_of_user, password_hash=password_hash, email_verified=True)


def seed(rows: Sequence[Row], *, on_progress: Callable[[], None] = lambda: None) -> SeedResult:
    """Create the accounts that do not exist yet; existing accounts stay as they are.

    Args:
        on_progress: called for each new account after its password, if any, is hashed.

    Raises:
        SeedFileError: with the faults of all rows; nothing was written.
        EmailTakenError, UsernameTakenError: another process wrote at the same time. Nothing was
            written; a second run reports the row.
    """
    checked = _check_all(rows)
    missing = [(values, roles) for values, roles, exists in checked if not exists]
    prepared = []
    for values, roles in missing:
        prepared.append((prepare_account(values), roles))
        on_progress()
    request = RequestInfo(user_agent="flask users seed")
    with transaction():
        for new, roles in prepared:
            create_user(new, roles=roles, actor=VISITOR, request=request)
    return SeedResult(created=len(prepared), existing=len(checked) - len(prepared))


def _check_all(rows: Sequence[Row]) -> list[tuple[dict[str, Any], list[str], bool]]:
    """Return for every row its checked values, its roles, and True if the account exists.

    Raises:
        SeedFileError: with the faults of all rows.
    """
    faults: list[RowFault] = []
    loaded: list[tuple[Row, dict[str, Any]]] = []
    for row in rows:
        try:
            loaded.append((row, check_account(row.values)))
        except ValidationFailedError as error:
            faults += [RowFault(row.line, f"{k}: {' '.join(v)}") for k, v in error.errors.items()]
    faults += _find_repetitions(loaded)
    taken = find_ids_by_identifier(
        [values[name] for _, values in loaded for name in ("email", "username") if name in values]
    )
    unknown = find_missing_roles({role for _, values in loaded for role in values["roles"]})
    checked = []
    for row, values in loaded:
        roles = values.pop("roles")
        owner = taken.get(values["email"])
        if taken.get(values.get("username", ""), owner) != owner:
            faults.append(RowFault(row.line, "username: Another account uses it."))
        faults += [
            RowFault(row.line, f"roles: There is no role {r!r}.") for r in roles if r in unknown
        ]
        checked.append((values, roles, owner is not None))
    if faults:
        raise SeedFileError(faults)
    return checked


def _find_repetitions(loaded: Sequence[tuple[Row, dict[str, Any]]]) -> Iterator[RowFault]:
    first_lines: dict[str, int] = {}
    for row, values in loaded:
        for name in ("email", "username"):
            if name not in values:
                continue
            first = first_lines.setdefault(values[name], row.line)
            if first != row.line:
                yield RowFault(row.line, f"{name}: Line {first} has it already.")
