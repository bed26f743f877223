"""The blueprint with all pages. It is small because importing its modules adds their views."""

from authserve.pages import (
    account,
    account_activity,
    account_app,
    account_confirm,
    account_connections,
    account_data,
    account_email,
    account_methods,
    account_new_passkey,
    account_passkeys,
    account_password,
    account_profile,
    account_recovery_codes,
    account_sessions,
    email_code,
    language,
    leave,
    links,
    passkey_sign_in,
    second_step,
    set_up,
    sign_in,
    sign_out,
    sign_up,
)
from authserve.pages.blueprint import blueprint
from authserve.web.setup import guard_pages

MODULES = (
    sign_in,
    passkey_sign_in,
    email_code,
    second_step,
    set_up,
    sign_up,
    links,
    sign_out,
    leave,
    account,
    account_activity,
    account_confirm,
    account_connections,
    account_sessions,
    account_profile,
    account_email,
    account_password,
    account_data,
    account_methods,
    account_app,
    account_new_passkey,
    account_passkeys,
    account_recovery_codes,
    language,
)

START_PATH = "/account"
"""The path to which browsers are sent that ask for `/`."""

guard_pages(blueprint, secret_links=links.ENDPOINTS)

__all__ = ["MODULES", "START_PATH", "blueprint"]
