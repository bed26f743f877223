"""What every `flask` command shares."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import click
from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from authserve.core.errors import AuthserveError, ValidationFailedError
from authserve.core.identifiers import InvalidIdentifierError

P = ParamSpec("P")
T = TypeVar("T")

DATABASE_ERRORS = (OperationalError, ProgrammingError, InterfaceError, PoolTimeoutError)
"""The database is away, or not the one that this release expects."""


def tell_errors(command: Callable[P, T]) -> Callable[P, T]:
    """Turn what the service refuses into a line on standard error and exit status 1."""

    @wraps(command)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except ValidationFailedError as error:
            lines = [f"{name}: {' '.join(messages)}" for name, messages in error.errors.items()]
            raise click.ClickException("\n".join(lines)) from error
        except (AuthserveError, InvalidIdentifierError) as error:
            raise click.ClickException(str(error)) from error
        except DATABASE_ERRORS as error:
            reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            raise click.ClickException(
                f"The database does not serve ({reason}). "
                "Is DATABASE_URL right, and has `flask db upgrade` been run?"
            ) from error

    return told
