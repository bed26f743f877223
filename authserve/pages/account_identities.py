"""The services by which the user of an account signs in: their list, and unlinking one."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from flask import Response

from authserve.auth.browser_sessions import BrowserSession
from authserve.core.frozen import frozen
from authserve.federation.identities import MAX_IDENTITIES
from authserve.federation.own_identities import (
    OwnIdentity,
    find_own_identities,
    get_own_identity,
    unlink_identity,
)
from authserve.federation.registry import Provider, list_providers
from authserve.http.pagination import MAX_LIMIT
from authserve.http.request_info import current_request_info
from authserve.mfa.errors import LastCredentialError
from authserve.pages.account_connections import LIST
from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import provider_blueprint, redirect_with_notice
from authserve.pages.factor_changes import (
    EXPLANATIONS,
    Consequence,
    read_pressed_change,
    require_session_for_change,
)
from authserve.users.own_account import on_own_account
from authserve.web.forms import Explanation, Submission, submit
from authserve.web.languages import mark
from authserve.web.notices import open_notice

NOTICE_KIND = "identities"

UNLINK_EXPLANATIONS = {
    **EXPLANATIONS,
    LastCredentialError: Explanation(
        mark("Nothing else would open this account. Set a password first.")
    ),
}


@frozen()
class IdentitySection:
    """The section of the page of connections.

    Args:
        identities: newest first.
        others: enabled providers at which the account has no identity; empty if it is full.
        is_full: True if the account has as many identities as it may have.
        done: what has just been done, if anything.
    """

    identities: Sequence[OwnIdentity]
    others: Sequence[Provider]
    is_full: bool
    done: str | None


def find_section(session: BrowserSession) -> IdentitySection:
    """Return the account's identities, and the providers that can be linked too."""
    identities = find_own_identities(session.account.id, limit=MAX_LIMIT)
    issuers = {own.identity.issuer for own in identities}
    enabled = [each for each in list_providers() if each.configuration.enabled]
    is_full = len(identities) >= MAX_IDENTITIES
    others = [each for each in enabled if each.configuration.issuer not in issuers and not is_full]
    notice = open_notice(NOTICE_KIND)
    done = notice["done"] if notice is not None else None
    return IdentitySection(identities, others, is_full, done)


def redirect_to_connections(done: str) -> Response:
    """Return the redirect after a change, to the page that says what was done.

    Args:
        done: one of the notices in `account_identities.html`.
    """
    return redirect_with_notice(LIST, notice=NOTICE_KIND, done=done)


@provider_blueprint.get("/account/apps/identities/<uuid:identity_id>/unlink")
def show_unlinking(identity_id: UUID) -> Response:
    """Ask whether to unlink an identity, and say what follows."""
    return _show(require_session_for_change(), identity_id, Submission())


@provider_blueprint.post("/account/apps/identities/<uuid:identity_id>/unlink")
def unlink_own_identity(identity_id: UUID) -> Response:
    """Unlink an identity; every other session ends."""
    session, submission = read_pressed_change()
    return submit(
        submission,
        partial(_unlink, session=session, identity_id=identity_id),
        show=partial(_show, session, identity_id),
        explanations=UNLINK_EXPLANATIONS,
    )


@on_own_account
def _unlink(_values: dict[str, Any], *, session: BrowserSession, identity_id: UUID) -> Response:
    unlink_identity(
        session.actor.signed_in_user,
        identity_id,
        actor=session.actor,
        request=current_request_info(),
    )
    return redirect_to_connections("unlinked")


def _show(session: BrowserSession, identity_id: UUID, form: Submission) -> Response:
    return account_page(
        "account_identity_unlink.html",
        visitor=session,
        below=LIST,
        form=form,
        own=get_own_identity(session.account.id, identity_id),
        consequence=Consequence.NONE,
    )
