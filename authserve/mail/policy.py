"""The kinds of mail, the values of their templates, and the form of users' names in them.

To add a mail, add its name to `MailKind` and its three templates to `templates/`. If they need more
than the name and a link, add the values to `SAMPLE_VALUES`. `mail.notices.notify` enqueues it.
"""

import unicodedata
from collections.abc import Mapping
from enum import StrEnum


class MailKind(StrEnum):
    """Every kind of mail that the service sends: a closed list. Templates have the same names."""

    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"
    CHANGE_EMAIL = "change_email"
    INVITATION = "invitation"
    ACCOUNT_EXISTS = "account_exists"
    PASSWORD_CHANGED = "password_changed"
    PASSWORD_DISABLED = "password_disabled"
    EMAIL_CHANGE_REQUESTED = "email_change_requested"
    EMAIL_CHANGED = "email_changed"
    NEW_DEVICE_SIGN_IN = "new_device_sign_in"
    FACTOR_ADDED = "factor_added"
    FACTOR_REMOVED = "factor_removed"
    MFA_CHANGED = "mfa_changed"
    MFA_RESET = "mfa_reset"
    RECOVERY_CODE_USED = "recovery_code_used"
    RECOVERY_CODES_RENEWED = "recovery_codes_renewed"
    SECOND_FACTOR_FAILING = "second_factor_failing"
    PASSKEY_FLAGGED = "passkey_flagged"
    APP_AUTHORIZED = "app_authorized"
    SIGN_IN_CODE = "sign_in_code"
    SIGN_IN_CODE_REFUSED = "sign_in_code_refused"
    ENROLLMENT_CODE = "enrollment_code"
    API_KEY_CREATED = "api_key_created"
    IDENTITY_LINKED = "identity_linked"
    IDENTITY_UNLINKED = "identity_unlinked"
    TEST = "test"


LINK_KINDS = frozenset(
    {
        MailKind.VERIFY_EMAIL,
        MailKind.RESET_PASSWORD,
        MailKind.CHANGE_EMAIL,
        MailKind.INVITATION,
    }
)
"""Kinds that carry a one-time link."""

CODE_KINDS = frozenset(
    {MailKind.SIGN_IN_CODE, MailKind.SIGN_IN_CODE_REFUSED, MailKind.ENROLLMENT_CODE}
)
"""Kinds that carry a one-time code, or explain why none was sent."""

NOTICE_KINDS = frozenset(MailKind) - LINK_KINDS - CODE_KINDS - {MailKind.TEST}
"""Kinds that report an event of an account, and carry neither a link nor a code."""

Values = Mapping[str, str | int]
"""Values for the templates of one kind, beside those for all kinds; numbers rather than phrases."""

_REQUEST: Values = {"browser": "Firefox", "ip": "203.0.113.7", "time": "2026-11-27 09:57 UTC"}
"""The values that `mail.notices.describe_request` returns."""

_PROVIDER: Values = {"provider": "Google"}
"""The name that the operator gave the provider, or the host of its issuer."""

_FACTOR: Values = {"factor": "passkey", "factor_name": "Phone"}
"""The factor is `passkey` or `totp`; its name, empty for `totp`, comes from `plain_name`."""

SAMPLE_VALUES: Mapping[MailKind, Values] = {
    MailKind.NEW_DEVICE_SIGN_IN: _REQUEST,
    MailKind.FACTOR_ADDED: _FACTOR,
    MailKind.FACTOR_REMOVED: _FACTOR,
    # 1 if signing in asks for a second factor from now on, else 0.
    MailKind.MFA_CHANGED: {"enabled": 1},
    # The state is `requested`, `done` or `cancelled`; a time, from `mail.notices.write_time`, is
    # there for a requested one, and empty otherwise.
    MailKind.MFA_RESET: {"state": "requested", "effective_at": "2026-11-28 09:57 UTC"},
    MailKind.RECOVERY_CODE_USED: {"left": 9},
    # The state is `blocked` at a block of the throttle, `switched_off` once TOTP codes are for
    # unknown devices, `switched_off_there` once they are for a known one or for sessions.
    MailKind.SECOND_FACTOR_FAILING: {"state": "blocked"},
    MailKind.PASSKEY_FLAGGED: {"factor_name": "Phone"},
    # The name that the operator gave the app.
    MailKind.APP_AUTHORIZED: {"app": "Larkspur Wiki"},
    MailKind.SIGN_IN_CODE: {**_REQUEST, "code": "01234567", "minutes": 10},
    # The reason is `unverified`, or `second_factor` for an account that needs one.
    MailKind.SIGN_IN_CODE_REFUSED: {**_REQUEST, "reason": "unverified"},
    MailKind.ENROLLMENT_CODE: {**_REQUEST, "code": "01234567", "minutes": 10},
    # The name, from `plain_name`, may be empty.
    MailKind.API_KEY_CREATED: {**_REQUEST, "key_name": "Nightly report"},
    MailKind.IDENTITY_LINKED: _PROVIDER,
    MailKind.IDENTITY_UNLINKED: _PROVIDER,
}
"""Example values of each kind that has any. `flask doctor` and the tests render every mail with
them; a mail with other names of values is refused. Text that a user chose must pass through
`plain_name` before it becomes a value."""


def check_values(kind: MailKind, values: Values) -> None:
    """Raise unless a mail gets exactly the values that its kind declares.

    Raises:
        ValueError: a value is missing or not declared in `SAMPLE_VALUES`.
    """
    if values.keys() != SAMPLE_VALUES.get(kind, {}).keys():
        raise ValueError(f"{kind} needs the values that SAMPLE_VALUES declares for it")


MAX_NAME_LENGTH = 40
"""Characters of a name in a mail (chosen): enough for a greeting, too few for a message."""

_NAME_MARKS = "-'\u2019"
"""Characters that names keep besides letters."""


def plain_name(display_name: str | None) -> str:
    """Return the safe part of a display name for a mail: words of letters, at most 40 characters.

    A visitor can open an account with another person's address and choose its display name. So
    the result has nothing that a mail program could turn into a link; digits are removed too,
    since some programs link telephone numbers.
    """
    words = "".join(map(_plain_character, display_name or "")).split()
    return " ".join(words)[:MAX_NAME_LENGTH].rstrip()


def _plain_character(character: str) -> str:
    kind = unicodedata.category(character)[0]
    if kind in "LM" or character in _NAME_MARKS:
        return character
    # Control and format characters, such as joiners, occur inside words, so no space replaces them.
    return "" if kind == "C" and not character.isspace() else " "
