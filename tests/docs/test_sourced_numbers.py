"""The numbers that no page has, written out once more: each has its source beside it in the code.

They come from specifications, are lengths of secrets, or are limits that protect the service. Tests
of an effect mostly use the code's own constant, so they hold at any number.
"""

from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

from authserve.admin import schemas as admin_schemas
from authserve.admin import sign_in_support
from authserve.apikeys import policy as apikeys
from authserve.apikeys import schemas as apikeys_schemas
from authserve.audit import new_sign_ins, record, seal
from authserve.audit import status as audit_status
from authserve.auth import browser_sessions, first_administrator, seen_devices, start_session
from authserve.auth import schemas as auth_schemas
from authserve.clients import (
    authentication,
    claims,
    client_secrets,
    configuration,
    failures,
    redirect_uris,
)
from authserve.clients import schemas as client_schemas
from authserve.federation import configuration as providers
from authserve.federation import id_tokens, offered, upstream
from authserve.federation import state as provider_state
from authserve.forwardauth import policy as proxied
from authserve.forwardauth import sign_in as proxied_sign_in
from authserve.mfa import email_codes, pending, recovery_codes, totp
from authserve.mfa import policy as passkeys
from authserve.oidc import authorize_request, codes, discovery, forms, hints, logout_routes
from authserve.pages import account_keys
from authserve.sessions import policy as sessions
from authserve.web import continuation, flows, notices

DAY, HOUR, MINUTE = (timedelta(**{unit: 1}) for unit in ("days", "hours", "minutes"))

NUMBERS: list[tuple[ModuleType, str, Any]] = [
    (codes, "CODE_BYTES", 32),
    (authorize_request, "MAX_QUERY_BYTES", 1_800),
    (authorize_request, "MAX_PARAMETERS", 50),
    (forms, "MAX_FIELDS", 50),
    (hints, "MAX_HINT_LENGTH", 3_500),
    (logout_routes, "MAX_QUERY_BYTES", 4_000),
    (discovery, "MAX_AGE_SECS", 300),
    (recovery_codes, "CODES", 10),
    (recovery_codes, "CODE_BYTES", 15),
    (recovery_codes, "MAX_LENGTH", 64),
    (email_codes, "MAX_ATTEMPTS", 5),
    (email_codes, "MAX_LIVE_CODES", 3),
    (pending, "SECRET_BYTES", 16),
    (pending, "PURGE_DELAY", HOUR),
    (totp, "SECRET_BYTES", 20),
    (passkeys, "MAX_CREDENTIAL_ID_BYTES", 1_023),
    (providers, "MAX_ISSUER_LENGTH", 500),
    (providers, "MAX_SCOPES", 20),
    (providers, "MAX_DOMAINS", 50),
    (providers, "MAX_SECRET_LENGTH", 1_000),
    (provider_state, "SECRET_BYTES", 32),
    (id_tokens, "MIN_RSA_BITS", 2_048),
    (id_tokens, "MAX_KEYS", 100),
    (id_tokens, "MAX_SUBJECT_LENGTH", 255),
    (offered, "CACHE_SECS", 30),
    (offered, "RETRY_SECS", 5),
    (upstream, "CACHE_SECS", 3_600),
    (upstream, "GRACE_SECS", 10),
    (configuration, "MAX_URIS", 50),
    (configuration, "MAX_SCOPES", 100),
    (configuration, "MAX_RESOURCES", 20),
    (configuration, "MAX_ROLES", 50),
    (client_secrets, "MAX_LIVE_SECRETS", 2),
    (client_schemas, "NAME_MAX_LENGTH", 100),
    (client_schemas, "SECRET_MAX_SECS", 315_360_000),
    (redirect_uris, "MAX_URI_LENGTH", 2_048),
    (claims, "MAX_CLAIMS", 20),
    (claims, "MAX_MAP_ENTRIES", 50),
    (claims, "MAX_VALUE_LENGTH", 200),
    (failures, "MAX_KEPT", 5),
    (failures, "DETAIL_MAX_LENGTH", 200),
    (authentication, "USE_INTERVAL", MINUTE),
    (account_keys, "LIFETIMES_DAYS", (7, 30, 90, 365)),
    (account_keys, "DEFAULT_DAYS", 90),
    (notices, "NOTICE_TTL", HOUR),
    (notices, "MAX_LENGTH", 1_000),
    (flows, "MAX_TOKEN_LENGTH", 3_950),
    (continuation, "AUTHORIZE_TTL", HOUR),
    (continuation, "ANSWER_TTL", 5 * MINUTE),
    (continuation, "MAX_TOKEN_LENGTH", 3_000),
    (apikeys, "NAME_MAX_LENGTH", 64),
    (apikeys, "MAX_SCOPES", 50),
    (apikeys, "USE_INTERVAL", MINUTE),
    (apikeys_schemas, "MAX_KEY_LENGTH", 200),
    (proxied_sign_in, "STATE_TTL", HOUR),
    (proxied_sign_in, "LOOP_WINDOW", timedelta(seconds=10)),
    (proxied, "MAX_RETURN_PATH_LENGTH", 500),
    (sessions, "CLIENT_ID_MAX_LENGTH", 48),
    (auth_schemas, "MAX_IDENTIFIER_LENGTH", 320),
    (first_administrator, "FIRST_LINK_LIFETIME", DAY),
    (first_administrator, "TOKEN_BYTES", 48),
    (start_session, "LOW_CODES", 3),
    (start_session, "FAMILY_SECRET_BYTES", 16),
    (seen_devices, "DEVICE_RESOLUTION", DAY),
    (seen_devices, "_NETWORK_PREFIXES", {4: 24, 6: 48}),
    (browser_sessions, "SECRET_BYTES", 32),
    (browser_sessions, "TOUCH_INTERVAL", 5 * MINUTE),
    (new_sign_ins, "NEWEST_EVENTS", 500),
    (record, "SALT_BYTES", 16),
    (seal, "DIGEST_BYTES", 32),
    (audit_status, "RECENT", DAY),
    (audit_status, "MAX_EVENTS", 200),
    (audit_status, "MIN_EVENTS", 20),
    (audit_status, "MIN_USERS", 5),
    (sign_in_support, "LAST_FAILURES", 10),
    (sign_in_support, "LAST_MAILS", 10),
    (admin_schemas, "MAX_ROLES", 50),
]
"""A module, the name of a constant, and its number."""


@pytest.mark.parametrize(
    ("module", "name", "number"),
    NUMBERS,
    ids=[f"{module.__name__}.{name}" for module, name, _ in NUMBERS],
)
def test_the_constant_has_its_number(module: ModuleType, name: str, number: Any) -> None:
    assert getattr(module, name) == number
