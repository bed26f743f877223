"""What can be done with an account, whoever asks: routes, pages, commands and tests."""

from authserve.users.models import User
from authserve.users.service.accounts import (
    NewUser,
    activate,
    add_user,
    deactivate,
    delete_user,
    find_ids_by_identifier,
    get_user,
    get_user_by_reference,
    is_any_active,
    page_of_users,
    ref_of,
    update_profile,
)
from authserve.users.service.passwords import (
    Credentials,
    change_password,
    confirm_password,
    find_credentials,
    record_login,
)

__all__ = [
    "Credentials",
    "NewUser",
    "User",
    "activate",
    "add_user",
    "change_password",
    "confirm_password",
    "deactivate",
    "delete_user",
    "find_credentials",
    "find_ids_by_identifier",
    "get_user",
    "get_user_by_reference",
    "is_any_active",
    "page_of_users",
    "record_login",
    "ref_of",
    "update_profile",
]
