"""Every action of the audit trail: who did it, to whom, and where the request came from.

Each case causes one event as clients, operators and the worker do, and reads it from the database.
An action without a case fails, and so does a call of `emit` that no case reaches.
"""

import ast
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import time_machine
from flask import Flask
from sqlalchemy import update

from authserve.audit.models import AuditEvent
from authserve.audit.new_sign_ins import answer_new_sign_in
from authserve.auth.errors import UnlinkedIdentityError
from authserve.auth.provider_sign_in import start_session_with_provider
from authserve.clients.client_secrets import add_secret, delete_secret, list_secrets
from authserve.clients.registry import RegisteredClient, change_client
from authserve.core.actor import OPERATOR, Actor, RequestInfo
from authserve.core.clock import now, to_rfc3339
from authserve.core.events import SUBSCRIPTIONS, AuditAction, DomainEvent
from authserve.core.outbound_hosts import NO_HOSTS
from authserve.database.transactions import transaction
from authserve.federation.ask import ProviderAnswer
from authserve.federation.configuration import ProviderChanges
from authserve.federation.errors import SignUpClosedError
from authserve.federation.identities import ProviderIdentity
from authserve.federation.own_identities import add_identity
from authserve.federation.policy import Claimed, SignIn
from authserve.federation.presets import Person
from authserve.federation.registry import change_provider, get_provider
from authserve.federation.sign_in import ProviderReturn, prove, resolve
from authserve.oidc.backchannel import LOGOUT_SENDER, LogoutSender
from authserve.oidc.consents import refuse_consent
from authserve.outbox.errors import DeliveryError
from authserve.outbox.worker import SCHEDULED_JOBS
from authserve.sessions.policy import MAX_SESSIONS_PER_USER
from authserve.settings.model import SETTINGS, EmailVerification
from authserve.users.accounts import lock_user, ref_of
from authserve.users.credentials import MAX_FAILED_SECOND_FACTORS, MAX_FAILED_SIGN_INS
from authserve.users.lookup import get_user, get_user_by_reference
from authserve.users.models import User
from tests.architecture.sources import ROOT, at, parse, source_files
from tests.oidc.conftest import VERIFIER, App
from tests.support.api_keys import give_api_key
from tests.support.audit import Recorded, all_events, count_events
from tests.support.authenticator import Faults
from tests.support.clients import PASSWORD, Caller, register_caller, sign_in
from tests.support.factors import give_recovery_codes, give_totp, raise_caller
from tests.support.identities import GOOGLE, ensure_provider, give_identity
from tests.support.mail import open_mailbox, work
from tests.support.oauth_clients import allow_client
from tests.support.passkeys import change_passkey, give_passkey, passkey_answer, passkey_row
from tests.support.rows import change_session, change_user
from tests.support.second_steps import first_step, wrong_code
from tests.support.totp import PATH as TOTP
from tests.support.totp import add_app, code_at, mailed_code
from tests.support.trail import seal_all, unguarded

API = "/api/v1"
NEW_PASSWORD = "another horse, another staple"
AGENT = "every-action/1.0"


class Scene:
    """A user, an administrator, and the call, command or job that causes an event.

    Args:
        number: makes names, addresses and ids that no other scene has.
    """

    def __init__(
        self, app: Flask, clock: time_machine.Traveller, folder: Path, number: int
    ) -> None:
        self.app, self.clock, self.folder, self.number = app, clock, folder, number
        self.mailbox = open_mailbox(app)
        self.email = f"user{number}@example.com"
        self.new_email = f"new{number}@example.com"
        self.role = {"name": f"role{number}", "permissions": ["users:read"]}
        self.origin = RequestInfo()
        """The data of the request that the event must hold."""
        self.past = 0
        """The number of events before the cause."""

    @cached_property
    def user(self) -> Caller:
        """A user with a session."""
        return register_caller(self.app, f"user{self.number}")

    @cached_property
    def admin(self) -> Caller:
        """An administrator with a fresh session."""
        return register_caller(self.app, f"admin{self.number}", roles=("admin",))

    def call(self, call: str, caller: Caller | None = None, **body: Any) -> None:
        """Cause the event by a request, of a visitor if there is no caller."""
        method, path = call.split()
        self._begin(RequestInfo(f"192.0.2.{self.number}", AGENT, f"cause-{self.number}"))
        headers = {"User-Agent": AGENT, "X-Correlation-ID": f"cause-{self.number}"}
        if caller is not None:
            headers["Authorization"] = f"Bearer {caller.tokens['access_token']}"
        self.app.test_client().open(
            API + path,
            method=method,
            json=body or None,
            headers=headers,
            environ_base={"REMOTE_ADDR": f"192.0.2.{self.number}"},
        )

    def send_form(self, path: str, **fields: str) -> None:
        """Cause the event by a form that an app sends."""
        self._begin(RequestInfo(f"192.0.2.{self.number}", AGENT, f"cause-{self.number}"))
        self.app.test_client().post(
            path,
            data=fields,
            headers={"User-Agent": AGENT, "X-Correlation-ID": f"cause-{self.number}"},
            environ_base={"REMOTE_ADDR": f"192.0.2.{self.number}"},
        )

    def flask(self, *args: str) -> None:
        """Cause the event by a command."""
        self._begin(RequestInfo(user_agent=f"flask {args[0]} {args[1]}"))
        result = self.app.test_cli_runner(capture="fd").invoke(args=args)
        assert result.exit_code == 0, result.output

    def deliver(self) -> None:
        """Let the worker deliver what a call asked for: only the call's id is left of it."""
        self.origin = RequestInfo(correlation_id=self.origin.correlation_id)
        work(self.app)

    def run_jobs(self) -> None:
        """Cause the event by the worker's own jobs."""
        self._begin(RequestInfo())
        with self.app.app_context():
            for job in SCHEDULED_JOBS.get():
                for _ in job.run():
                    pass

    def _begin(self, origin: RequestInfo) -> None:
        self.origin = origin
        with self.app.app_context():
            self.past = count_events()

    def events(self) -> list[Recorded]:
        """The events since the cause began."""
        with self.app.app_context():
            return all_events(skip=self.past)

    def id_of(self, name: str) -> UUID | None:
        """The id of `admin`, `user`, or `new`: the account with the new address."""
        if name == "none":
            return None
        if name == "new":
            with self.app.app_context():
                return get_user_by_reference(self.new_email).id
        caller: Caller = getattr(self, name)
        return caller.id

    def on_user(self, path: str = "") -> str:
        """The path of the administrators' calls on the user."""
        return f"/users/{self.user.id}{path}"

    def link(self, address: str) -> str:
        """The token of the newest link that was mailed to an address."""
        work(self.app)
        return [letter.token for letter in self.mailbox.to(address) if "#" in letter.text][-1]

    def verification_link(self) -> str:
        """The link that proves the user's address."""
        assert self.user
        return self.link(self.email)

    def change_link(self) -> str:
        """The link that changes the user's address."""
        body = {"new_email": self.new_email}
        assert self.user.post(f"{API}/users/me/email", json=body).status_code == 202
        return self.link(self.new_email)

    def reset_link(self) -> str:
        """The link that replaces the user's password."""
        body = {"email": self.user.user["email"]}
        assert self.user.post(f"{API}/auth/password/forgot", json=body).status_code == 202
        return self.link(self.email)

    def invitation_link(self) -> str:
        """The link of an account that waits for its owner."""
        body = {"email": self.new_email, "username": f"new{self.number}"}
        assert self.admin.post(f"{API}/users", json=body).status_code == 201
        return self.link(self.new_email)

    def make_role(self) -> str:
        """Make the role; returns its path."""
        assert self.admin.post(f"{API}/roles", json=self.role).status_code == 201
        return f"/roles/{self.role['name']}"

    def sign_in_again(self, times: int = 1) -> Caller:
        """Give the user more sessions; returns a caller with the last."""
        user = self.user
        for _ in range(times):
            user = sign_in(user.client, f"user{self.number}", user=user.user)
        return user

    def fail(self, times: int = 1) -> None:
        """Let a visitor sign in as the user with a wrong password; the last time counts."""
        assert self.user
        for _ in range(times):
            self.call("POST /auth/login", identifier=self.email, password="wrong")


def make_first_administrator(scene: Scene) -> None:
    link = scene.app.test_cli_runner(capture="fd").invoke(args=["users", "first-link"]).stdout
    body = {"email": scene.new_email, "password": PASSWORD}
    scene.call("POST /auth/first-administrator", token=link.strip().partition("#")[2], **body)


def register_again(scene: Scene) -> None:
    settings = SETTINGS.of(scene.app)
    assert scene.user
    SETTINGS.fill(scene.app, replace(settings, email_verification=EmailVerification.REQUIRED))
    scene.call("POST /auth/register", email=scene.email, password=PASSWORD)
    SETTINGS.fill(scene.app, settings)


def fail_for_the_hundredth_time(scene: Scene) -> None:
    few = update(User).where(User.id == scene.user.id)
    with scene.app.app_context(), transaction() as session:
        session.execute(few.values(failed_sign_ins=MAX_FAILED_SIGN_INS - 1))
    scene.fail()


def invite_again(scene: Scene) -> None:
    assert scene.invitation_link()
    scene.call(f"POST /users/{scene.id_of('new')}/invitation", scene.admin)


def request_reset(scene: Scene) -> None:
    scene.call("POST /auth/password/forgot", email=scene.user.user["email"])
    scene.deliver()


def sign_in_with_clone(scene: Scene) -> None:
    key = give_passkey(scene.app, scene.user.id, sign_count=10)
    key.sign_count = 1
    scene.call("POST /auth/passkey", credential=passkey_answer(scene.user.client, key))


def accept_clone(scene: Scene) -> None:
    key = give_passkey(scene.app, scene.user.id)
    change_passkey(scene.app, key, flagged_at=now())
    raise_caller(scene.app, scene.user)
    path = f"PATCH /users/me/passkeys/{passkey_row(scene.app, key)['id']}"
    scene.call(path, scene.user, clone_suspected=False)


def sign_in_with_broken_passkey(scene: Scene) -> None:
    key = give_passkey(scene.app, scene.user.id)
    answer = passkey_answer(scene.user.client, key, Faults(signature=lambda _: b""))
    scene.call("POST /auth/passkey", credential=answer)


def second_step(scene: Scene, token: str, **proof: Any) -> None:
    scene.call("POST /auth/mfa/verify", mfa_token=token, **proof)


def give_wrong_code(scene: Scene, times: int = 1) -> None:
    secret = give_totp(scene.app, scene.user.id)
    for _ in range(times):
        token = first_step(scene.user.client, scene.email)
        second_step(scene, token, totp_code=wrong_code(secret))


def give_hundredth_wrong_code(scene: Scene) -> None:
    few = update(User).where(User.id == scene.user.id)
    with scene.app.app_context(), transaction() as session:
        session.execute(few.values(failed_second_factors=MAX_FAILED_SECOND_FACTORS - 1))
    give_wrong_code(scene)


def use_recovery_code(scene: Scene) -> None:
    give_totp(scene.app, scene.user.id)
    (code,) = give_recovery_codes(scene.app, scene.user.id)
    second_step(scene, first_step(scene.user.client, scene.email), recovery_code=code)


def use_token_twice(scene: Scene) -> None:
    secret = give_totp(scene.app, scene.user.id)
    token = first_step(scene.user.client, scene.email)
    code = code_at(secret, now())
    for _ in range(2):
        second_step(scene, token, totp_code=code)


def deactivate(scene: Scene) -> None:
    scene.flask("users", "deactivate", str(scene.user.id))


def activate(scene: Scene) -> None:
    deactivate(scene)
    scene.call(f"PATCH {scene.on_user()}", scene.admin, is_active=True)


def sign_in_once_too_often(scene: Scene) -> None:
    scene.sign_in_again(MAX_SESSIONS_PER_USER - 1)
    scene.call("POST /auth/login", identifier=scene.email, password=PASSWORD)


def fail_to_reauthenticate(scene: Scene) -> None:
    for _ in range(5):
        scene.call("POST /auth/reauthenticate", scene.user, password="wrong")


def seed(scene: Scene) -> None:
    path = scene.folder / "seed.csv"
    path.write_text(f"email\n{scene.new_email}\n")
    scene.flask("users", "seed", str(path))


def revoke_by_command(scene: Scene) -> None:
    assert scene.user
    scene.clock.shift(1)
    scene.flask("sessions", "revoke", "--user", scene.email)


def import_file(scene: Scene) -> None:
    path = scene.folder / "users.csv"
    path.write_text(f"email,roles\n{scene.new_email},admin\n")
    scene.flask("users", "import", str(path), "--format", "csv")


def reuse_refresh_token(scene: Scene) -> None:
    token = {"refresh_token": scene.user.tokens["refresh_token"]}
    for _ in range(2):
        assert scene.user.client.post(f"{API}/auth/refresh", json=token).status_code == 200
    scene.clock.shift(timedelta(seconds=11))
    scene.call("POST /auth/refresh", **token)


def verify_after_tampering(scene: Scene) -> None:
    scene.clock.shift(timedelta(days=1))
    with scene.app.app_context():
        seal_all()
        with unguarded() as session:
            session.execute(update(AuditEvent).values(outcome="forged"))
    scene.run_jobs()


def confirm_app(scene: Scene) -> None:
    secret = scene.user.post(TOTP).get_json()["secret"]
    email_code = mailed_code(scene.app, scene.mailbox, scene.user)
    body = {"code": code_at(secret, now()), "email_code": email_code}
    scene.call("POST /users/me/mfa/totp/confirm", scene.user, **body)


def replace_app(scene: Scene) -> None:
    add_app(scene.app, scene.user, mailbox=scene.mailbox)
    code = code_at(scene.user.post(TOTP).get_json()["secret"], now())
    scene.call("POST /users/me/mfa/totp/confirm", scene.user, code=code)


def remove_app(scene: Scene) -> None:
    add_app(scene.app, scene.user, mailbox=scene.mailbox)
    scene.call("DELETE /users/me/mfa/totp", scene.user)


def renew_codes(scene: Scene) -> None:
    add_app(scene.app, scene.user, mailbox=scene.mailbox)
    scene.call("POST /users/me/recovery-codes", scene.user)


def require_mfa(scene: Scene) -> None:
    name = scene.make_role().rpartition("/")[2]
    scene.flask("roles", "requires-mfa", name, "on")


def perform_reset(scene: Scene) -> None:
    change_user(scene.app, scene.user.id, mfa_reset_at=now())
    scene.run_jobs()


def cancel_reset(scene: Scene) -> None:
    key = give_passkey(scene.app, scene.user.id)
    answer = passkey_answer(scene.user.client, key)
    change_user(scene.app, scene.user.id, mfa_reset_at=now() + timedelta(days=1))
    scene.call("POST /auth/passkey", credential=answer)


def sign_in_with_wrong_mailed_code(scene: Scene) -> None:
    asked = scene.app.test_client().post(f"{API}/auth/email-code", json={"email": scene.new_email})
    token = asked.get_json()["sign_in_token"]
    scene.call("POST /auth/email-code/verify", sign_in_token=token, code="00000000")


def create_client(scene: Scene) -> str:
    """Register a client; returns its id."""
    client_id = f"app{scene.number}"
    uri = f"https://{client_id}.example.com/callback"
    scene.flask("clients", "create", client_id, "--redirect-uri", uri)
    return client_id


def on_client(scene: Scene, command: str, *options: str) -> None:
    scene.flask("clients", command, create_client(scene), *options)


def delete_client_secret(scene: Scene) -> None:
    client_id = create_client(scene)
    with scene.app.app_context():
        (secret,) = list_secrets(client_id)
    scene.flask("clients", "delete-secret", client_id, str(secret.id))


def add_provider(scene: Scene) -> str:
    """Register a provider; returns its slug."""
    slug, secret = f"id{scene.number}", scene.folder / "secret.txt"
    secret.write_text("the client's secret")
    options = ("--slug", slug, "--client-id", "1234", "--client-secret-file", str(secret))
    scene.flask("providers", "add", "google", *options)
    return slug


def on_provider(scene: Scene, command: str, *options: str) -> None:
    scene.flask("providers", command, add_provider(scene), *options)


def add_own_identity(scene: Scene) -> None:
    """Link the user to a person at a provider; only a page of a browser does it."""
    ensure_provider(scene.app)
    scene.call("GET /users/me", scene.user)
    person = ProviderIdentity(issuer=GOOGLE, subject=f"person{scene.number}", email=None)
    with scene.app.app_context(), transaction():
        user = ref_of(lock_user(scene.user.id))
        add_identity(
            user,
            person,
            provider=get_provider("google"),
            notified_email=scene.email,
            actor=Actor(user=user, session_id=scene.user.session_id),
            request=scene.origin,
            now=now(),
        )


def remove_own_identity(scene: Scene) -> None:
    identity_id = give_identity(scene.app, scene.user.id)
    scene.call(f"DELETE /users/me/identities/{identity_id}", scene.user)


def reclaim_account(scene: Scene) -> None:
    """Reset the password of an account whose address was never verified."""
    give_identity(scene.app, scene.user.id)
    scene.call("POST /auth/password/reset", token=scene.reset_link(), new_password=NEW_PASSWORD)


def come_back(scene: Scene, *, sign_up: bool) -> ProviderReturn:
    """Let an unknown person come back from a provider."""
    slug = add_provider(scene)
    claimed = Claimed(email=scene.new_email, is_email_verified=True, domain="example.com")
    changes = ProviderChanges(sign_up=sign_up)
    person = Person(subject=str(scene.number), claimed=claimed, display_name=None)
    return ProviderReturn(
        provider=change_provider(slug, changes, actor=OPERATOR, request=scene.origin),
        answer=ProviderAnswer(person=person),
        linking_user_id=None,
        locale=None,
        request=scene.origin,
    )


def refuse_identity(scene: Scene) -> None:
    """Open no account for a person."""
    with scene.app.app_context(), pytest.raises(SignUpClosedError):
        resolve(come_back(scene, sign_up=False))


def sign_up_by_provider(scene: Scene) -> None:
    """Open an account for a person."""
    with scene.app.app_context():
        resolve(come_back(scene, sign_up=True))


def sign_in_by_lost_identity(scene: Scene) -> None:
    """Let a person sign in whose identity was unlinked meanwhile."""
    user_id = scene.user.id
    with scene.app.app_context():
        step = SignIn(user_id)
        proven = prove(come_back(scene, sign_up=True), step)
        with pytest.raises(UnlinkedIdentityError):
            start_session_with_provider(proven, device=None, request=scene.origin)


def disown_sign_in(scene: Scene) -> None:
    user = scene.user
    scene.call("POST /auth/login", identifier=scene.email, password=PASSWORD)
    (sign_in_id,) = (each.id for each in scene.events() if each.action == A.SESSION_STARTED)
    # Only a page asks for the answer, and this application has none.
    with scene.app.app_context():
        actor = Actor(user=ref_of(get_user(user.id)), session_id=user.session_id)
        answer_new_sign_in(sign_in_id, is_own=False, actor=actor, request=scene.origin)


def make_code(scene: Scene) -> dict[str, str]:
    """Let the user, whose session becomes a browser's, allow an app; returns what the app sends."""
    client_id = create_client(scene)
    change_session(scene.app, scene.user.session_id, kind="browser")
    with scene.app.app_context():
        change_client(
            client_id,
            {"scopes": ("openid",), "first_party": True},
            actor=OPERATOR,
            request=RequestInfo(),
        )
        (secret,) = list_secrets(client_id)
        delete_secret(client_id, secret.id, actor=OPERATOR, request=RequestInfo())
        text, _ = add_secret(client_id, expires_in=None, actor=OPERATOR, request=RequestInfo())
    app = App(scene.app, client_id, scene.user.id, scene.user.session_id, text)
    return {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "client_secret": text,
        "code": app.make_code("openid"),
        "code_verifier": VERIFIER,
    }


def redeem(scene: Scene) -> None:
    scene.send_form("/oauth/token", **make_code(scene))


def sign_out_with_an_app(scene: Scene) -> None:
    scene.send_form("/oauth/token", **make_code(scene))
    scene.call("POST /auth/logout", scene.user)


def strange_app(scene: Scene) -> RegisteredClient:
    """An app that is not the operator's."""
    client_id = create_client(scene)
    with scene.app.app_context():
        return change_client(
            client_id, {"first_party": False}, actor=OPERATOR, request=RequestInfo()
        )


def allow(scene: Scene, client: RegisteredClient) -> None:
    """Let the user allow an app; the page needs a browser, which this application has not."""
    user, client_id = scene.user, client.client_id
    allow_client(
        scene.app, client_id, user_id=user.id, session_id=user.session_id, request=scene.origin
    )


def allow_app(scene: Scene) -> None:
    client = strange_app(scene)
    scene.call("GET /users/me", scene.user)
    allow(scene, client)


def refuse_app(scene: Scene) -> None:
    client, user = strange_app(scene), scene.user
    scene.call("GET /users/me", user)
    with scene.app.app_context():
        actor = Actor(user=ref_of(get_user(user.id)), session_id=user.session_id)
        refuse_consent(client=client, actor=actor, request=scene.origin)


def withdraw_consent(scene: Scene) -> None:
    client = strange_app(scene)
    allow(scene, client)
    scene.call(f"DELETE /users/me/apps/{client.client_id}", scene.user)


def withdraw_by_reset(scene: Scene) -> None:
    """Reset the password of an account that has allowed an app."""
    allow(scene, strange_app(scene))
    scene.call("POST /auth/password/reset", token=scene.reset_link(), new_password=NEW_PASSWORD)


def withdraw_signed_in_app(scene: Scene) -> None:
    form = make_code(scene)
    scene.send_form("/oauth/token", **form)
    scene.call(f"DELETE /users/me/apps/{form['client_id']}", scene.user)


def redeem_again_later(scene: Scene) -> None:
    form = make_code(scene)
    scene.send_form("/oauth/token", **form)
    scene.clock.shift(11)
    scene.send_form("/oauth/token", **form)


def redeem_nothing(scene: Scene) -> None:
    scene.send_form("/oauth/token", **{**make_code(scene), "code": "x"})


def redeem_without_secret(scene: Scene) -> None:
    scene.send_form("/oauth/token", **{**make_code(scene), "client_secret": "x"})


class AppStandIn(LogoutSender):
    """Takes every logout token, or refuses it.

    Args:
        error: of each try; None for success.
    """

    def __init__(self, error: DeliveryError | None) -> None:
        super().__init__(NO_HOSTS)
        self.error = error

    def send(self, client_id: str, uri: str, token: str) -> None:
        """Send nothing."""
        if self.error is not None:
            raise self.error


def notify_app(scene: Scene, *, error: DeliveryError | None = None) -> None:
    """Sign the user out of an app; let the worker tell it."""
    form = make_code(scene)
    client_id = form["client_id"]
    uri = f"https://{client_id}.example.com/logout"
    with scene.app.app_context():
        change_client(
            client_id,
            {"backchannel_logout_uri": uri},
            actor=OPERATOR,
            request=RequestInfo(),
        )
    scene.send_form("/oauth/token", **form)
    scene.call("POST /auth/logout", scene.user)
    LOGOUT_SENDER.fill(scene.app, AppStandIn(error))
    scene.deliver()


def fail_to_notify_app(scene: Scene) -> None:
    notify_app(scene, error=DeliveryError("the app answered 400", is_final=True))


@dataclass(frozen=True)
class Case:
    """A way to an event, and whom the event must name.

    Args:
        actor, subject: see `Scene.id_of`.
    """

    action: AuditAction
    actor: str
    subject: str
    cause: Callable[[Scene], None]
    outcome: str = "success"


A = AuditAction


def make_api_key(s: Scene) -> None:
    """Let a user make an API key."""
    change_user(s.app, s.user.id, email_verified=True)
    s.call("POST /users/me/api-keys", s.user, name="Report", scopes=["account"])


def revoke_keys_of_user(s: Scene) -> None:
    """Let an administrator revoke a user's keys."""
    give_api_key(s.app, s.user.id)
    s.call(f"DELETE {s.on_user('/api-keys')}", s.admin)


def revoke_older_keys(s: Scene) -> None:
    """Let an operator revoke the keys from before a restored backup."""
    give_api_key(s.app, s.user.id)
    moment = to_rfc3339(now() + timedelta(seconds=1))
    s.flask("api-keys", "revoke", "--made-before", moment, "--yes")


def end_sessions_of_provider(s: Scene) -> None:
    """Let an operator end the sessions that a provider began."""
    change_session(s.app, s.user.session_id, provider="work")
    s.flask("providers", "end-sessions", "work", "--yes")


FAILURE = "failure"

CASES = [
    # First, while there is no account.
    Case(A.USER_CREATED, "none", "new", make_first_administrator),
    Case(A.USER_CREATED, "none", "new", lambda s: s.flask("users", "create", s.new_email)),
    Case(A.USER_CREATED, "none", "new", seed),
    Case(
        A.USER_REGISTERED,
        "none",
        "new",
        lambda s: s.call("POST /auth/register", email=s.new_email, password=PASSWORD),
    ),
    Case(A.USER_REGISTRATION_REPEATED, "none", "user", register_again, FAILURE),
    Case(
        A.USERS_EXPORTED,
        "none",
        "none",
        lambda s: s.flask("users", "export", str(s.folder / "out.ndjson"), "--with-secrets"),
    ),
    Case(A.USERS_IMPORTED, "none", "none", import_file),
    Case(A.USER_ROLES_CHANGED, "none", "new", import_file),
    Case(
        A.USER_INVITED, "admin", "new", lambda s: s.call("POST /users", s.admin, email=s.new_email)
    ),
    Case(
        A.USER_INVITED,
        "admin",
        "new",
        invite_again,
    ),
    Case(
        A.USER_INVITATION_ACCEPTED,
        "new",
        "new",
        lambda s: s.call(
            "POST /auth/invitation/accept", token=s.invitation_link(), password=PASSWORD
        ),
    ),
    Case(A.API_KEY_CREATED, "user", "user", make_api_key),
    Case(
        A.API_KEY_REVOKED,
        "user",
        "user",
        lambda s: s.call(f"DELETE /users/me/api-keys/{give_api_key(s.app, s.user.id)[0]}", s.user),
    ),
    Case(A.API_KEY_REVOKED, "admin", "user", revoke_keys_of_user),
    Case(A.API_KEY_REVOKED, "none", "none", revoke_older_keys),
    Case(A.FACTOR_ADDED, "user", "user", confirm_app),
    Case(A.MFA_ENABLED, "user", "user", confirm_app),
    Case(A.USER_EMAIL_VERIFIED, "user", "user", confirm_app),
    Case(A.FACTOR_REMOVED, "user", "user", replace_app),
    Case(A.FACTOR_REMOVED, "user", "user", remove_app),
    Case(A.MFA_DISABLED, "user", "user", remove_app),
    Case(
        A.MFA_RESET_REQUESTED,
        "admin",
        "user",
        lambda s: s.call(f"POST {s.on_user('/mfa-reset')}", s.admin),
    ),
    Case(A.MFA_RESET, "none", "user", lambda s: s.flask("users", "mfa-reset", str(s.user.id))),
    Case(A.MFA_RESET_CANCELLED, "none", "user", cancel_reset),
    Case(A.RECOVERY_CODES_RENEWED, "user", "user", renew_codes),
    Case(
        A.USER_PROFILE_CHANGED,
        "new",
        "new",
        lambda s: s.call(
            "POST /auth/invitation/accept",
            token=s.invitation_link(),
            password=PASSWORD,
            display_name="New",
        ),
    ),
    Case(
        A.USER_PROFILE_CHANGED,
        "user",
        "user",
        lambda s: s.call("PATCH /users/me", s.user, display_name="New"),
    ),
    Case(
        A.USER_PROFILE_CHANGED,
        "admin",
        "user",
        lambda s: s.call(f"PATCH {s.on_user()}", s.admin, display_name="New"),
    ),
    Case(
        A.USER_PASSWORD_CHANGED,
        "user",
        "user",
        lambda s: s.call(
            "PUT /users/me/password",
            s.user,
            current_password=PASSWORD,
            new_password=NEW_PASSWORD,
        ),
    ),
    Case(
        A.USER_PASSWORD_RESET,
        "none",
        "user",
        lambda s: s.call(
            "POST /auth/password/reset", token=s.reset_link(), new_password=NEW_PASSWORD
        ),
    ),
    Case(A.PASSWORD_RESET_REQUESTED, "none", "user", request_reset),
    Case(A.USER_PASSWORD_DISABLED, "none", "user", fail_for_the_hundredth_time, FAILURE),
    Case(
        A.USER_EMAIL_VERIFIED,
        "none",
        "user",
        lambda s: s.call("POST /auth/email/verify", token=s.verification_link(), password=PASSWORD),
    ),
    Case(
        A.USER_EMAIL_VERIFIED,
        "admin",
        "user",
        lambda s: s.call(f"PATCH {s.on_user()}", s.admin, email_verified=True),
    ),
    Case(
        A.USER_EMAIL_CHANGE_REQUESTED,
        "user",
        "user",
        lambda s: s.call("POST /users/me/email", s.user, new_email=s.new_email),
    ),
    Case(
        A.USER_EMAIL_CHANGE_WITHDRAWN,
        "user",
        "user",
        lambda s: s.change_link() and s.call("DELETE /users/me/email", s.user),
    ),
    Case(
        A.USER_EMAIL_CHANGED,
        "user",
        "user",
        lambda s: s.call("POST /users/me/email/confirm", s.user, token=s.change_link()),
    ),
    Case(
        A.USER_EMAIL_CHANGED,
        "admin",
        "user",
        lambda s: s.call(f"PATCH {s.on_user()}", s.admin, email=s.new_email),
    ),
    Case(
        A.USER_DEACTIVATED,
        "admin",
        "user",
        lambda s: s.call(f"PATCH {s.on_user()}", s.admin, is_active=False),
    ),
    Case(A.USER_DEACTIVATED, "none", "user", deactivate),
    Case(A.USER_ACTIVATED, "admin", "user", activate),
    Case(A.USER_DELETED, "user", "user", lambda s: s.call("DELETE /users/me", s.user)),
    Case(A.USER_DELETED, "admin", "user", lambda s: s.call(f"DELETE {s.on_user()}", s.admin)),
    Case(
        A.USER_ROLES_CHANGED,
        "admin",
        "user",
        lambda s: s.call(f"PUT {s.on_user('/roles')}", s.admin, roles=["admin", "user"]),
    ),
    Case(
        A.USER_PASSWORD_RESET_TRIGGERED,
        "admin",
        "user",
        lambda s: s.call(f"POST {s.on_user('/password-reset')}", s.admin),
    ),
    Case(
        A.USER_RESET_LINK_MADE,
        "none",
        "user",
        lambda s: s.flask("users", "reset-link", str(s.user.id)),
    ),
    Case(A.USER_UNLOCKED, "none", "user", lambda s: s.flask("users", "unlock", str(s.user.id))),
    Case(A.ROLE_CREATED, "admin", "none", lambda s: s.call("POST /roles", s.admin, **s.role)),
    Case(
        A.ROLE_CHANGED,
        "admin",
        "none",
        lambda s: s.call(f"PUT {s.make_role()}", s.admin, permissions=["audit:read"]),
    ),
    Case(A.ROLE_CHANGED, "none", "none", require_mfa),
    Case(A.ROLE_DELETED, "admin", "none", lambda s: s.call(f"DELETE {s.make_role()}", s.admin)),
    Case(
        A.SESSION_STARTED,
        "user",
        "user",
        lambda s: s.call("POST /auth/login", identifier=s.user.user["email"], password=PASSWORD),
    ),
    Case(A.SESSION_SIGN_IN_FAILED, "none", "user", Scene.fail, FAILURE),
    Case(A.SESSION_SIGN_IN_THROTTLED, "none", "user", lambda s: s.fail(5), FAILURE),
    Case(A.SESSION_SIGN_IN_THROTTLED, "user", "user", fail_to_reauthenticate, FAILURE),
    Case(
        A.SESSION_REAUTHENTICATED,
        "user",
        "user",
        lambda s: s.call("POST /auth/reauthenticate", s.user, password=PASSWORD),
    ),
    Case(
        A.SESSION_REAUTHENTICATION_FAILED,
        "user",
        "user",
        lambda s: s.call("POST /auth/reauthenticate", s.user, password="wrong"),
        FAILURE,
    ),
    Case(A.SESSION_REVOKED, "user", "user", lambda s: s.call("POST /auth/logout", s.user)),
    Case(A.SESSION_REVOKED, "user", "user", lambda s: s.call("POST /auth/logout-all", s.user)),
    Case(
        A.SESSION_REVOKED,
        "user",
        "user",
        lambda s: s.call(f"DELETE /users/me/sessions/{s.sign_in_again().session_id}", s.user),
    ),
    Case(
        A.SESSION_REVOKED,
        "user",
        "user",
        lambda s: s.sign_in_again() and s.call("DELETE /users/me/sessions", s.user),
    ),
    Case(
        A.SESSION_REVOKED,
        "admin",
        "user",
        lambda s: s.call(f"DELETE {s.on_user('/sessions')}", s.admin),
    ),
    Case(
        A.SESSION_REVOKED,
        "admin",
        "user",
        lambda s: s.call(f"PATCH {s.on_user()}", s.admin, is_active=False),
    ),
    Case(
        A.SESSION_REVOKED,
        "none",
        "user",
        lambda s: s.call(
            "POST /auth/password/reset", token=s.reset_link(), new_password=NEW_PASSWORD
        ),
    ),
    Case(A.SESSION_REVOKED, "user", "user", sign_in_once_too_often),
    Case(A.SESSION_REVOKED, "user", "user", sign_out_with_an_app),
    Case(A.SESSION_REVOKED, "none", "none", end_sessions_of_provider),
    Case(
        A.SESSION_REVOKED,
        "none",
        "user",
        revoke_by_command,
    ),
    Case(A.SESSION_REUSE_DETECTED, "none", "user", reuse_refresh_token, FAILURE),
    Case(A.SESSION_SIGN_IN_FAILED, "none", "user", sign_in_with_broken_passkey, FAILURE),
    Case(A.SESSION_SIGN_IN_FAILED, "none", "none", sign_in_with_wrong_mailed_code, FAILURE),
    Case(A.ACTIVITY_DISOWNED, "user", "user", disown_sign_in),
    Case(A.FACTOR_FLAGGED, "none", "user", sign_in_with_clone, FAILURE),
    Case(A.FACTOR_UNFLAGGED, "user", "user", accept_clone),
    Case(A.SESSION_SECOND_FACTOR_FAILED, "none", "user", give_wrong_code, FAILURE),
    Case(A.SESSION_SECOND_FACTOR_FAILED, "none", "user", use_token_twice, FAILURE),
    Case(
        A.SESSION_SECOND_FACTOR_THROTTLED,
        "none",
        "user",
        lambda s: give_wrong_code(s, 5),
        FAILURE,
    ),
    Case(A.FACTOR_SWITCHED_OFF, "none", "user", give_hundredth_wrong_code, FAILURE),
    Case(A.RECOVERY_CODES_USED, "none", "user", use_recovery_code),
    Case(A.CLIENT_CREATED, "none", "none", lambda s: create_client(s)),
    Case(A.CLIENT_CHANGED, "none", "none", lambda s: on_client(s, "disable")),
    Case(A.CLIENT_REVOKED, "none", "none", lambda s: on_client(s, "revoke")),
    Case(A.CLIENT_SECRET_CREATED, "none", "none", lambda s: on_client(s, "rotate-secret")),
    Case(A.CLIENT_SECRET_REVOKED, "none", "none", delete_client_secret),
    Case(A.CLIENT_DELETED, "none", "none", lambda s: on_client(s, "delete", "--yes")),
    Case(A.OAUTH_AUTHORIZED, "user", "user", redeem),
    Case(A.OAUTH_REFUSED, "none", "none", redeem_nothing, FAILURE),
    Case(A.OAUTH_CLIENT_AUTH_FAILED, "none", "none", redeem_without_secret, FAILURE),
    Case(A.OAUTH_CODE_REUSED, "none", "user", redeem_again_later, FAILURE),
    Case(A.LOGOUT_DELIVERED, "none", "user", notify_app),
    Case(A.LOGOUT_FAILED, "none", "user", fail_to_notify_app, FAILURE),
    Case(A.OAUTH_DENIED, "user", "user", refuse_app, FAILURE),
    Case(A.CONSENT_GRANTED, "user", "user", allow_app),
    Case(A.CONSENT_REVOKED, "user", "user", withdraw_consent),
    Case(A.CONSENT_REVOKED, "none", "user", withdraw_by_reset),
    Case(A.SESSION_REVOKED, "user", "user", withdraw_signed_in_app),
    Case(A.PROVIDER_CREATED, "none", "none", lambda s: add_provider(s)),
    Case(A.PROVIDER_CHANGED, "none", "none", lambda s: on_provider(s, "disable")),
    Case(A.PROVIDER_DELETED, "none", "none", lambda s: on_provider(s, "delete", "--yes")),
    Case(A.IDENTITY_LINKED, "user", "user", add_own_identity),
    Case(A.IDENTITY_UNLINKED, "user", "user", remove_own_identity),
    Case(A.IDENTITY_UNLINKED, "none", "user", reclaim_account),
    Case(A.USER_REGISTERED, "none", "new", sign_up_by_provider),
    Case(A.SESSION_SIGN_IN_FAILED, "none", "user", sign_in_by_lost_identity, FAILURE),
    Case(A.IDENTITY_SIGN_IN_REFUSED, "none", "none", refuse_identity, FAILURE),
    Case(A.KEY_ROTATED, "none", "none", lambda s: s.flask("keys", "rotate")),
    Case(A.AUDIT_VERIFIED, "none", "none", Scene.run_jobs),
    Case(A.MFA_RESET, "none", "user", perform_reset),
    # Last, since nothing verifies afterwards.
    Case(A.AUDIT_VERIFIED, "none", "none", verify_after_tampering, FAILURE),
]


def test_every_action_has_a_case() -> None:
    assert {case.action for case in CASES} == set(AuditAction)


def test_every_event_names_actor_action_subject_and_request(
    make_app: Callable[..., Flask],
    clock: time_machine.Traveller,
    tmp_path: Path,
    subtests: pytest.Subtests,
) -> None:
    app = make_app(features=("oidc", "api-keys", "federation"))
    reached = note_calls_of_emit(app)
    for number, case in enumerate(CASES, start=1):
        scene = Scene(app, clock, tmp_path, number)
        with subtests.test(f"{case.action} of {case.actor}", number=number):
            case.cause(scene)
            is_erased = case.action is A.USER_DELETED
            origin = erased(scene.origin) if is_erased else scene.origin
            actor, subject = scene.id_of(case.actor), scene.id_of(case.subject)
            found = [event for event in scene.events() if event.action == case.action]
            # A failure may begin the blocks of two counters, and a browser's session may end with
            # those of apps; each is an event of its own.
            assert len(found) == 1 or case.action in (
                A.SESSION_SIGN_IN_THROTTLED,
                A.SESSION_REVOKED,
            )
            assert {facts(event) for event in found} == {(case.outcome, actor, subject, origin)}
    assert reached == calls_of_emit()


def facts(event: Recorded) -> tuple[str, UUID | None, UUID | None, RequestInfo]:
    """The fields of an event beside its action and details."""
    origin = RequestInfo(event.ip, event.user_agent, event.correlation_id)
    return event.outcome, event.actor, event.subject, origin


def erased(origin: RequestInfo) -> RequestInfo:
    """Return what is left of an origin when the details of an event are deleted."""
    return RequestInfo(correlation_id=origin.correlation_id)


def note_calls_of_emit(app: Flask) -> set[str]:
    """Return a set that will hold the places of the calls of `emit` that `app` makes."""
    places: set[str] = set()

    def note(_event: DomainEvent) -> None:
        # The frames: this handler, `emit`, and its caller.
        frame = sys._getframe(2)
        places.add(f"{Path(frame.f_code.co_filename).relative_to(ROOT)}:{frame.f_lineno}")

    SUBSCRIPTIONS.fill(app, (*SUBSCRIPTIONS.of(app), (frozenset(AuditAction), note)))
    return places


def calls_of_emit() -> set[str]:
    """The places of all calls of `emit` in the source."""
    return {
        at(path, node)
        for path in source_files()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "emit"
    }
