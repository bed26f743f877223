"""Errors of the throttle and the limits."""

from authserve.core.errors import ThrottledError


class TooManyAttemptsError(ThrottledError):
    """Too many wrong passwords came before; until the block ends, the right one is refused too."""

    code = "too_many_attempts"
    default_detail = "Too many attempts. Wait a while, then try again."


class RateLimitedError(ThrottledError):
    """The call exceeded one of its limits."""

    code = "rate_limited"
    default_detail = "Too many requests. Wait a while, then try again."
