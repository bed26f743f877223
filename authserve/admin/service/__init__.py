"""What operators and administrators do with other people's accounts."""

from authserve.admin.service.accounts import (
    UserWithRoles,
    create_user,
    list_users,
    with_roles,
)
from authserve.admin.service.administration import (
    AccountChanges,
    change_account,
    change_roles,
    end_all_sessions,
    invite_again,
    invite_user,
    remove_user,
    trigger_password_reset,
)
from authserve.admin.service.personal_data import export_personal_data
from authserve.admin.service.sign_in_status import SignInObstacle, SignInStatus, sign_in_status
from authserve.admin.service.unlocking import RESET_LINK_LIFETIME, issue_reset_link, unlock_user

__all__ = [
    "RESET_LINK_LIFETIME",
    "AccountChanges",
    "SignInObstacle",
    "SignInStatus",
    "UserWithRoles",
    "change_account",
    "change_roles",
    "create_user",
    "end_all_sessions",
    "export_personal_data",
    "invite_again",
    "invite_user",
    "issue_reset_link",
    "list_users",
    "remove_user",
    "sign_in_status",
    "trigger_password_reset",
    "unlock_user",
    "with_roles",
]
