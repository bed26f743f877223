"""The use case that replaces an account's recovery codes."""

from datetime import datetime
from enum import Enum, auto

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.mail.notices import notify
from authserve.mail.policy import MailKind
from authserve.mfa.errors import NoFactorError
from authserve.mfa.recovery_codes import find_code_set, replace_codes
from authserve.mfa.switch import lock_owner, require_may_change
from authserve.users.errors import ChangedMeanwhileError


class AnyCodes(Enum):
    """The type of `ANY_CODES`."""

    ANY = auto()


ANY_CODES = AnyCodes.ANY
"""Any set of recovery codes, in place of the time when one was made."""


def renew_recovery_codes(
    user: UserRef, *, replaces: datetime | AnyCodes | None, actor: Actor, request: RequestInfo
) -> tuple[str, ...]:
    """Make new recovery codes for an account; the former ones are void.

    Args:
        user: the account.
        replaces: the `created_at` of the codes that the caller means to replace; None if there were
            none; `ANY_CODES` for any.
        actor, request: for the audit event.

    Raises:
        NoFactorError: it has no usable factor that codes could replace.
        ChangedMeanwhileError: its codes are not those that `replaces` names.
        SessionRevokedError, StepUpRequiredError: see `switch.require_may_change`.
        UserNotFoundError: the account is gone or deactivated.
    """
    with transaction():
        owner = lock_owner(user.id)
        require_may_change(owner, actor)
        if not owner.factors.has_usable:
            raise NoFactorError
        if replaces is not ANY_CODES and find_code_set(user.id).created_at != replaces:
            raise ChangedMeanwhileError("There are newer recovery codes: read when they were made.")
        codes = replace_codes(user.id, now=now())
        emit(AuditAction.RECOVERY_CODES_RENEWED, actor=actor, subject=user, request=request)
        notify(MailKind.RECOVERY_CODES_RENEWED, owner.email, user.id)
    return codes
