"""Too often."""

from authserve.core.errors import ThrottledError


class TooManyAttemptsError(ThrottledError):
    """Too many wrong passwords came before; the right one has to wait as well."""

    code = "too_many_attempts"
    default_detail = "Too many attempts. Wait a while, then try again."


class RateLimitedError(ThrottledError):
    """The call came more often than one of its limits allows."""

    code = "rate_limited"
    default_detail = "Too many requests. Wait a while, then try again."
