"""The identity provider: apps sign users in."""

from flask import Flask

from authserve.admin.personal_data import FURTHER_LISTS
from authserve.auth.introspection import INTROSPECTORS
from authserve.auth.logout import OTHER_GRANTS
from authserve.clients.registry import DELETE_UNUSED_CODES, find_names
from authserve.clients.routes import blueprint as clients_blueprint
from authserve.clients.spa_origins import SPAOrigins
from authserve.clients.status import LOGOUT_DELIVERIES
from authserve.core.events import SUBSCRIPTIONS, AuditAction
from authserve.features.part import Part
from authserve.http.callers import AUTHENTICATORS
from authserve.http.cors import install_cors_of_paths
from authserve.keys.families import RS256
from authserve.keys.store import APP_KEY_STORE, KeyStore
from authserve.oidc.api_callers import authenticate_client_token
from authserve.oidc.app_routes import blueprint as apps_blueprint
from authserve.oidc.apps import export_apps, withdraw_all_apps
from authserve.oidc.authorize_routes import blueprint as authorize_blueprint
from authserve.oidc.codes import delete_unused_codes
from authserve.oidc.introspect import inspect_client_token
from authserve.oidc.logout_deliveries import find_logout_deliveries
from authserve.oidc.logout_routes import blueprint as logout_blueprint
from authserve.oidc.logout_tokens import enqueue_logout_tokens
from authserve.oidc.routes import CORS_PATHS, blueprint
from authserve.pages.account_apps import find_section
from authserve.pages.account_connections import SECTIONS
from authserve.pages.app_routes import app_blueprint
from authserve.sessions.client_names import CLIENT_NAMES
from authserve.sessions.ending import APP_SESSIONS_ENDED, end_app_sessions_of_deleted
from authserve.sessions.revoke import end_online_sessions


def add(app: Flask) -> None:
    """Add the calls and pages of the protocols, and the apps of each account."""
    for each in (blueprint, authorize_blueprint, logout_blueprint, app_blueprint):
        app.register_blueprint(each)
    install_cors_of_paths(app, paths=CORS_PATHS, find_origins=SPAOrigins().find)
    APP_KEY_STORE.fill(app, KeyStore(RS256))
    AUTHENTICATORS.add(app, authenticate_client_token)
    INTROSPECTORS.add(app, inspect_client_token)
    CLIENT_NAMES.fill(app, find_names)
    SECTIONS.add(app, ("apps", find_section))
    OTHER_GRANTS.add(app, ("apps", withdraw_all_apps))
    FURTHER_LISTS.add(app, ("apps", export_apps))
    APP_SESSIONS_ENDED.fill(app, enqueue_logout_tokens)
    LOGOUT_DELIVERIES.fill(app, find_logout_deliveries)
    DELETE_UNUSED_CODES.fill(app, delete_unused_codes)
    # First, so that the event of each parent is recorded after those of the sessions below it.
    SUBSCRIPTIONS.add_first(
        app,
        ({AuditAction.SESSION_REVOKED}, end_online_sessions),
        ({AuditAction.USER_DELETED}, end_app_sessions_of_deleted),
    )


PART = Part(add=add, blueprints=(clients_blueprint, apps_blueprint))
