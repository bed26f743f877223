"""Who acts, and from where: plain values that services take instead of a request."""

from dataclasses import dataclass
from uuid import UUID

USER_AGENT_MAX_LENGTH = 512
"""Longer ones are cut; they are shown to people, never compared (chosen)."""


@dataclass(frozen=True, slots=True)
class UserRef:
    """A user as events name them.

    `audit_id` is what audit events hold of the user: the id itself, or a random id for accounts
    that were made before events held ids.
    """

    id: UUID
    audit_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: a signed-in user, or nobody that the service can name (a visitor, an operator).

    Args:
        user: None for a visitor and for the command line.
        session_id: the session that the access token belongs to.
        roles: names of the user's roles.
        permissions: what those roles allow, read with the token check, so never stale.
        holds_everything: whether the actor is an administrator, who may also do and grant what
            only other services give a meaning to.
    """

    user: UserRef | None = None
    session_id: UUID | None = None
    roles: tuple[str, ...] = ()
    permissions: frozenset[str] = frozenset()
    holds_everything: bool = False

    @property
    def signed_in_user(self) -> UserRef:
        """The user, where a token check has proven that there is one.

        Raises:
            LookupError: the actor is a visitor; the caller forgot to ask for a token.
        """
        if self.user is None:
            raise LookupError("nobody is signed in")
        return self.user

    def has_permission(self, permission: str) -> bool:
        """Whether one of the actor's roles carries `permission`."""
        return self.holds_everything or permission in self.permissions

    def has_permissions(self, permissions: frozenset[str]) -> bool:
        """Whether the actor's roles carry all of `permissions`."""
        return self.holds_everything or permissions <= self.permissions


VISITOR = Actor()

OPERATOR = Actor(holds_everything=True)
"""The operator at the command line, who may do what every permission allows.

Audit events name no user as actor then; their user agent is the command.
"""


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """Where a call comes from, for sessions, limits and audit events.

    Args:
        ip: the client's address as the trusted proxies tell it; None off the network.
        user_agent: at most `USER_AGENT_MAX_LENGTH` characters, without control characters.
        correlation_id: ties log lines, problem bodies and audit events together.
    """

    ip: str | None = None
    user_agent: str | None = None
    correlation_id: str | None = None
