"""What can be done with an account, whoever asks: routes, pages, commands and tests."""

from authserve.users.models import User
from authserve.users.policy import is_password_disabled
from authserve.users.service.accounts import (
    NewUser,
    activate,
    add_user,
    change_email,
    deactivate,
    delete_user,
    find_by_email,
    find_user,
    get_user,
    get_user_by_reference,
    get_users_by_reference,
    is_any_active,
    lock_user,
    ref_of,
    set_email,
    update_profile,
    verify_email,
)
from authserve.users.service.bulk import ImportedUser, add_users_in_bulk, find_known_ids
from authserve.users.service.credentials import Credentials, find_credentials, get_credentials
from authserve.users.service.guesses import count_wrong_password
from authserve.users.service.lists import (
    Position,
    UserFilters,
    find_audit_id,
    find_ids_by_audit_id,
    find_ids_by_identifier,
    page_of_users,
    position_of,
    search_users,
)
from authserve.users.service.passwords import (
    change_password,
    confirm_password,
    record_login,
    replace_password,
)

__all__ = [
    "Credentials",
    "ImportedUser",
    "NewUser",
    "Position",
    "User",
    "UserFilters",
    "activate",
    "add_user",
    "add_users_in_bulk",
    "change_email",
    "change_password",
    "confirm_password",
    "count_wrong_password",
    "deactivate",
    "delete_user",
    "find_audit_id",
    "find_by_email",
    "find_credentials",
    "find_ids_by_audit_id",
    "find_ids_by_identifier",
    "find_known_ids",
    "find_user",
    "get_credentials",
    "get_user",
    "get_user_by_reference",
    "get_users_by_reference",
    "is_any_active",
    "is_password_disabled",
    "lock_user",
    "page_of_users",
    "position_of",
    "record_login",
    "ref_of",
    "replace_password",
    "search_users",
    "set_email",
    "update_profile",
    "verify_email",
]
