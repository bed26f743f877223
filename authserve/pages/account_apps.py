"""The apps that can use the account, and how their access ends."""

from datetime import datetime

from flask import Response

from authserve.auth.browser_sessions import BrowserSession
from authserve.clients.configuration import OFFLINE_SCOPE
from authserve.core.frozen import frozen
from authserve.http.request_info import current_request_info
from authserve.oidc.apps import AuthorizedApp, list_apps, withdraw_app
from authserve.oidc.errors import AppNotFoundError
from authserve.pages.account_connections import LIST
from authserve.pages.blueprint import app_blueprint, link_to, redirect_with_notice
from authserve.pages.scope_texts import describe_scopes
from authserve.users.own_account import on_own_account
from authserve.web.access import read_button, require_signed_in
from authserve.web.notices import open_notice
from authserve.web.rendering import see_other


@frozen(kw_only=True)
class ListedApp:
    """An app as the page shows it.

    Args:
        rights: what it may do, in words.
        is_offline: True if it may go on while its user is away.
        home_uri: the app's own page, if the operator names one.
        granted_at: None for an app of the operator, which needs no consent.
    """

    client_id: str
    name: str
    rights: list[str]
    is_offline: bool
    home_uri: str | None
    granted_at: datetime | None
    last_used_at: datetime | None


def _describe(app: AuthorizedApp) -> ListedApp:
    configuration = app.client.configuration
    return ListedApp(
        client_id=app.client.client_id,
        name=configuration.name,
        rights=describe_scopes(app.scopes),
        is_offline=OFFLINE_SCOPE in app.scopes,
        home_uri=configuration.home_uri,
        granted_at=app.granted_at,
        last_used_at=app.last_used_at,
    )


@frozen()
class AppSection:
    """The section of the page of connections.

    Args:
        is_ended: True if the access of an app has just ended.
    """

    apps: list[ListedApp]
    is_ended: bool


def find_section(session: BrowserSession) -> AppSection:
    """Return the apps that can use the account."""
    apps = [_describe(app) for app in list_apps(session.account.id)]
    return AppSection(apps, open_notice("apps") is not None)


@app_blueprint.post("/account/apps/<client_id>/end")
@on_own_account
def end_app(client_id: str) -> Response:
    """End the access of an app; one that has none (any more) leads to the list, too."""
    session = require_signed_in(back_to=LIST)
    read_button(session)
    try:
        withdraw_app(
            session.actor.signed_in_user,
            client_id,
            actor=session.actor,
            request=current_request_info(),
        )
    except AppNotFoundError:
        return see_other(link_to(LIST, ""))
    return redirect_with_notice(LIST, notice="apps")
