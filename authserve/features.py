"""The optional parts of the service: each is imported here, and only if the settings ask for it.

A part that is off loads no module, sends no statement and answers 404. `FEATURES` names the parts;
metrics are switched on by their token, mailed sign-in codes by `EMAIL_SIGN_IN`. What a part adds to
others (routes, subscriptions, sources of metrics), its function below adds, after everything that
is always on.

The imports inside the functions are the purpose of this module; import-linter sees them too.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from flask import Flask

from authserve import __version__
from authserve.admin.personal_data import FURTHER_LISTS
from authserve.auth.introspection import INTROSPECTORS, KEY_INTROSPECTOR
from authserve.core.events import SUBSCRIPTIONS, AuditAction, Subscription
from authserve.health.report import FEATURE_CHECKS, FEATURE_DATA_CHECKS
from authserve.http.callers import AUTHENTICATORS
from authserve.http.openapi import Blueprint
from authserve.keys.families import RS256
from authserve.keys.store import APP_KEY_STORE, KeyStore
from authserve.passwords.hasher import PASSWORD_HASHER
from authserve.settings.model import SETTINGS, Settings
from authserve.transfer.account_parts import ACCOUNT_PARTS, AccountPart

_TEMPLATES = {"oidc": "authserve.oidc", "forward-auth": "authserve.forwardauth"}
"""The packages of features that have templates of their own."""


def _add_client_checks(app: Flask) -> None:
    from authserve.health.client_checks import DATA_CHECKS, check_issuer

    FEATURE_CHECKS.add(app, check_issuer)
    FEATURE_DATA_CHECKS.add(app, *DATA_CHECKS)


def _add_pages(app: Flask) -> None:
    """Add the pages on which people sign in, and lead browsers to them."""
    from authserve.http.root import START_PAGE
    from authserve.pages.checks import check_page_templates, check_pages
    from authserve.pages.routes import START_PATH, blueprint
    from authserve.web.setup import add_web

    features = SETTINGS.of(app).features
    others = [package for name, package in _TEMPLATES.items() if name in features]
    add_web(app, packages=["authserve.pages", *others])
    app.register_blueprint(blueprint)
    START_PAGE.fill(app, START_PATH)
    FEATURE_CHECKS.add(app, check_pages, check_page_templates)


def _add_oidc(app: Flask) -> None:
    """Add the identity provider: its calls and pages."""
    from authserve.auth.logout import OTHER_GRANTS
    from authserve.clients.registry import find_names
    from authserve.clients.spa_origins import SPAOrigins
    from authserve.clients.status import LOGOUT_DELIVERIES
    from authserve.http.cors import install_cors_of_paths
    from authserve.oidc.api_callers import authenticate_client_token
    from authserve.oidc.apps import export_apps, withdraw_all_apps
    from authserve.oidc.authorize_routes import blueprint as authorize_blueprint
    from authserve.oidc.backchannel import HANDLERS, LOGOUT_SENDER, LogoutSender
    from authserve.oidc.codes import purge_dead_codes
    from authserve.oidc.introspect import inspect_client_token
    from authserve.oidc.logout_deliveries import find_logout_deliveries
    from authserve.oidc.logout_routes import blueprint as logout_blueprint
    from authserve.oidc.logout_tokens import enqueue_logout_tokens
    from authserve.oidc.routes import CORS_PATHS, blueprint
    from authserve.outbox.worker import MESSAGE_HANDLERS, PURGE_TASKS
    from authserve.sessions.client_names import CLIENT_NAMES
    from authserve.sessions.ending import APP_SESSIONS_ENDED, end_app_sessions_of_deleted
    from authserve.sessions.revoke import end_online_sessions

    APP_KEY_STORE.fill(app, KeyStore(RS256))
    app.register_blueprint(blueprint)
    app.register_blueprint(authorize_blueprint)
    app.register_blueprint(logout_blueprint)
    if "pages" in SETTINGS.of(app).features:
        # Imported here, because they belong to both features.
        from authserve.pages.account_apps import find_section
        from authserve.pages.account_connections import SECTIONS
        from authserve.pages.app_routes import app_blueprint

        app.register_blueprint(app_blueprint)
        SECTIONS.add(app, ("apps", find_section))
    _add_client_checks(app)
    AUTHENTICATORS.add(app, authenticate_client_token)
    INTROSPECTORS.add(app, inspect_client_token)
    install_cors_of_paths(app, paths=CORS_PATHS, find_origins=SPAOrigins().find)
    CLIENT_NAMES.fill(app, find_names)
    OTHER_GRANTS.add(app, ("apps", withdraw_all_apps))
    FURTHER_LISTS.add(app, ("apps", export_apps))
    PURGE_TASKS.add(app, purge_dead_codes)
    LOGOUT_SENDER.fill(app, LogoutSender(SETTINGS.of(app).outbound_hosts))
    MESSAGE_HANDLERS.add(app, *HANDLERS.items())
    APP_SESSIONS_ENDED.fill(app, enqueue_logout_tokens)
    LOGOUT_DELIVERIES.fill(app, find_logout_deliveries)
    subscriptions: tuple[Subscription, ...] = (
        ({AuditAction.SESSION_REVOKED}, end_online_sessions),
        ({AuditAction.USER_DELETED}, end_app_sessions_of_deleted),
    )
    # First, so that the event of each parent is recorded after those of the sessions below it.
    SUBSCRIPTIONS.add_first(app, *subscriptions)


def _add_api_keys(app: Flask) -> None:
    """Add the keys of users' programs; their calls are in `optional_blueprints`."""
    from authserve.apikeys.authenticate import authenticate_api_key
    from authserve.apikeys.listing import export_keys
    from authserve.apikeys.records import KeyRecordSchema, read_key_documents, write_key_records
    from authserve.apikeys.revoke import revoke_all_keys, revoke_keys_on_reset
    from authserve.apikeys.verify import inspect_key
    from authserve.auth.logout import OTHER_GRANTS
    from authserve.health.api_key_checks import check_api_keys

    if "pages" in SETTINGS.of(app).features:
        # Imported here, because they belong to both features.
        from authserve.pages.key_routes import key_blueprint

        app.register_blueprint(key_blueprint)
    AUTHENTICATORS.add(app, authenticate_api_key)
    KEY_INTROSPECTOR.fill(app, inspect_key)
    FEATURE_DATA_CHECKS.add(app, check_api_keys)
    FURTHER_LISTS.add(app, ("api_keys", export_keys))
    part = AccountPart(
        name="api_keys",
        schema=KeyRecordSchema(),
        read=read_key_documents,
        write=write_key_records,
    )
    ACCOUNT_PARTS.add(app, part)
    OTHER_GRANTS.add(app, ("api-keys", revoke_all_keys))
    resets = frozenset({AuditAction.USER_PASSWORD_RESET, AuditAction.MFA_RESET})
    SUBSCRIPTIONS.add_first(app, (resets, revoke_keys_on_reset))


def _add_forward_auth(app: Flask) -> None:
    """Add the call of reverse proxies, and the pages at the hosts of their applications."""
    # These modules add their views to the blueprint.
    from authserve.forwardauth import page_routes, routes  # noqa: F401
    from authserve.forwardauth.blueprint import blueprint
    from authserve.health.proxy_checks import check_networks, check_origins

    app.register_blueprint(blueprint)
    FEATURE_CHECKS.add(app, check_networks)
    FEATURE_DATA_CHECKS.add(app, check_origins)


def _add_federation(app: Flask) -> None:
    """Add sign-in by other providers: the calls to them, their pages and buttons."""
    from authserve.core.breakers import FURTHER_BREAKERS
    from authserve.core.crypto import FURTHER_SECRETS
    from authserve.core.outbound import OutboundClient
    from authserve.federation.call_limit import limit_for
    from authserve.federation.identities import MAX_IDENTITIES, find_opening_providers
    from authserve.federation.offered import OfferedProviders, find_linked_providers
    from authserve.federation.own_identities import remove_identities_on_reset
    from authserve.federation.records import (
        IdentityRecordSchema,
        export_identities,
        read_identity_documents,
        write_identity_records,
    )
    from authserve.federation.registry import rewrap_secrets
    from authserve.federation.upstream import UPSTREAM, Upstream
    from authserve.health.provider_checks import DATA_CHECKS
    from authserve.mfa.factors import FURTHER_CREDENTIALS
    from authserve.mfa.pending import end_pending_of_subject
    from authserve.web.sign_in_providers import LINKED_PROVIDERS, SIGN_IN_PROVIDERS

    settings = SETTINGS.of(app)
    if "pages" in settings.features:
        # Imported here, because they belong to both features.
        from authserve.pages.account_connections import SECTIONS
        from authserve.pages.account_identities import find_section
        from authserve.pages.provider_routes import provider_blueprint

        app.register_blueprint(provider_blueprint)
        SECTIONS.add(app, ("identities", find_section))
    client = OutboundClient(hosts=settings.outbound_hosts)
    upstream = Upstream(client, calls=limit_for(settings.web_threads))
    UPSTREAM.fill(app, upstream)
    FURTHER_BREAKERS.fill(app, upstream.breakers)
    SIGN_IN_PROVIDERS.fill(app, OfferedProviders().find)
    LINKED_PROVIDERS.fill(app, find_linked_providers)
    FURTHER_CREDENTIALS.fill(app, find_opening_providers)
    FURTHER_SECRETS.add(app, ("provider secret", rewrap_secrets))
    FEATURE_DATA_CHECKS.add(app, *DATA_CHECKS)
    FURTHER_LISTS.add(app, ("identities", export_identities))
    part = AccountPart(
        name="identities",
        schema=IdentityRecordSchema(),
        read=read_identity_documents,
        write=write_identity_records,
        max_records=MAX_IDENTITIES,
    )
    ACCOUNT_PARTS.add(app, part)
    subscriptions: tuple[Subscription, ...] = (
        ({AuditAction.USER_PASSWORD_RESET}, remove_identities_on_reset),
        # A sign-in whose first step was the identity must not reach its second one.
        ({AuditAction.IDENTITY_UNLINKED}, end_pending_of_subject),
    )
    SUBSCRIPTIONS.add_first(app, *subscriptions)


LOADERS: Mapping[str, Callable[[Flask], None]] = {
    "pages": _add_pages,
    "oidc": _add_oidc,
    "api-keys": _add_api_keys,
    "forward-auth": _add_forward_auth,
    "federation": _add_federation,
}
"""The function that adds each feature to an application, by its name in `FEATURES`."""


def optional_blueprints(settings: Settings) -> tuple[Blueprint, ...]:
    """Return the blueprints of the API's calls that exist only with these settings."""
    return (
        *(_email_sign_in_blueprints() if settings.email_sign_in else ()),
        *(_client_blueprints() if "oidc" in settings.features else ()),
        *(_api_key_blueprints() if "api-keys" in settings.features else ()),
        *(_federation_blueprints() if "federation" in settings.features else ()),
    )


def _email_sign_in_blueprints() -> tuple[Blueprint, ...]:
    from authserve.auth.email_code_routes import blueprint

    return (blueprint,)


def _client_blueprints() -> tuple[Blueprint, ...]:
    from authserve.clients.routes import blueprint
    from authserve.oidc.app_routes import blueprint as apps_blueprint

    return (blueprint, apps_blueprint)


def _api_key_blueprints() -> tuple[Blueprint, ...]:
    from authserve.apikeys.routes import blueprint

    return (blueprint,)


def _federation_blueprints() -> tuple[Blueprint, ...]:
    from authserve.federation.identity_routes import blueprint as identities_blueprint
    from authserve.federation.routes import blueprint

    return (blueprint, identities_blueprint)


def add_feature_commands(app: Flask) -> None:
    """Add the `flask` commands of the features that are on; a web worker needs none."""
    features = SETTINGS.of(app).features
    if "oidc" in features:
        # Each module beside `clients.cli` adds its commands to the group.
        from authserve.clients import cli_create, cli_status, cli_transfer  # noqa: F401
        from authserve.clients.cli import clients_group
        from authserve.oidc import cli  # noqa: F401

        app.cli.add_command(clients_group)
    if "api-keys" in features:
        from authserve.apikeys.cli import api_keys_group

        app.cli.add_command(api_keys_group)
    if "federation" in features:
        import authserve.federation.cli_check
        import authserve.federation.cli_transfer  # noqa: F401
        from authserve.federation.cli import providers_group

        app.cli.add_command(providers_group)


def add_features(app: Flask) -> None:
    """Add to `app` what its settings switch on."""
    settings = SETTINGS.of(app)
    # In the order of `LOADERS`: what a feature adds to another's comes after that.
    for name, load in LOADERS.items():
        if name in settings.features:
            load(app)
    if settings.metrics_token:
        _add_metrics(app)


def _add_metrics(app: Flask) -> None:
    """Count the requests, events and hashes of `app`, and add `/metrics` to it."""
    from authserve.audit.seal import count_unsealed_events
    from authserve.audit.status import find_last_verification
    from authserve.metrics.counting import METRICS, Metrics, count_when_committed
    from authserve.metrics.routes import SOURCES, blueprint, count_requests
    from authserve.metrics.scraping import Source, read_audit, read_keys, read_outbox

    def find_verification() -> tuple[datetime, bool] | None:
        last = find_last_verification()
        return None if last is None else (last.at, last.fault is None)

    metrics = Metrics(version=__version__)
    METRICS.fill(app, metrics)
    if "federation" in SETTINGS.of(app).features:
        from authserve.federation.upstream import UPSTREAM

        UPSTREAM.of(app).on_call = metrics.observe_provider_call
    audit = read_audit(count_unsealed_events, find_verification)
    sources: dict[str, Source] = {"outbox": read_outbox, "keys": read_keys, "audit": audit}
    if "oidc" in SETTINGS.of(app).features:
        from authserve.metrics.backchannel import read_backchannel

        sources["backchannel"] = read_backchannel
    SOURCES.add(app, *sources.items())
    # Called after all others, so that an event that a handler refuses is not counted.
    counting = (frozenset(AuditAction), count_when_committed)
    SUBSCRIPTIONS.add(app, counting)
    PASSWORD_HASHER.of(app).on_hashed = metrics.observe_hash
    count_requests(app, metrics)
    app.register_blueprint(blueprint)
