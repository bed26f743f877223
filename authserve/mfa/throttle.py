"""The throttle of second proofs: counts them before they are compared, and reports wrong ones.

It has a counter of its own for each kind of caller: unknown devices, each device on which a second
factor was proven before, and the account's sessions. Only a completed second step clears a counter,
and only its own one. Strangers cannot fill it, since the password comes first.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from authserve.core.actor import VISITOR, Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.events import AuditAction, Outcome
from authserve.core.frozen import frozen
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.mail.notices import notify
from authserve.mail.policy import MailKind
from authserve.mfa.assurance import ProofFailure
from authserve.mfa.pending import find_devices
from authserve.outbox.inspect import is_owed_since
from authserve.ratelimit.throttle import count_attempt, end_blocks
from authserve.ratelimit.throttle_keys import ThrottleKey, second_factor_key
from authserve.users.credentials import MAX_FAILED_SECOND_FACTORS, Credentials
from authserve.users.sign_ins import count_wrong_second_proof

logger = logging.getLogger(__name__)

MAIL_INTERVAL = timedelta(days=1)
"""Least time between two mails to one account about blocks (chosen: an attacker who knows the
password can begin one every six minutes)."""


@frozen(kw_only=True)
class Prover:
    """The caller of a second step.

    Args:
        account: the account that the first step or the access token has identified.
        device_id: of the device, if a second factor was proven on it before.
        actor: the signed-in user who steps up; a visitor during a sign-in.
        request: for the audit events.
    """

    account: Credentials
    device_id: str | None = None
    actor: Actor = VISITOR
    request: RequestInfo

    @property
    def key(self) -> ThrottleKey:
        """The key of the counter."""
        return second_factor_key(
            self.account.ref.id,
            device_id=self.device_id,
            is_signed_in=self.actor.user is not None,
        )

    def accepts_codes(self, hits: int) -> bool:
        """Return False if a hundred wrong proofs have switched TOTP off for callers like this one.

        Args:
            hits: from `count_second_proof`, whose counter a completed second step clears.
        """
        if self.key.is_of_stranger:
            return not self.account.is_totp_switched_off
        return hits <= MAX_FAILED_SECOND_FACTORS


def count_second_proof(prover: Prover) -> int:
    """Count a second proof before it is compared; see `ratelimit.throttle.count_attempt`.

    Raises:
        TooManyAttemptsError: too many were wrong; the right one waits too.
    """
    return count_attempt(prover.key)


def forget_second_proofs(prover: Prover) -> None:
    """Clear the caller's counter after a completed second step, in the open transaction."""
    end_blocks([prover.key])


def end_second_factor_blocks(user_id: UUID) -> None:
    """End every block on an account's second proofs, in the open transaction.

    Those of unknown devices, of sessions and of each known device have counters of their own.
    """
    devices = [second_factor_key(user_id, device_id=each) for each in find_devices(user_id)]
    signed_in = second_factor_key(user_id, is_signed_in=True)
    end_blocks([second_factor_key(user_id), signed_in, *devices])


def record_wrong_proof(prover: Prover, failure: ProofFailure, *, hits: int) -> None:
    """Audit a wrong second proof before it is answered (ASVS 16.3.1), and commit.

    The owner gets a mail about blocks (ASVS 6.3.5: the password was right), at most one in
    `MAIL_INTERVAL`, and another when TOTP is switched off for the caller and those like it.

    Args:
        prover: the caller.
        failure: what was wrong.
        hits: from `count_second_proof`.
    """
    logger.info("second factor refused", extra={"reason": failure})
    key = prover.key
    with transaction(durable=True):
        if key.is_of_stranger and count_wrong_second_proof(prover.account.ref.id):
            _report(prover, AuditAction.FACTOR_SWITCHED_OFF, {"factor": "totp"})
            _warn(prover, "switched_off")
        if not key.is_of_stranger and hits == MAX_FAILED_SECOND_FACTORS:
            details = {"factor": "totp", "counted_by": key.counted}
            _report(prover, AuditAction.FACTOR_SWITCHED_OFF, details)
            _warn(prover, "switched_off_there")
        _report(prover, AuditAction.SESSION_SECOND_FACTOR_FAILED, {"reason": failure})
        if hits >= key.rule.limit:
            details = {"counted_by": key.counted}
            _report(prover, AuditAction.SESSION_SECOND_FACTOR_THROTTLED, details)
            if not _is_warned(prover):
                _warn(prover, "blocked")


def _report(prover: Prover, action: AuditAction, details: Mapping[str, str]) -> None:
    emit(
        action,
        outcome=Outcome.FAILURE,
        actor=prover.actor,
        subject=prover.account.ref,
        request=prover.request,
        details=details,
    )


def _is_warned(prover: Prover) -> bool:
    since = now() - MAIL_INTERVAL
    return is_owed_since(MailKind.SECOND_FACTOR_FAILING, prover.account.ref.id, since=since)


def _warn(prover: Prover, state: str) -> None:
    account = prover.account
    values = {"state": state}
    notify(MailKind.SECOND_FACTOR_FAILING, account.email, account.ref.id, values=values)
