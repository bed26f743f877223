"""The application factory: the one file that knows every feature."""

import click
from flask import Flask

from authserve import __version__
from authserve.admin.routes import blueprint as admin_blueprint
from authserve.audit.record import erase_details, keep_pseudonym, record
from authserve.audit.routes import blueprint as audit_blueprint
from authserve.auth.current_session import authenticate_access_token
from authserve.auth.introspection import INTROSPECTORS, inspect_own_token
from authserve.auth.passkey_routes import blueprint as passkey_sign_in_blueprint
from authserve.auth.passkey_routes import registration_blueprint
from authserve.auth.routes import blueprint as auth_blueprint
from authserve.auth.routes import factors_blueprint
from authserve.auth.second_step_routes import blueprint as second_step_blueprint
from authserve.core.breakers import BREAKERS
from authserve.core.crypto import KEYRING, Keyring
from authserve.core.events import SUBSCRIPTIONS, AuditAction, Subscription
from authserve.core.logs import configure_logging
from authserve.database.circuit import guard_connections
from authserve.database.engine import add_postgresql_listeners, engine_options
from authserve.database.transactions import db
from authserve.features import add_feature_commands, add_features, optional_blueprints
from authserve.health.drain import DRAIN, Drain
from authserve.health.routes import blueprint as health_blueprint
from authserve.http import docs, root
from authserve.http.callers import AUTHENTICATORS
from authserve.http.cors import install_cors
from authserve.http.errors import register_error_handlers
from authserve.http.get_effects import refuse_head
from authserve.http.json_body import MAX_BODY_BYTES
from authserve.http.jwt_callbacks import wire_callbacks
from authserve.http.middleware import install_middleware
from authserve.http.openapi import Blueprint
from authserve.http.openapi_document import OPENAPI, OpenAPIDocument
from authserve.http.request_info import trust_proxies
from authserve.http.url_rules import set_up_url_rules
from authserve.keys.routes import blueprint as keys_blueprint
from authserve.keys.store import KEY_STORE, KeyStore
from authserve.mfa.email_codes import end_codes_of_changed_email
from authserve.mfa.passkey_routes import blueprint as passkeys_blueprint
from authserve.mfa.pending import (
    end_enrollments_of_changed_email,
    end_pending_of_subject,
)
from authserve.mfa.routes import blueprint as mfa_blueprint
from authserve.mfa.sign_in_codes import end_sign_in_codes
from authserve.passwords.breached import BREACHED_PASSWORDS, BreachedPasswords, RangeService
from authserve.passwords.hasher import PASSWORD_HASHER, PasswordHasher
from authserve.passwords.queue import COMMAND_WAIT_SECS, MAX_WAIT_SECS
from authserve.ratelimit.counters import LIMIT_COUNTERS, LimitCounters
from authserve.rbac.assignment import keep_an_admin
from authserve.rbac.routes import blueprint as roles_blueprint
from authserve.sessions.revoke import end_other_sessions, end_sessions_of_deactivated
from authserve.sessions.routes import blueprint as sessions_blueprint
from authserve.settings.database_url import driver_url
from authserve.settings.model import SETTINGS, Settings
from authserve.tokens.access import jwt
from authserve.users.routes import blueprint as users_blueprint
from authserve.verification.requests import (
    forget_messages,
    on_password_changed,
    on_password_disabled,
)
from authserve.verification.routes import email_blueprint, links_blueprint, pages_blueprint

PASSWORD_CHANGES = {AuditAction.USER_PASSWORD_CHANGED, AuditAction.USER_PASSWORD_RESET}

SUBSCRIBERS: tuple[Subscription, ...] = (
    ({AuditAction.USER_DEACTIVATED, AuditAction.USER_DELETED}, keep_an_admin),
    ({AuditAction.USER_DEACTIVATED}, end_pending_of_subject),
    ({AuditAction.USER_DEACTIVATED}, end_sessions_of_deactivated),
    (PASSWORD_CHANGES, end_other_sessions),
    (PASSWORD_CHANGES, on_password_changed),
    (PASSWORD_CHANGES, end_sign_in_codes),
    ({AuditAction.USER_PASSWORD_DISABLED}, on_password_disabled),
    ({AuditAction.USER_EMAIL_CHANGED}, end_codes_of_changed_email),
    ({AuditAction.USER_EMAIL_CHANGED}, end_enrollments_of_changed_email),
    ({AuditAction.USER_DELETED}, forget_messages),
    # After the handlers above, so that an event that one of them refuses is not recorded.
    (frozenset(AuditAction), record),
    ({AuditAction.USER_DELETED}, erase_details),
    ({AuditAction.USER_DELETED}, keep_pseudonym),
)
"""The handlers of each event's action, called in this order in the event's transaction."""

BLUEPRINTS = (
    auth_blueprint,
    second_step_blueprint,
    links_blueprint,
    users_blueprint,
    sessions_blueprint,
    mfa_blueprint,
    factors_blueprint,
    email_blueprint,
    audit_blueprint,
    admin_blueprint,
    roles_blueprint,
    keys_blueprint,
    health_blueprint,
    root.blueprint,
)


PASSKEY_BLUEPRINTS = (passkey_sign_in_blueprint, passkeys_blueprint, registration_blueprint)
"""Calls that exist only with `PASSKEY_RP_ID`."""


def create_app(settings: Settings, *, with_commands: bool = True) -> Flask:
    """Build the service.

    Args:
        settings: `config.load_settings()` reads them from the environment.
        with_commands: False leaves out the `flask` commands. A web worker needs none, and starts
            faster without their imports.
    """
    is_command = click.get_current_context(silent=True) is not None
    configure_logging(settings.log_level, is_command=is_command)
    app = Flask(__name__, instance_path=str(settings.instance_path), static_folder=None)
    app.config.from_mapping(_flask_config(settings))
    set_up_url_rules(app)
    _bind_extensions(app, settings, is_command=is_command)
    install_middleware(app)
    register_error_handlers(app)
    install_cors(app, origins=settings.cors_origins)
    trust_proxies(app, count=settings.trusted_proxies)
    blueprints = _blueprints(settings)
    OPENAPI.fill(
        app, OpenAPIDocument(blueprints, version=__version__, server_url=settings.public_url)
    )
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    app.register_blueprint(docs.blueprint)
    if "pages" not in settings.features:
        # With that feature on, its forms are behind mailed links.
        app.register_blueprint(pages_blueprint)
    add_features(app)
    refuse_head(app)
    if with_commands:
        from authserve.commands import add_commands

        add_commands(app)
        add_feature_commands(app)
    return app


def _blueprints(settings: Settings) -> tuple[Blueprint, ...]:
    """Return the blueprints of the calls that exist with these settings."""
    passkeys = PASSKEY_BLUEPRINTS if settings.passkey_rp_id else ()
    return (*BLUEPRINTS, *passkeys, *optional_blueprints(settings))


def _flask_config(settings: Settings) -> dict[str, object]:
    return {
        "SECRET_KEY": settings.secret_key,
        "SQLALCHEMY_DATABASE_URI": driver_url(settings.database_url),
        "SQLALCHEMY_ENGINE_OPTIONS": engine_options(
            settings.database_url, pool_size=settings.database_pool_size
        ),
        "MAX_CONTENT_LENGTH": MAX_BODY_BYTES,
        "PROVIDE_AUTOMATIC_OPTIONS": False,
        "JWT_ALGORITHM": "ES256",
        "JWT_ENCODE_ISSUER": settings.public_url,
        "JWT_ENCODE_AUDIENCE": settings.jwt_audience,
        "JWT_TOKEN_LOCATION": ["headers"],
        "JWT_COOKIE_CSRF_PROTECT": False,
        "PROPAGATE_EXCEPTIONS": False,
    }


def _bind_extensions(app: Flask, settings: Settings, *, is_command: bool) -> None:
    db.init_app(app)
    jwt.init_app(app)
    wire_callbacks(jwt)
    SETTINGS.fill(app, settings)
    KEYRING.fill(app, Keyring((settings.secret_key, *settings.secret_key_fallbacks)))
    DRAIN.fill(app, Drain())
    LIMIT_COUNTERS.fill(app, LimitCounters(settings.ratelimit_storage_url))
    SUBSCRIPTIONS.add(app, *SUBSCRIBERS)
    KEY_STORE.fill(app, KeyStore())
    PASSWORD_HASHER.fill(
        app,
        PasswordHasher(
            cost=settings.password_cost,
            # A command serves no token checks, so it yields to none.
            niceness=0 if is_command else settings.hash_niceness,
            max_wait_secs=COMMAND_WAIT_SECS if is_command else MAX_WAIT_SECS,
            # At most half the threads may wait for a hash; the others keep verifying tokens.
            queue_size=max(1, settings.web_threads // 2),
            limits_networks=settings.ratelimit_enabled,
            flask_security_salt=settings.flask_security_salt,
        ),
    )
    url = settings.breached_passwords_url
    breached_passwords = BreachedPasswords(RangeService(url) if url else None)
    BREACHED_PASSWORDS.fill(app, breached_passwords)
    with app.app_context():
        add_postgresql_listeners(db.engine)
        BREAKERS.fill(
            app,
            (
                *guard_connections(db.engine),
                breached_passwords.breaker,
            ),
        )
    AUTHENTICATORS.add(app, authenticate_access_token)
    INTROSPECTORS.add(app, inspect_own_token)
