"""One-time links: asked for, sent, followed."""

from authserve.verification.policy import Purpose
from authserve.verification.service.links import make_link
from authserve.verification.service.redeeming import (
    NewPassword,
    accept_invitation,
    confirm_email_change,
    reset_password,
    verify_address,
)
from authserve.verification.service.requests import (
    INVITATION_LIFETIME,
    RESET_REQUEST,
    cancel_pending,
    follow_changed_password,
    follow_disabled_password,
    forget_messages,
    invite,
    make_invitation_link,
    make_reset_link,
    notify,
    notify_of_changed_email,
    notify_of_existing_account,
    request_by_address,
    request_email_change,
    request_password_reset,
    topics_of,
    withdraw_email_change,
)
from authserve.verification.service.tokens import ensure_token, find_links_of, purge_dead_tokens

__all__ = [
    "INVITATION_LIFETIME",
    "RESET_REQUEST",
    "NewPassword",
    "Purpose",
    "accept_invitation",
    "cancel_pending",
    "confirm_email_change",
    "ensure_token",
    "find_links_of",
    "follow_changed_password",
    "follow_disabled_password",
    "forget_messages",
    "invite",
    "make_invitation_link",
    "make_link",
    "make_reset_link",
    "notify",
    "notify_of_changed_email",
    "notify_of_existing_account",
    "purge_dead_tokens",
    "request_by_address",
    "request_email_change",
    "request_password_reset",
    "reset_password",
    "topics_of",
    "verify_address",
    "withdraw_email_change",
]
