"""Authentication of calls by API key. It is small because `features/api_keys.py` adds it alone."""

from authserve.apikeys.use import UnknownKeyError, use_key
from authserve.core.clock import now
from authserve.http.callers import Authentication, CallerKind
from authserve.http.limits import count_call
from authserve.http.request_info import current_request_info
from authserve.ratelimit.policy import UNKNOWN_API_KEYS
from authserve.settings.model import SETTINGS


def authenticate_api_key(text: str) -> Authentication:
    """Return the owner of an API key, with the permissions that the key has.

    The level that the account needs is not checked: the key was made in a session that had it.

    Raises:
        InvalidTokenError: the text is no good key; see `use_key`.
        TokenExpiredError: the key has expired.
        RateLimitedError: the client's address has sent too many unknown keys.
    """
    try:
        found = use_key(text, ip=current_request_info().ip, now=now())
    except UnknownKeyError:
        if SETTINGS.get().ratelimit_enabled:
            count_call([UNKNOWN_API_KEYS], ())
        raise
    return Authentication(
        actor=found.actor,
        found_account=found.account,
        kind=CallerKind.API_KEY,
        claims={},
        scopes=found.effective_scopes,
    )
