"""The checks that a provider's answer can fail, for the metric that counts them.

It is small because the modules that check an answer must not import each other for it.
"""

from collections.abc import Callable
from enum import StrEnum

from authserve.core.container import Slot


class AnswerFault(StrEnum):
    """The check that a provider's answer failed.

    `FORM`: the answer is no JSON, or a part is missing. `METADATA`: the discovery document is not
    usable. `ISSUER`: the answer names another issuer. `ERROR`: an error came in place of a code.
    `CODE`: the provider refused the code. The others are checks of the ID token.
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
"""A function that is called with the provider's slug and the check for each failed sign-in."""

FAULT_OBSERVER = Slot[FaultObserver]("fault_observer")
"""Filled only if metrics are on."""
