"""People and sessions made past the HTTP edge; inside an application context."""

from authserve.auth.start_session import start_session
from authserve.core.actor import RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.levels import Level, amr_of
from authserve.database.transactions import transaction
from authserve.mfa.assurance import Enough
from authserve.settings.model import SETTINGS
from authserve.tokens.access import LiveSession
from authserve.users.accounts import NewUser, add_user, ref_of
from authserve.users.credentials import get_credentials
from authserve.users.passwords import record_login

REQUEST = RequestInfo(ip="192.0.2.1", user_agent="curl/8.5", correlation_id="test-1")


PASSWORD = Enough(Level.AAL1, ("pwd",))
"""The assessment of a sign-in with a password."""


def make_user(name: str) -> UserRef:
    """An account without a password."""
    with transaction():
        return ref_of(add_user(NewUser(email=f"{name}@example.com", username=name)))


def make_session(user: UserRef, *, level: Level = Level.AAL1) -> LiveSession:
    """A sign-in of an account that `make_user` made."""
    with transaction():
        assert record_login(
            user.id, verified_version=0, is_known_device=False, level=level, now=now()
        )
        found = Enough(level, amr_of(["pwd"], level))
        return start_session(
            get_credentials(user.id),
            found=found,
            is_known_device=False,
            request=REQUEST,
            settings=SETTINGS.get(),
            now=now(),
        )
