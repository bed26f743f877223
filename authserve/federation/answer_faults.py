"""The checks that a provider's answer can fail, for the metric that counts them.

It is small because the modules that check an answer must not import each other for it.
"""

from collections.abc import Callable
from enum import StrEnum

from authserve.core.container import Slot


class AnswerFault(StrEnum):
    """The check that failed.

    An answer can be unreadable, a discovery document that cannot be used, of another issuer, an
    error in the place of a code, or a refusal of the code. An ID token can have a wrong signature
    or form, or another audience, nonce, time or subject than it must have.
    """

    FORM = "form"
    METADATA = "metadata"
    ISSUER = "issuer"
    ERROR = "error"
    CODE = "code"
    SIGNATURE = "signature"
    AUDIENCE = "audience"
    NONCE = "nonce"
    TIMES = "times"
    SUBJECT = "subject"


FaultObserver = Callable[[str, AnswerFault], None]
"""A function that learns of each sign-in that fails a check: the provider's slug, the check."""

FAULT_OBSERVER = Slot[FaultObserver]("fault_observer")
"""Filled only if metrics are on."""
