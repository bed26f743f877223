"""The API keys of the account: a list of them, the form that makes one, and the end of each.

These pages exist only with the feature `api-keys`, so they have a blueprint of their own. A new key
is in the answer to the form alone.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from flask import Response
from marshmallow import fields, pre_load, validate

from authserve.apikeys.create import create_key
from authserve.apikeys.errors import APIKeyNotFoundError, TooManyKeysError
from authserve.apikeys.listing import KeyView, find_keys
from authserve.apikeys.policy import NAME_MAX_LENGTH
from authserve.apikeys.revoke import revoke_key
from authserve.auth.browser_sessions import BrowserSession
from authserve.core.actor import Actor
from authserve.core.clock import now
from authserve.core.frozen import frozen
from authserve.http.callers import ACCOUNT_SCOPE
from authserve.http.fields import DisplayName
from authserve.http.limits import limited
from authserve.http.request_info import current_request_info
from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import key_blueprint, link_to, redirect_with_notice
from authserve.pages.scope_texts import describe_scopes
from authserve.pages.sign_in import WAIT
from authserve.ratelimit.errors import RateLimitedError
from authserve.ratelimit.policy import MAKE_API_KEY
from authserve.rbac.policy import Permission
from authserve.users.errors import EmailNotVerifiedError
from authserve.users.own_account import on_own_account
from authserve.web.access import (
    read_button,
    read_signed_in_form,
    require_fresh,
    require_signed_in,
)
from authserve.web.forms import Explanation, SignedInForm, Submission, submit
from authserve.web.languages import mark, translate_plural
from authserve.web.notices import open_notice
from authserve.web.rendering import see_other

LIST = "key_pages.show_keys"

LIFETIMES_DAYS = (7, 30, 90, 365)
"""The lifetimes that the form offers, in days (chosen); the API takes any between its bounds."""

DEFAULT_DAYS = 90

SCOPE_PREFIX = "scope."
"""The beginning of the checkboxes' names, since a form of ours has no field twice."""

VERIFY_ADDRESS = "verify-address"


class KeyForm(SignedInForm):
    """A key to make: its name, its lifetime, and a checkbox for each scope."""

    name = DisplayName(max_length=NAME_MAX_LENGTH, required=True)
    days = fields.Integer(required=True, validate=validate.OneOf(LIFETIMES_DAYS))
    scopes = fields.List(
        fields.String(), required=True, error_messages={"required": "Choose at least one."}
    )

    @pre_load
    def _collect_scopes(self, data: Mapping[str, str], **_kwargs: Any) -> dict[str, Any]:
        others = {name: text for name, text in data.items() if not name.startswith(SCOPE_PREFIX)}
        chosen = [name.removeprefix(SCOPE_PREFIX) for name in data if name not in others]
        return {**others, **({"scopes": chosen} if chosen else {})}


FORM = KeyForm()

EXPLANATIONS = {
    TooManyKeysError: Explanation(
        mark("An account can have 50 API keys. Revoke one that you do not use first.")
    ),
    EmailNotVerifiedError: Explanation(
        mark("Verify your email address first: a notice about each key goes there."),
        offers=frozenset({VERIFY_ADDRESS}),
    ),
    RateLimitedError: Explanation(WAIT),
}


@frozen(kw_only=True)
class ListedKey:
    """A key as the page shows it.

    Args:
        scopes: what it may do, in sentences.
        ip: the address that it was last used from, if it is known.
    """

    id: UUID
    name: str
    hint: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    is_expired: bool
    last_used_at: datetime | None
    ip: str | None


def _describe(key: KeyView, moment: datetime) -> ListedKey:
    return ListedKey(
        id=key.id,
        name=key.name,
        hint=key.hint,
        scopes=describe_scopes(key.scopes),
        created_at=key.created_at,
        expires_at=key.expires_at,
        is_expired=key.expires_at <= moment,
        last_used_at=key.last_used_at,
        ip=key.last_used_ip,
    )


@key_blueprint.get("/account/keys")
def show_keys() -> Response:
    """Show the keys of the account, newest first."""
    session, moment = require_signed_in(), now()
    return account_page(
        "account_keys.html",
        visitor=session,
        below=LIST,
        keys=[_describe(key, moment) for key in find_keys(session.account.id)],
        is_revoked=open_notice("keys") is not None,
    )


@key_blueprint.post("/account/keys/<uuid:key_id>/revoke")
def revoke_one_key(key_id: UUID) -> Response:
    """Revoke a key; one that is gone already, or is another user's, leads to the list too."""
    session = require_signed_in(back_to=LIST)
    read_button(session)
    try:
        revoke_key(
            session.actor.signed_in_user,
            key_id,
            actor=session.actor,
            request=current_request_info(),
        )
    except APIKeyNotFoundError:
        return see_other(link_to(LIST, ""))
    return redirect_with_notice(LIST, notice="keys")


@key_blueprint.get("/account/keys/new")
def show_new_key() -> Response:
    """Show the form that makes a key."""
    session = require_signed_in()
    require_fresh(session)
    given = {"days": str(DEFAULT_DAYS), f"{SCOPE_PREFIX}{ACCOUNT_SCOPE}": "1"}
    return _show(session, Submission(given=given))


@key_blueprint.post("/account/keys/new")
def make_key() -> Response:
    """Make a key, and show it this once."""
    session = require_signed_in()
    submission = read_signed_in_form(FORM, session)
    require_fresh(session)
    return submit(
        submission,
        partial(_make, session=session),
        show=partial(_show, session),
        explanations=EXPLANATIONS,
    )


@limited(MAKE_API_KEY)
@on_own_account
def _make(values: dict[str, Any], *, session: BrowserSession) -> Response:
    made = create_key(
        name=values["name"],
        scopes=values["scopes"],
        expires_in=timedelta(days=values["days"]),
        actor=session.actor,
        request=current_request_info(),
    )
    return account_page("account_key_shown.html", visitor=session, below=LIST, made=made)


def _show(session: BrowserSession, form: Submission) -> Response:
    scopes = [ACCOUNT_SCOPE, *sorted(_find_permissions(session.actor))]
    return account_page(
        "account_key_new.html",
        visitor=session,
        below=LIST,
        form=form,
        scopes=list(zip(scopes, describe_scopes(scopes), strict=True)),
        scope_prefix=SCOPE_PREFIX,
        lifetimes=[(days, _describe_days(days)) for days in LIFETIMES_DAYS],
    )


def _describe_days(days: int) -> str:
    return translate_plural("%(count)d day", "%(count)d days", days)


def _find_permissions(actor: Actor) -> frozenset[str]:
    """Return the permissions that the form offers; the API takes all others of an `admin`, too."""
    return actor.permissions | frozenset(Permission if actor.holds_everything else ())
