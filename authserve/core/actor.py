"""The actor of a call and the origin of its request, as plain values for use cases."""

from uuid import UUID

from authserve.core.errors import InsufficientPermissionsError, StepUpRequiredError
from authserve.core.frozen import frozen
from authserve.core.levels import Level

USER_AGENT_MAX_LENGTH = 512
"""In characters; longer user agents are cut, as they are displayed but never compared (chosen)."""


@frozen()
class UserRef:
    """A reference to a user, for events.

    `audit_id` identifies the user in audit events: it is the id itself, or a random id for
    accounts that are older than ids in events.
    """

    id: UUID
    audit_id: UUID


@frozen(kw_only=True)
class Actor:
    """The actor of a call: a user, a machine, an unidentified visitor, or the operator.

    Args:
        user: None for a machine, a visitor and the command line.
        client_id: of a machine that acts in its own name; None for all others.
        session_id: the session that the access token belongs to.
        api_key_id: the user's API key that made the call instead of a session.
        level: the level of that session.
        roles: names of the user's roles that have effect in that session.
        permissions: the permissions of those roles, read during the token check, so never stale.
        holds_everything: True for administrators and the operator. They have and may grant every
            permission, including those that only other services use.
        sleeping_permissions: what the user's other roles add at `AAL2`: roles with `requires_mfa`
            have no effect below it.
        is_sleeping_admin: True if `holds_everything` would be True at `AAL2`.
    """

    user: UserRef | None = None
    client_id: str | None = None
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    level: Level = Level.AAL1
    roles: tuple[str, ...] = ()
    permissions: frozenset[str] = frozenset()
    holds_everything: bool = False
    sleeping_permissions: frozenset[str] = frozenset()
    is_sleeping_admin: bool = False

    @property
    def signed_in_user(self) -> UserRef:
        """The user, for callers behind a token check.

        Raises:
            LookupError: the actor has no user; the route does not require a token.
        """
        if self.user is None:
            raise LookupError("no user is signed in")
        return self.user

    @property
    def current_session_id(self) -> UUID:
        """The id of the session, for callers behind a token check.

        Raises:
            LookupError: the actor has no session; the route does not require a token.
        """
        if self.session_id is None:
            raise LookupError("no session is there")
        return self.session_id

    def has_permissions(self, permissions: frozenset[str]) -> bool:
        """Return True if the actor has all of `permissions`."""
        return self.holds_everything or permissions <= self.permissions

    def require_permissions(self, permissions: frozenset[str]) -> None:
        """Refuse an actor who lacks one of `permissions`.

        Raises:
            StepUpRequiredError: a second factor would give the actor all of them.
            InsufficientPermissionsError: it would not.
        """
        if self.has_permissions(permissions):
            return
        raise StepUpRequiredError if self.would_have(permissions) else InsufficientPermissionsError

    def require_everything(self) -> None:
        """Refuse an actor who is no administrator.

        Raises:
            StepUpRequiredError, InsufficientPermissionsError: see `require_permissions`.
        """
        if self.holds_everything:
            return
        raise StepUpRequiredError if self.is_sleeping_admin else InsufficientPermissionsError

    def would_have(self, permissions: frozenset[str]) -> bool:
        """Return True if the actor has all of `permissions` at `AAL2`."""
        return self.is_sleeping_admin or permissions <= (
            self.permissions | self.sleeping_permissions
        )


VISITOR = Actor()

OPERATOR = Actor(holds_everything=True)
"""The operator at the command line, who has every permission.

Audit events of the operator have no actor; their user agent is the command.
"""


@frozen()
class RequestInfo:
    """The origin of a call, for sessions, limits and audit events.

    Args:
        ip: the client's address as the trusted proxies report it; None at the command line.
        user_agent: at most `USER_AGENT_MAX_LENGTH` characters, without control characters.
        correlation_id: links the log lines, problem body and audit events of one request.
    """

    ip: str | None = None
    user_agent: str | None = None
    correlation_id: str | None = None
