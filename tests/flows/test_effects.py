"""Every effect of the API, every way to it, and the checks of each way.

A way is one call with one kind of body. Three things are compared: the table, the audit events that
a call really writes, and the refusals that it really gives. So a new call, a new field, or a call
that gains an effect fails here until its checks are enough.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import count
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from authserve.clients.client_secrets import NewClient
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.core.levels import Level
from authserve.http.openapi_document import OPENAPI
from authserve.rbac.policy import Permission
from tests.support.api_keys import give_api_key
from tests.support.audit import events_of_request
from tests.support.authenticator import Authenticator
from tests.support.clients import PASSWORD, Caller, login, register_caller, sign_in
from tests.support.factors import give_recovery_codes, give_totp, raise_caller, switch_mfa_on
from tests.support.identities import give_identity
from tests.support.identity_providers import give_provider
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.oauth_clients import allow_client, give_client
from tests.support.operations import API_FEATURES
from tests.support.passkeys import (
    ORIGIN,
    change_passkey,
    give_passkey,
    new_passkey_options,
    passkey_answer,
    passkey_row,
)
from tests.support.rows import change_session, change_user
from tests.support.second_steps import first_step, verification_answer
from tests.support.totp import PATH as TOTP
from tests.support.totp import add_app, code_at, mailed_code

API = "/api/v1"

NEW_PASSWORD = "another horse, another staple"


class Check(Enum):
    """A check that a call makes before any effect."""

    SESSION = auto()
    """An access token or refresh token of a live session."""

    FRESH = auto()
    """A password that was given within the last minutes."""

    SECOND_FACTOR = auto()
    """A session that has proven a second factor."""

    MAILED_CODE = auto()
    """The code that was mailed to the address, in this call."""

    PASSWORD = auto()
    """The account's password, in this call."""

    PASSKEY = auto()
    """An answer of the account's passkey to a challenge of this service."""

    PENDING = auto()
    """The token of a pending sign-in, whose first step gave the password."""

    SECOND_PROOF = auto()
    """A second factor of the account, in this call."""

    EMAIL_CODE = auto()
    """A mailed code, with the token of its request."""

    LINK = auto()
    """The token of a link that was mailed to the address."""

    OWN = auto()
    """No parameter names the account: it is the caller's or the link's."""

    OTHER = auto()
    """The account is not the caller's."""

    HOLDS_TARGET = auto()
    """The caller holds every permission of the account that is acted on."""

    HOLDS_ROLE = auto()
    """The caller holds every permission of the roles that are granted or changed."""

    HOLDS_SCOPES = auto()
    """The caller holds every permission among the client's scopes, before and after."""

    MAY_TRUST = auto()
    """The caller is an administrator if the provider is trusted, before or after."""


Checks = frozenset[Check | Permission]


def checks(*names: Check | Permission) -> Checks:
    """Return a set of checks."""
    return frozenset(names)


OPEN = checks()
OWN = checks(Check.SESSION, Check.OWN)
OWN_FRESH = OWN | {Check.FRESH}
OWN_PROVEN = OWN_FRESH | {Check.SECOND_FACTOR}
OWN_MAILBOX = OWN | {Check.MAILED_CODE}
ENROLLING = checks(Check.PENDING, Check.MAILED_CODE)
BY_LINK = checks(Check.LINK, Check.OWN)
BY_PROVEN_LINK = BY_LINK | {Check.PASSWORD}
ON_USER = checks(Check.SESSION, Check.HOLDS_TARGET, Permission.USERS_WRITE)
ON_OTHER_FRESH = ON_USER | {Check.OTHER, Check.FRESH}
ON_ROLE = checks(Check.SESSION, Check.FRESH, Check.HOLDS_ROLE, Permission.ROLES_WRITE)

WRITES_CLIENTS = checks(Check.SESSION, Check.FRESH, Permission.CLIENTS_WRITE)
ON_CLIENT = WRITES_CLIENTS | {Check.HOLDS_SCOPES}

WRITES_PROVIDERS = checks(Check.SESSION, Check.FRESH, Permission.PROVIDERS_WRITE)
ON_PROVIDER = WRITES_PROVIDERS | {Check.MAY_TRUST}

EXPORT = "everything held on a user is read"

Effect = AuditAction | str

NEEDED: dict[Effect, tuple[Checks, ...]] = {
    # Each effect with the least that a way to it must check; alternatives beside each other.
    AuditAction.USER_REGISTERED: (OPEN,),
    AuditAction.SESSION_STARTED: (
        checks(Check.PASSWORD),
        checks(Check.PASSKEY),
        checks(Check.PENDING, Check.SECOND_PROOF),
        checks(Check.EMAIL_CODE),
    ),
    AuditAction.RECOVERY_CODES_USED: (
        checks(Check.PENDING, Check.SECOND_PROOF),
        OWN | {Check.PASSWORD, Check.SECOND_PROOF},
    ),
    AuditAction.SESSION_REAUTHENTICATED: (OWN | {Check.PASSWORD}, OWN | {Check.PASSKEY}),
    AuditAction.SESSION_REVOKED: (
        ENROLLING,
        OWN,
        BY_LINK,
        ON_USER,
        checks(Check.SESSION, Check.HOLDS_TARGET, Permission.SESSIONS_WRITE),
    ),
    AuditAction.USER_PROFILE_CHANGED: (OWN, ON_USER, BY_LINK),
    AuditAction.USER_EMAIL_CHANGE_REQUESTED: (OWN_FRESH,),
    AuditAction.USER_EMAIL_CHANGE_WITHDRAWN: (OWN,),
    AuditAction.USER_EMAIL_CHANGED: (BY_PROVEN_LINK, ON_OTHER_FRESH),
    AuditAction.USER_EMAIL_VERIFIED: (BY_PROVEN_LINK, ON_OTHER_FRESH, OWN_MAILBOX, ENROLLING),
    # A set-up, which alone can be confirmed, needs a fresh token.
    AuditAction.FACTOR_ADDED: (OWN_MAILBOX, ENROLLING),
    AuditAction.FACTOR_REMOVED: (OWN_PROVEN,),
    AuditAction.FACTOR_UNFLAGGED: (OWN_PROVEN,),
    AuditAction.IDENTITY_UNLINKED: (OWN_FRESH,),
    AuditAction.MFA_ENABLED: (OWN_MAILBOX, OWN_PROVEN),
    AuditAction.MFA_DISABLED: (OWN_PROVEN,),
    AuditAction.RECOVERY_CODES_RENEWED: (OWN_PROVEN,),
    AuditAction.USER_PASSWORD_CHANGED: (OWN | {Check.PASSWORD},),
    AuditAction.USER_PASSWORD_RESET: (BY_LINK,),
    AuditAction.USER_PASSWORD_RESET_TRIGGERED: (ON_USER | {Check.FRESH},),
    AuditAction.USER_INVITED: (ON_USER, checks(Check.SESSION, Permission.USERS_WRITE)),
    AuditAction.USER_INVITATION_ACCEPTED: (BY_LINK,),
    AuditAction.USER_ACTIVATED: (ON_USER | {Check.OTHER},),
    AuditAction.USER_DEACTIVATED: (ON_USER | {Check.OTHER},),
    AuditAction.USER_DELETED: (OWN_FRESH, ON_OTHER_FRESH),
    AuditAction.USER_ROLES_CHANGED: (
        ON_ROLE | {Check.HOLDS_TARGET},
        # A new account holds nothing yet.
        checks(Check.SESSION, Check.FRESH, Check.HOLDS_ROLE, Permission.USERS_WRITE),
    ),
    AuditAction.MFA_RESET_REQUESTED: (ON_OTHER_FRESH,),
    AuditAction.MFA_RESET: (ON_OTHER_FRESH,),
    AuditAction.CONSENT_REVOKED: (OWN,),
    AuditAction.ROLE_CREATED: (ON_ROLE,),
    AuditAction.ROLE_CHANGED: (ON_ROLE,),
    AuditAction.ROLE_DELETED: (ON_ROLE,),
    AuditAction.CLIENT_CREATED: (ON_CLIENT,),
    AuditAction.CLIENT_CHANGED: (ON_CLIENT,),
    AuditAction.CLIENT_SECRET_CREATED: (ON_CLIENT,),
    # These take power away, so they need less.
    AuditAction.CLIENT_DELETED: (WRITES_CLIENTS,),
    AuditAction.CLIENT_REVOKED: (WRITES_CLIENTS,),
    AuditAction.CLIENT_SECRET_REVOKED: (WRITES_CLIENTS,),
    AuditAction.PROVIDER_CREATED: (ON_PROVIDER,),
    AuditAction.PROVIDER_CHANGED: (ON_PROVIDER,),
    AuditAction.PROVIDER_DELETED: (WRITES_PROVIDERS,),
    AuditAction.API_KEY_CREATED: (OWN_FRESH,),
    AuditAction.API_KEY_REVOKED: (
        OWN,
        checks(Check.SESSION, Check.HOLDS_TARGET, Permission.SESSIONS_WRITE),
    ),
    EXPORT: (OWN_FRESH,),
}


ON_EMPTY_DATABASE = {"POST /auth/first-administrator"}
"""No account may exist: `tests/auth/test_first_administrator.py` has its checks."""


@dataclass
class World:
    """A caller who may do everything, an account to act on, and the mail of both.

    Args:
        name: of the caller; no other world has it.
    """

    app: Flask
    mailbox: Mailbox
    name: str
    caller: Caller = field(init=False)
    target: Caller = field(init=False)
    key: Authenticator | None = None
    client: NewClient | None = None

    def __post_init__(self) -> None:
        self.caller = register_caller(self.app, self.name, roles=("admin",))
        self.target = register_caller(self.app, f"{self.name}-target")
        raise_caller(self.app, self.caller)

    @property
    def role(self) -> str:
        """The name of a role that can be changed."""
        return f"{self.name}-role"

    def make_role(self) -> dict[str, Any]:
        """Make the role; returns what another call can make of it."""
        body = {"name": self.role, "permissions": ["users:read"]}
        assert self.caller.post(f"{API}/roles", json=body).status_code == 201
        return {"permissions": ["audit:read"], "description": "Other."}

    def make_client(self) -> dict[str, Any]:
        """Register a client with the power to read accounts; returns no body."""
        self.client = give_client(self.app, self.name, scopes=("openid", "users:read"))
        return {}

    def make_provider(self) -> dict[str, Any]:
        """Register a provider that is trusted; returns no body."""
        give_provider(self.app, self.name, trusts_email=True)
        return {}

    def describe_provider(self) -> dict[str, Any]:
        """Return every value that a provider can have."""
        return {
            "name": "Google",
            "issuer": "https://id.example.com",
            "client_id": "5678.apps",
            "client_secret": "another secret",
            "scopes": ["openid"],
            "enabled": True,
            "sign_up": False,
            "link": "verified",
            "trusts_email": True,
            "trusts_mfa": True,
            "allowed_domains": ["example.com"],
        }

    def allow_client(self) -> dict[str, Any]:
        """Let the caller allow a client; returns no body."""
        self.make_client()
        session_id = self.caller.session_id
        allow_client(self.app, self.name, user_id=self.caller.id, session_id=session_id)
        return {}

    def describe_client(self) -> dict[str, Any]:
        """Return every value that a client can have."""
        return {
            "name": "Wiki",
            "first_party": True,
            "enabled": True,
            "redirect_uris": ["https://wiki.example.com/other"],
            "post_logout_redirect_uris": ["https://wiki.example.com/"],
            "backchannel_logout_uri": "https://wiki.example.com/logout",
            "home_uri": "https://wiki.example.com/",
            "origins": [],
            "scopes": ["openid", "users:read"],
            "resources": ["https://api.example.com"],
            "allowed_roles": ["user"],
            "role_prefix": "wiki-",
            "claims": [{"name": "role", "from": "roles", "in": ["userinfo"]}],
            "id_token_claims": "lean",
            "signing_alg": "ES256",
            "require_pkce": False,
            "response_mode": "form_post",
            "min_acr": "aal2",
            "remote_user": "username",
            "access_token_ttl": 300,
            "refresh_idle_ttl": 3600,
            "refresh_ttl": 7200,
            "refresh_grace": 0,
        }

    def second_session(self) -> str:
        """Sign the caller in once more; returns the id of that session."""
        return sign_in(self.caller.client, self.name, user={}).tokens["session_id"]

    def sign_in_twice(self) -> dict[str, Any]:
        """Sign the caller in once more; returns no body."""
        self.second_session()
        return {}

    def invite(self) -> dict[str, Any]:
        """Let the target be an account that waits for its owner; returns no body."""
        body = {"email": f"{self.name}-invited@example.com"}
        self.target.user = self.caller.post(f"{API}/users", json=body).get_json()
        return {}

    def deactivate(self) -> dict[str, Any]:
        """Deactivate the target; returns what undoes it."""
        path = f"{API}/users/{self.target.id}"
        assert self.caller.patch(path, json={"is_active": False}).status_code == 200
        return {"is_active": True}

    def own_key(self) -> dict[str, Any]:
        """Return the body that makes an API key of the caller."""
        change_user(self.app, self.caller.id, email_verified=True)
        return {"name": "Report", "scopes": ["account"], "expires_in": 3_600}

    def own_keys(self) -> dict[str, Any]:
        """Give the caller an API key; returns the body that ends it with all sessions."""
        give_api_key(self.app, self.caller.id)
        return {"include": ["apps", "api-keys"]}

    def use_passkey(self) -> dict[str, Any]:
        """Return the body that signs the caller in with a passkey."""
        key = give_passkey(self.app, self.caller.id)
        return {
            "credential": passkey_answer(self.caller.client, key),
            "device_token": self.caller.tokens["device_token"],
        }

    def passkey_id(self) -> str:
        """Return the id of the caller's passkey."""
        self.key = self.key or give_passkey(self.app, self.caller.id)
        return str(passkey_row(self.app, self.key)["id"])

    def suspect_passkey(self) -> dict[str, Any]:
        """Let the caller's passkey be suspected to be a clone; returns what accepts it."""
        self.key = give_passkey(self.app, self.caller.id)
        change_passkey(self.app, self.key, flagged_at=now())
        return {"clone_suspected": False}

    def make_passkey(self) -> dict[str, Any]:
        """Return the body that registers the caller's first passkey."""
        answer = Authenticator(ORIGIN).create(new_passkey_options(self.caller))
        code = mailed_code(self.app, self.mailbox, self.caller)
        return {"credential": answer, "name": "Phone", "email_code": code}

    def begin_sign_in(self) -> dict[str, Any]:
        """Return the body that names a sign-in whose second step waits for a passkey."""
        self.passkey_id()
        switch_mfa_on(self.app, self.caller.id)
        return {"mfa_token": login(self.caller.client, self.name).get_json()["mfa_token"]}

    def use_code(self) -> dict[str, Any]:
        """Return the body that completes a sign-in of the caller."""
        secret = give_totp(self.app, self.caller.id)
        token = first_step(self.caller.client, self.name)
        return {"mfa_token": token, "totp_code": code_at(secret, now())}

    def begin_enrollment(self) -> dict[str, Any]:
        """Return the body that begins a set-up during a sign-in of the caller."""
        switch_mfa_on(self.app, self.caller.id)
        token = first_step(self.caller.client, self.name)
        return {"mfa_token": token, "method": "totp"}

    def enroll_app(self) -> dict[str, Any]:
        """Return the body that confirms an app during a sign-in of the caller."""
        body = self.begin_enrollment()
        path = f"{API}/auth/mfa/enroll/options"
        secret = self.caller.client.post(path, json=body).get_json()["secret"]
        return {
            "mfa_token": body["mfa_token"],
            "totp_code": code_at(secret, now()),
            "email_code": mailed_code(self.app, self.mailbox, self.caller),
        }

    def enroll_passkey(self) -> dict[str, Any]:
        """Return the body that registers a passkey during a sign-in of the caller."""
        body = {**self.begin_enrollment(), "method": "passkey"}
        path = f"{API}/auth/mfa/enroll/options"
        options = self.caller.client.post(path, json=body).get_json()["public_key"]
        return {
            "mfa_token": body["mfa_token"],
            "credential": Authenticator(ORIGIN).create(options),
            "email_code": mailed_code(self.app, self.mailbox, self.caller),
            "name": "Phone",
        }

    def use_recovery_code(self) -> dict[str, Any]:
        """Return the body that completes a sign-in of the caller by a recovery code."""
        give_totp(self.app, self.caller.id)
        (code,) = give_recovery_codes(self.app, self.caller.id)
        return {"mfa_token": first_step(self.caller.client, self.name), "recovery_code": code}

    def confirm_password(self) -> dict[str, Any]:
        """Return the body that freshens the caller's session, which is one of one factor."""
        change_session(self.app, self.caller.session_id, aal=Level.AAL1)
        return {"password": PASSWORD}

    def step_up_with_code(self) -> dict[str, Any]:
        """Return the body that steps the caller's session up by a code."""
        secret = give_totp(self.app, self.caller.id)
        return {"password": PASSWORD, "totp_code": code_at(secret, now())}

    def step_up_with_recovery_code(self) -> dict[str, Any]:
        """Return the body that steps the caller's session up by a recovery code."""
        (code,) = give_recovery_codes(self.app, self.caller.id)
        return {"password": PASSWORD, "recovery_code": code}

    def step_up_with_passkey(self) -> dict[str, Any]:
        """Return the body that steps the caller's session up by a passkey."""
        key = give_passkey(self.app, self.caller.id)
        path = f"{API}/auth/reauthenticate/passkey-options"
        options = self.caller.post(path, json={}).get_json()["public_key"]
        key.rp_id = options["rpId"]
        return {"credential": key.get(options)}

    def use_passkey_second(self) -> dict[str, Any]:
        """Return the body that completes a sign-in of the caller by a passkey."""
        key = give_passkey(self.app, self.caller.id)
        switch_mfa_on(self.app, self.caller.id)
        token = first_step(self.caller.client, self.name)
        credential = verification_answer(self.app, token, self.caller.id, key)
        return {"mfa_token": token, "credential": credential}

    def use_email_code(self) -> dict[str, Any]:
        """Return the body that signs the caller in with a mailed code."""
        email, device_token = self.caller.user["email"], self.caller.tokens["device_token"]
        change_user(self.app, self.caller.id, email_verified=True)
        body = {"email": email, "device_token": device_token}
        answer = self.caller.client.post(f"{API}/auth/email-code", json=body).get_json()
        work(self.app)
        return {
            "sign_in_token": answer["sign_in_token"],
            "code": self.mailbox.to(email)[-1].code,
            "device_token": device_token,
        }

    def link(self, address: str) -> str:
        """The token of the newest link to an address."""
        work(self.app)
        return [letter.token for letter in self.mailbox.to(address) if "#" in letter.text][-1]

    def verification_link(self) -> dict[str, Any]:
        """Return the body that verifies the target's address."""
        return {"token": self.link(self.target.user["email"]), "password": PASSWORD}

    def reset_link(self) -> dict[str, Any]:
        """Return the body that resets the target's password."""
        email = self.target.user["email"]
        self.caller.client.post(f"{API}/auth/password/forgot", json={"email": email})
        return {"token": self.link(email), "new_password": NEW_PASSWORD}

    def invitation_link(self) -> dict[str, Any]:
        """Return the body that accepts an invitation."""
        self.invite()
        names = {"username": f"{self.name}-new", "display_name": "New"}
        return {"token": self.link(self.target.user["email"]), "password": NEW_PASSWORD, **names}

    def add_app(self) -> dict[str, Any]:
        """Let the caller have an authenticator app; returns no body."""
        add_app(self.app, self.caller, mailbox=self.mailbox)
        return {}

    def set_up_app(self) -> dict[str, Any]:
        """Begin to set an app up beside another session; returns the body that confirms it."""
        self.second_session()
        secret = self.caller.post(TOTP).get_json()["secret"]
        code = mailed_code(self.app, self.mailbox, self.caller)
        return {"code": code_at(secret, now()), "email_code": code}

    def switch_off(self) -> dict[str, Any]:
        """Let the caller have an app that no sign-in asks for; returns what asks for it again."""
        self.add_app()
        path = f"{API}/users/me/mfa"
        assert self.caller.put(path, json={"enabled": False}).status_code == 200
        self.second_session()
        return {"enabled": True}

    def recovery_codes(self) -> dict[str, Any]:
        """Let the caller have recovery codes; returns what replaces them."""
        self.add_app()
        path = f"{API}/users/me/recovery-codes"
        return {"replaces": self.caller.get(path).get_json()["created_at"]}

    def change_link(self) -> dict[str, Any]:
        """Return the body that changes the caller's address."""
        email = f"{self.name}-other@example.com"
        self.caller.post(f"{API}/users/me/email", json={"new_email": email})
        return {"token": self.link(email), "password": PASSWORD}


Body = Callable[[World], dict[str, Any]] | None


@dataclass(frozen=True)
class Way:
    """One call with one kind of body.

    Args:
        call: method and path, as the OpenAPI document writes them.
        checks: what it asks for.
        effects: what it does; events of refusals are no effects.
        body: makes what it needs in a world, and returns the body.
    """

    call: str
    checks: Checks
    effects: frozenset[Effect]
    body: Body = None

    @property
    def method(self) -> str:
        """The method."""
        return self.call.partition(" ")[0]

    def path(self, world: World, user_id: object) -> str:
        """The path with every parameter filled in."""
        _, _, path = self.call.partition(" ")
        session_id = world.second_session() if "{session_id}" in path else ""
        passkey_id = world.passkey_id() if "{passkey_id}" in path else ""
        identity_id = give_identity(world.app, world.caller.id) if "{identity_id}" in path else ""
        key_id = give_api_key(world.app, world.caller.id)[0] if "{key_id}" in path else ""
        names = {"user_id": user_id, "session_id": session_id, "passkey_id": passkey_id}
        if world.client is not None:
            names["client_id"] = world.client.client.client_id
            names["secret_id"] = world.client.secrets[0].id
        names |= {"key_id": key_id, "identity_id": identity_id}
        return API + path.format(**names, name=world.role, slug=world.name)

    def prepare(self, world: World) -> dict[str, Any] | None:
        """Make what the call needs; returns its body."""
        return self.body(world) if self.body is not None else None


def way(call: str, asked: Checks, *effects: Effect, body: Body = None) -> Way:
    """Return a way; see `Way`."""
    return Way(call, asked, frozenset(effects), body)


ENROLLED = (
    AuditAction.SESSION_STARTED,
    AuditAction.FACTOR_ADDED,
    AuditAction.USER_EMAIL_VERIFIED,
)
REVOKED = AuditAction.SESSION_REVOKED
SESSIONS = checks(Check.SESSION, Check.HOLDS_TARGET, Permission.SESSIONS_WRITE)

WAYS = [
    way(
        "POST /auth/register",
        OPEN,
        AuditAction.USER_REGISTERED,
        body=lambda world: {
            "email": f"{world.name}-new@example.com",
            "username": f"{world.name}-new",
            "display_name": "New",
            "locale": "de",
            "password": PASSWORD,
        },
    ),
    way(
        "POST /auth/login",
        checks(Check.PASSWORD),
        AuditAction.SESSION_STARTED,
        body=lambda world: {
            "identifier": world.name,
            "password": PASSWORD,
            "device_token": world.caller.tokens["device_token"],
        },
    ),
    way(
        "POST /auth/mfa/verify",
        checks(Check.PENDING, Check.SECOND_PROOF),
        AuditAction.SESSION_STARTED,
        body=World.use_code,
    ),
    way(
        "POST /auth/mfa/verify",
        checks(Check.PENDING, Check.SECOND_PROOF),
        AuditAction.SESSION_STARTED,
        AuditAction.RECOVERY_CODES_USED,
        body=World.use_recovery_code,
    ),
    way(
        "POST /auth/mfa/verify",
        checks(Check.PENDING, Check.PASSKEY),
        AuditAction.SESSION_STARTED,
        body=World.use_passkey_second,
    ),
    way("POST /auth/mfa/enroll/options", checks(Check.PENDING), body=World.begin_enrollment),
    way(
        "POST /auth/mfa/enroll",
        checks(Check.PENDING, Check.SECOND_PROOF, Check.MAILED_CODE),
        *ENROLLED,
        REVOKED,
        body=World.enroll_app,
    ),
    way(
        "POST /auth/mfa/enroll",
        checks(Check.PENDING, Check.PASSKEY, Check.MAILED_CODE),
        *ENROLLED,
        body=World.enroll_passkey,
    ),
    way("POST /auth/passkey/options", OPEN, body=lambda _: {}),
    way(
        "POST /auth/passkey",
        checks(Check.PASSKEY),
        AuditAction.SESSION_STARTED,
        body=World.use_passkey,
    ),
    way(
        "POST /auth/email-code",
        OPEN,
        body=lambda world: {
            "email": world.target.user["email"],
            "device_token": world.target.tokens["device_token"],
        },
    ),
    way(
        "POST /auth/email-code/verify",
        checks(Check.EMAIL_CODE),
        AuditAction.SESSION_STARTED,
        body=World.use_email_code,
    ),
    way(
        "POST /auth/refresh",
        OPEN,
        body=lambda world: {"refresh_token": world.target.tokens["refresh_token"]},
    ),
    way("POST /auth/logout", OWN, REVOKED),
    way(
        "POST /auth/logout-all",
        OWN,
        REVOKED,
        AuditAction.API_KEY_REVOKED,
        AuditAction.CONSENT_REVOKED,
        body=lambda world: {**world.allow_client(), **world.own_keys()},
    ),
    way(
        "POST /auth/reauthenticate",
        OWN | {Check.PASSWORD},
        AuditAction.SESSION_REAUTHENTICATED,
        body=World.confirm_password,
    ),
    way(
        "POST /auth/reauthenticate",
        OWN | {Check.PASSWORD, Check.SECOND_PROOF},
        AuditAction.SESSION_REAUTHENTICATED,
        body=World.step_up_with_code,
    ),
    way(
        "POST /auth/reauthenticate",
        OWN | {Check.PASSWORD, Check.SECOND_PROOF},
        AuditAction.SESSION_REAUTHENTICATED,
        AuditAction.RECOVERY_CODES_USED,
        body=World.step_up_with_recovery_code,
    ),
    way(
        "POST /auth/reauthenticate",
        OWN | {Check.PASSKEY},
        AuditAction.SESSION_REAUTHENTICATED,
        body=World.step_up_with_passkey,
    ),
    way(
        "POST /auth/introspect",
        checks(Check.SESSION, Permission.TOKENS_INTROSPECT),
        body=lambda world: {"token": world.target.tokens["access_token"]},
    ),
    way(
        "POST /auth/email/verify",
        BY_PROVEN_LINK,
        AuditAction.USER_EMAIL_VERIFIED,
        body=World.verification_link,
    ),
    way(
        "POST /auth/email/verify/resend",
        OPEN,
        body=lambda world: {"email": world.target.user["email"]},
    ),
    way(
        "POST /auth/password/forgot",
        OPEN,
        body=lambda world: {"email": world.target.user["email"]},
    ),
    way(
        "POST /auth/password/reset",
        BY_LINK,
        AuditAction.USER_PASSWORD_RESET,
        REVOKED,
        body=World.reset_link,
    ),
    way(
        "POST /auth/invitation/accept",
        BY_LINK,
        AuditAction.USER_INVITATION_ACCEPTED,
        AuditAction.USER_PROFILE_CHANGED,
        body=World.invitation_link,
    ),
    way(
        "PATCH /users/me",
        OWN,
        AuditAction.USER_PROFILE_CHANGED,
        body=lambda world: {"username": f"{world.name}-new", "display_name": "New", "locale": "de"},
    ),
    way("DELETE /users/me", OWN_FRESH, AuditAction.USER_DELETED),
    way(
        "PUT /users/me/password",
        OWN | {Check.PASSWORD},
        AuditAction.USER_PASSWORD_CHANGED,
        body=lambda _: {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
    ),
    way("POST /users/me/mfa/totp", OWN_FRESH),
    way(
        "POST /users/me/mfa/totp",
        OWN_PROVEN,
        body=World.add_app,
    ),
    way(
        "POST /users/me/mfa/totp/confirm",
        OWN_MAILBOX,
        AuditAction.FACTOR_ADDED,
        AuditAction.MFA_ENABLED,
        AuditAction.USER_EMAIL_VERIFIED,
        REVOKED,
        body=World.set_up_app,
    ),
    way(
        "DELETE /users/me/mfa/totp",
        OWN_PROVEN,
        AuditAction.FACTOR_REMOVED,
        AuditAction.MFA_DISABLED,
        body=World.add_app,
    ),
    way(
        "PUT /users/me/mfa",
        OWN_PROVEN,
        AuditAction.MFA_DISABLED,
        body=lambda world: {**world.add_app(), "enabled": False},
    ),
    way(
        "PUT /users/me/mfa",
        OWN_PROVEN,
        AuditAction.MFA_ENABLED,
        REVOKED,
        body=World.switch_off,
    ),
    way(
        "POST /users/me/recovery-codes",
        OWN_PROVEN,
        AuditAction.RECOVERY_CODES_RENEWED,
        body=World.recovery_codes,
    ),
    way("POST /auth/mfa/passkey-options", OPEN, body=World.begin_sign_in),
    way("POST /auth/reauthenticate/passkey-options", OWN, body=lambda _: {}),
    way("POST /users/me/passkeys/options", OWN_FRESH, body=lambda _: {}),
    way(
        "POST /users/me/passkeys/options",
        OWN_PROVEN,
        body=lambda world: world.passkey_id() and {},
    ),
    way(
        "POST /users/me/passkeys",
        OWN_MAILBOX | {Check.FRESH, Check.PASSKEY},
        AuditAction.FACTOR_ADDED,
        AuditAction.USER_EMAIL_VERIFIED,
        body=World.make_passkey,
    ),
    way(
        "PATCH /users/me/passkeys/{passkey_id}",
        OWN_PROVEN,
        body=lambda _: {"name": "Phone"},
    ),
    way(
        "PATCH /users/me/passkeys/{passkey_id}",
        OWN_PROVEN,
        AuditAction.FACTOR_UNFLAGGED,
        body=World.suspect_passkey,
    ),
    way(
        "DELETE /users/me/passkeys/{passkey_id}",
        OWN_PROVEN,
        AuditAction.FACTOR_REMOVED,
    ),
    way(
        "POST /users/me/email",
        OWN_FRESH,
        AuditAction.USER_EMAIL_CHANGE_REQUESTED,
        body=lambda world: {"new_email": f"{world.name}-new@example.com"},
    ),
    way(
        "POST /users/me/email/confirm",
        BY_PROVEN_LINK,
        AuditAction.USER_EMAIL_CHANGED,
        body=World.change_link,
    ),
    way(
        "DELETE /users/me/email",
        OWN,
        AuditAction.USER_EMAIL_CHANGE_WITHDRAWN,
        body=lambda world: world.change_link() and {},
    ),
    way("DELETE /users/me/sessions/{session_id}", OWN, REVOKED),
    way(
        "DELETE /users/me/sessions",
        OWN,
        REVOKED,
        body=World.sign_in_twice,
    ),
    way("GET /users/me/export", OWN_FRESH, EXPORT),
    way("POST /users/me/api-keys", OWN_FRESH, AuditAction.API_KEY_CREATED, body=World.own_key),
    way("DELETE /users/me/api-keys/{key_id}", OWN, AuditAction.API_KEY_REVOKED),
    way("DELETE /users/me/identities/{identity_id}", OWN_FRESH, AuditAction.IDENTITY_UNLINKED),
    way(
        "DELETE /users/me/identities/{identity_id}",
        OWN_PROVEN,
        AuditAction.IDENTITY_UNLINKED,
        body=lambda world: world.passkey_id() and {},
    ),
    way(
        "DELETE /users/{user_id}/api-keys",
        SESSIONS,
        AuditAction.API_KEY_REVOKED,
        body=lambda world: give_api_key(world.app, world.target.id) and {},
    ),
    way(
        "POST /api-keys/verify",
        checks(Check.SESSION, Permission.TOKENS_INTROSPECT),
        body=lambda world: {
            "key": give_api_key(world.app, world.target.id)[1],
            "scopes": ["account"],
        },
    ),
    way(
        "POST /users",
        checks(Check.SESSION, Permission.USERS_WRITE),
        AuditAction.USER_INVITED,
        body=lambda world: {
            "email": f"{world.name}-new@example.com",
            "username": f"{world.name}-new",
            "display_name": "New",
            "roles": ["user"],
        },
    ),
    way(
        "POST /users",
        checks(Check.SESSION, Check.FRESH, Check.HOLDS_ROLE, Permission.USERS_WRITE),
        AuditAction.USER_INVITED,
        AuditAction.USER_ROLES_CHANGED,
        body=lambda world: {"email": f"{world.name}-new@example.com", "roles": ["admin"]},
    ),
    way(
        "PATCH /users/{user_id}",
        ON_USER,
        AuditAction.USER_PROFILE_CHANGED,
        body=lambda world: {"username": f"{world.name}-new", "display_name": "New"},
    ),
    way(
        "PATCH /users/{user_id}",
        ON_OTHER_FRESH,
        AuditAction.USER_EMAIL_CHANGED,
        body=lambda world: {"email": f"{world.name}-new@example.com"},
    ),
    way(
        "PATCH /users/{user_id}",
        ON_OTHER_FRESH,
        AuditAction.USER_EMAIL_VERIFIED,
        body=lambda _: {"email_verified": True},
    ),
    way(
        "PATCH /users/{user_id}",
        ON_USER | {Check.OTHER},
        AuditAction.USER_DEACTIVATED,
        REVOKED,
        body=lambda _: {"is_active": False},
    ),
    way(
        "PATCH /users/{user_id}",
        ON_USER | {Check.OTHER},
        AuditAction.USER_ACTIVATED,
        body=World.deactivate,
    ),
    way("DELETE /users/{user_id}", ON_OTHER_FRESH, AuditAction.USER_DELETED),
    way("POST /users/{user_id}/invitation", ON_USER, AuditAction.USER_INVITED, body=World.invite),
    way(
        "PUT /users/{user_id}/roles",
        ON_ROLE | {Check.HOLDS_TARGET},
        AuditAction.USER_ROLES_CHANGED,
        body=lambda _: {"roles": ["admin", "user"]},
    ),
    way("DELETE /users/{user_id}/sessions", SESSIONS, REVOKED),
    way(
        "POST /users/{user_id}/password-reset",
        ON_USER | {Check.FRESH},
        AuditAction.USER_PASSWORD_RESET_TRIGGERED,
        REVOKED,
    ),
    way(
        "POST /users/{user_id}/mfa-reset",
        ON_OTHER_FRESH,
        AuditAction.MFA_RESET_REQUESTED,
        AuditAction.MFA_RESET,
        REVOKED,
    ),
    way(
        "POST /roles",
        ON_ROLE,
        AuditAction.ROLE_CREATED,
        body=lambda world: {
            "name": world.role,
            "description": "New.",
            "permissions": ["audit:read"],
            "requires_mfa": False,
        },
    ),
    way(
        "PATCH /roles/{name}",
        ON_ROLE | {Check.SECOND_FACTOR},
        AuditAction.ROLE_CHANGED,
        body=lambda world: world.make_role() and {"requires_mfa": True},
    ),
    way("PUT /roles/{name}", ON_ROLE, AuditAction.ROLE_CHANGED, body=World.make_role),
    way(
        "DELETE /roles/{name}",
        ON_ROLE,
        AuditAction.ROLE_DELETED,
        body=lambda world: world.make_role() and {},
    ),
    way(
        "DELETE /users/me/apps/{client_id}",
        OWN,
        AuditAction.CONSENT_REVOKED,
        body=World.allow_client,
    ),
    way(
        "POST /clients",
        ON_CLIENT,
        AuditAction.CLIENT_CREATED,
        AuditAction.CLIENT_SECRET_CREATED,
        body=lambda world: {
            **world.describe_client(),
            "client_id": f"{world.name}-new",
            "kind": "web",
        },
    ),
    way(
        "PATCH /clients/{client_id}",
        ON_CLIENT,
        AuditAction.CLIENT_CHANGED,
        body=lambda world: {**world.make_client(), **world.describe_client()},
    ),
    way(
        "DELETE /clients/{client_id}",
        WRITES_CLIENTS,
        AuditAction.CLIENT_DELETED,
        body=World.make_client,
    ),
    way(
        "POST /clients/{client_id}/secrets",
        ON_CLIENT,
        AuditAction.CLIENT_SECRET_CREATED,
        body=lambda world: {**world.make_client(), "expires_in": 3600},
    ),
    way(
        "DELETE /clients/{client_id}/secrets/{secret_id}",
        WRITES_CLIENTS,
        AuditAction.CLIENT_SECRET_REVOKED,
        body=World.make_client,
    ),
    way(
        "POST /clients/{client_id}/revoke",
        WRITES_CLIENTS,
        AuditAction.CLIENT_REVOKED,
        body=World.make_client,
    ),
    way(
        "POST /identity-providers",
        ON_PROVIDER,
        AuditAction.PROVIDER_CREATED,
        body=lambda world: {
            **world.describe_provider(),
            "slug": f"{world.name}-new",
            "preset": "google",
        },
    ),
    way(
        "PATCH /identity-providers/{slug}",
        ON_PROVIDER,
        AuditAction.PROVIDER_CHANGED,
        body=lambda world: {**world.make_provider(), **world.describe_provider()},
    ),
    way(
        "DELETE /identity-providers/{slug}",
        WRITES_PROVIDERS,
        AuditAction.PROVIDER_DELETED,
        body=World.make_provider,
    ),
]

READS = {
    # Calls that only read, and so have no effect; each needs a session and, but for the own
    # account, a permission: see `tests/docs/test_security_design.py`.
    "GET /audit-events",
    "GET /client-address",
    "GET /clients",
    "GET /clients/{client_id}",
    "GET /clients/{client_id}/status",
    "GET /identity-providers",
    "GET /identity-providers/{slug}",
    "GET /roles",
    "GET /roles/{name}",
    "GET /users",
    "GET /users/me",
    "GET /users/me/api-keys",
    "GET /users/me/apps",
    "GET /users/me/events",
    "GET /users/me/identities",
    "GET /users/me/mfa",
    "GET /users/me/passkeys",
    "GET /users/me/recovery-codes",
    "GET /users/me/sessions",
    "GET /users/{user_id}",
    "GET /users/{user_id}/api-keys",
    "GET /users/{user_id}/factors",
    "GET /users/{user_id}/identities",
    "GET /users/{user_id}/sessions",
    "GET /users/{user_id}/sign-in-status",
}

HARMLESS = {"expected_updated_at", "token_type_hint"}
"""Fields that do nothing by themselves."""


@dataclass
class People:
    """Callers whom all worlds share, since each of them is refused."""

    app: Flask
    admin: Caller
    lesser: dict[frozenset[str], Caller] = field(default_factory=dict)

    def with_permissions(self, permissions: Iterable[str]) -> Caller:
        """Return a caller who holds these permissions alone."""
        wanted = frozenset(permissions)
        if wanted not in self.lesser:
            name = f"lesser{len(self.lesser)}"
            body = {"name": name, "permissions": sorted(wanted)}
            assert self.admin.post(f"{API}/roles", json=body).status_code == 201
            self.lesser[wanted] = caller = register_caller(self.app, name, roles=(name,))
            raise_caller(self.app, caller)
        return self.lesser[wanted]


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with every call of the API."""
    return make_app(features=API_FEATURES)


@pytest.fixture
def people(app: Flask, admin: Caller) -> People:
    """Callers whom all worlds share."""
    raise_caller(app, admin)
    return People(app, admin)


@pytest.fixture
def worlds(app: Flask) -> Iterator[World]:
    """Worlds without end, each with people of its own."""
    mailbox = open_mailbox(app)
    return (World(app, mailbox, f"caller{number}") for number in count())


@dataclass
class Attempt:
    """A way in a world, ready to be gone: refusals spend nothing of it."""

    way: Way
    world: World
    people: People
    body: dict[str, Any] | None = field(init=False)
    path: str = field(init=False)

    def __post_init__(self) -> None:
        self.body = self.way.prepare(self.world)
        self.path = self.way.path(self.world, self.world.target.id)

    def perform(self, caller: Caller, path: str | None = None, **changes: Any) -> TestResponse:
        """Make the call as `caller`, with `changes` in its body."""
        body = {**self.body, **changes} if self.body is not None else None
        path = path or self.path
        if Check.SESSION not in self.way.checks:
            return caller.client.open(path, method=self.way.method, json=body)
        return caller.call(self.way.method, path, json=body)

    def with_token(self, access_token: str) -> TestResponse:
        """Make the call as the world's caller, with another token."""
        caller = self.world.caller
        return self.perform(Caller(caller.client, caller.user, {"access_token": access_token}))

    def without_session(self) -> TestResponse:
        """Make the call with a token that is none."""
        return self.with_token("x")

    def with_stale_token(self) -> TestResponse:
        """Make the call with a token that was refreshed."""
        caller = self.world.caller
        body = {"refresh_token": caller.tokens["refresh_token"]}
        tokens = caller.client.post(f"{API}/auth/refresh", json=body).get_json()
        return self.with_token(tokens["access_token"])

    def without_second_factor(self) -> TestResponse:
        """Make the call in a session that has proven one factor."""
        app, session_id = self.world.app, self.world.caller.session_id
        change_session(app, session_id, aal=1)
        response = self.perform(self.world.caller)
        change_session(app, session_id, aal=2)
        return response

    def with_other_code(self) -> TestResponse:
        """Make the call with another code than the mailed one."""
        code = (self.body or {})["email_code"]
        return self.perform(self.world.caller, email_code=code[1:] + code[0])

    def with_wrong_password(self) -> TestResponse:
        """Make the call with another password than the account's."""
        name = "current_password" if "current_password" in (self.body or {}) else "password"
        return self.perform(self.world.caller, **{name: "wrong"})

    def with_wrong_passkey(self) -> TestResponse:
        """Make the call with an answer to no challenge of the service, so none is spent."""
        credential = (self.body or {})["credential"]
        response = {**credential["response"], "clientDataJSON": ""}
        return self.perform(self.world.caller, credential={**credential, "response": response})

    def with_other_mfa_token(self) -> TestResponse:
        """Make the call with a token that no first step returned."""
        return self.perform(self.world.caller, mfa_token="x")

    def with_wrong_code(self) -> TestResponse:
        """Make the call with another code."""
        body = self.body or {}
        if "recovery_code" in body:
            return self.perform(self.world.caller, recovery_code="x")
        code = f"{(int(body['totp_code']) + 500_000) % 1_000_000:06}"
        return self.perform(self.world.caller, totp_code=code)

    def with_wrong_mailed_code(self) -> TestResponse:
        """Make the call with another code than the mailed one."""
        code = (self.body or {})["code"]
        return self.perform(self.world.caller, code=f"{(int(code) + 1) % 10**8:08}")

    def with_other_link(self) -> TestResponse:
        """Make the call with a token that no mail had."""
        return self.perform(self.world.caller, token="x")

    def on_own_account(self) -> TestResponse:
        """Make the call on the account of the caller, beside whom there are administrators."""
        path = self.way.path(self.world, self.people.admin.id)
        return self.perform(self.people.admin, path)

    def without_permission(self, permission: str) -> TestResponse:
        """Make the call as a caller who holds every permission but one."""
        return self.perform(self.people.with_permissions(set(Permission) - {permission}))

    def on_administrator(self) -> TestResponse:
        """Make the call on an administrator, as a caller who is none."""
        roles = f"{API}/users/{self.world.target.id}/roles"
        assert self.people.admin.put(roles, json={"roles": ["admin"]}).status_code == 200
        response = self.perform(self.people.with_permissions(Permission))
        assert self.people.admin.put(roles, json={"roles": ["user"]}).status_code == 200
        return response

    def without_permissions_of_role(self) -> TestResponse:
        """Make the call as a caller who may write roles, and holds nothing that they allow."""
        held = (Permission.ROLES_WRITE, Permission.USERS_WRITE)
        return self.perform(self.people.with_permissions(held))

    def without_permissions_of_client(self) -> TestResponse:
        """Make the call as a caller who may write clients, and holds nothing that they may do."""
        return self.perform(self.people.with_permissions([Permission.CLIENTS_WRITE]))

    def without_trust(self) -> TestResponse:
        """Make the call as a caller who has every permission and is no administrator."""
        return self.perform(self.people.with_permissions(Permission))


REFUSALS: dict[Check, tuple[str, Callable[[Attempt], TestResponse]]] = {
    Check.SESSION: ("invalid_token", Attempt.without_session),
    Check.FRESH: ("reauthentication_required", Attempt.with_stale_token),
    Check.SECOND_FACTOR: ("step_up_required", Attempt.without_second_factor),
    Check.MAILED_CODE: ("invalid_code", Attempt.with_other_code),
    Check.PASSWORD: ("wrong_password", Attempt.with_wrong_password),
    Check.PASSKEY: ("invalid_passkey", Attempt.with_wrong_passkey),
    Check.PENDING: ("mfa_token_invalid", Attempt.with_other_mfa_token),
    Check.SECOND_PROOF: ("invalid_code", Attempt.with_wrong_code),
    Check.EMAIL_CODE: ("invalid_code", Attempt.with_wrong_mailed_code),
    Check.LINK: ("invalid_or_expired_token", Attempt.with_other_link),
    Check.OTHER: ("own_account", Attempt.on_own_account),
    Check.HOLDS_TARGET: ("insufficient_permissions", Attempt.on_administrator),
    Check.HOLDS_SCOPES: ("insufficient_permissions", Attempt.without_permissions_of_client),
    Check.MAY_TRUST: ("insufficient_permissions", Attempt.without_trust),
    Check.HOLDS_ROLE: ("insufficient_permissions", Attempt.without_permissions_of_role),
}


def code_of(response: TestResponse) -> str:
    """The code of a refusal."""
    return str(response.get_json()["code"])


def effects_of(app: Flask, response: TestResponse, way: Way) -> set[Effect]:
    """Return the effects of a call, by its audit events."""
    with app.app_context():
        events = events_of_request(response.headers["X-Correlation-ID"])
    found: set[Effect] = {EXPORT} if way.call.endswith("/export") else set()
    for event in events:
        if event.outcome == "success":
            found.add(AuditAction(event.action))
            if set((event.details or {}).get("roles", ())) - {"user"}:
                found.add(AuditAction.USER_ROLES_CHANGED)
    return found


def label(way: Way) -> str:
    """A name for a way in the results."""
    return " ".join((way.call, *sorted(effect.split(".")[-1] for effect in way.effects)))


def operations(app: Flask) -> dict[str, set[str]]:
    """Every call of the API by its method and path, with the fields of its body."""
    with app.app_context():
        document = json.loads(OPENAPI.get().text)
    schemas = document["components"]["schemas"]
    found: dict[str, set[str]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if path.startswith(f"{API}/") and method != "parameters":
                content = operation.get("requestBody", {}).get("content", {})
                reference = content.get("application/json", {}).get("schema", {}).get("$ref")
                fields = schemas[reference.rpartition("/")[2]]["properties"] if reference else ()
                found[f"{method.upper()} {path.removeprefix(API)}"] = set(fields)
    return found


def test_every_call_is_in_the_table(app: Flask) -> None:
    assert operations(app).keys() == {way.call for way in WAYS} | READS | ON_EMPTY_DATABASE


def test_every_way_checks_what_its_effects_need() -> None:
    for each in WAYS:
        for effect in each.effects:
            assert any(needed <= each.checks for needed in NEEDED[effect]), label(each)


def test_every_way_does_what_the_table_says_after_its_checks(
    app: Flask, people: People, worlds: Iterator[World], subtests: pytest.Subtests
) -> None:
    fields = operations(app)
    for each in WAYS:
        with subtests.test(label(each)):
            attempt = Attempt(each, next(worlds), people)
            for check in each.checks - {Check.OWN}:
                if isinstance(check, Permission):
                    refusal, response = (
                        "insufficient_permissions",
                        attempt.without_permission(check),
                    )
                else:
                    refusal, refused = REFUSALS[check]
                    response = refused(attempt)
                expected = "invalid_credentials" if each.call == "POST /auth/login" else refusal
                assert code_of(response) == expected, check
                assert effects_of(app, response, each) <= {EXPORT}
            response = attempt.perform(attempt.world.caller)
            assert response.status_code < 300, response.get_json()
            assert effects_of(app, response, each) == each.effects
            fields[each.call] -= (attempt.body or {}).keys()
    # A field that no way sends may have an effect that no way shows.
    unsent = {call: left - HARMLESS for call, left in fields.items() if left - HARMLESS}
    assert unsent.keys() == ON_EMPTY_DATABASE
