"""The end of all sessions that were begun by one provider.

It is small because the registry of providers has nothing to do with sessions.
"""

from authserve.core.actor import Actor, RequestInfo
from authserve.database.transactions import transaction
from authserve.federation.registry import get_provider
from authserve.mfa.pending import end_pending_of_provider
from authserve.sessions.revoke import end_sessions_of_provider


def end_sessions_by_provider(slug: str, *, actor: Actor, request: RequestInfo) -> int:
    """End the sessions and the pending sign-ins that were begun by a provider.

    The provider itself is unchanged, and may be deleted already.

    Returns:
        The number of sessions, those of apps included.

    Raises:
        ProviderNotFoundError: there is neither a provider of this slug nor a session.
    """
    with transaction():
        # In the order in which rows are locked.
        end_pending_of_provider(slug)
        count = end_sessions_of_provider(slug, actor=actor, request=request)
        if not count:
            get_provider(slug)
    return count
