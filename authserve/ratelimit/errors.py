"""Too often."""

from authserve.core.errors import ThrottledError


class TooManyAttemptsError(ThrottledError):
    """Too many wrong passwords came before; the right one has to wait as well."""

    code = "too_many_attempts"
    default_detail = "Too many attempts. Wait a while, then try again."
