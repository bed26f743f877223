"""Accounts, for tests that need no HTTP to make them."""

from collections.abc import Iterable

from authserve.admin.administration import create_user
from authserve.core.actor import VISITOR, RequestInfo, UserRef
from authserve.passwords.hasher import PASSWORD_HASHER
from authserve.users.accounts import NewUser, ref_of
from tests.support.clients import PASSWORD


def make_user(
    name: str,
    *,
    roles: Iterable[str] = (),
    password: str | None = PASSWORD,
    password_hash: str | None = None,
    email_verified: bool = False,
) -> UserRef:
    """Make an account with an address and username after `name`, in an application context.

    Args:
        name: lower case.
        roles: beside the role of every user.
        password: None for an account without one.
        password_hash: instead of the password's own.
    """
    if password is not None and password_hash is None:
        password_hash = PASSWORD_HASHER.get().hash(password)
    new = NewUser(
        email=f"{name}@example.com",
        username=name,
        password_hash=password_hash,
        email_verified=email_verified,
    )
    made = create_user(new, roles=roles, actor=VISITOR, request=RequestInfo())
    return ref_of(made.user)
