"""The answer to calls on an account that is gone: the decorator of views of one's own account."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from authserve.core.errors import SessionRevokedError
from authserve.users.errors import UserNotFoundError

ViewT = TypeVar("ViewT", bound=Callable[..., Any])


def on_own_account(view: ViewT) -> ViewT:
    """Raise `SessionRevokedError` if the caller's own account is deleted during the call.

    The token check would have raised the same error if the account had been deleted before.
    """

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return view(*args, **kwargs)
        except UserNotFoundError as error:
            raise SessionRevokedError from error

    return cast(ViewT, guarded)
