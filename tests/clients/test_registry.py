"""The registry of clients, and their secrets."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import time_machine
from flask import Flask

from authserve.clients.authentication import ClientCredentials, find_authenticated_client
from authserve.clients.client_secrets import (
    MAX_LIVE_SECRETS,
    PREFIX,
    add_secret,
    delete_secret,
    list_secrets,
)
from authserve.clients.configuration import PROXY_SCOPES, ClientConfiguration
from authserve.clients.errors import (
    ClientIdTakenError,
    ClientNotFoundError,
    ClientSecretNotFoundError,
    NoSecretsError,
    TooManySecretsError,
)
from authserve.clients.kinds import ClientKind
from authserve.clients.listing import page_of_clients
from authserve.clients.origins import list_origins
from authserve.clients.registry import (
    change_client,
    delete_client,
    find_client,
    get_client,
    register_client,
    revoke_client,
)
from authserve.core.actor import OPERATOR, Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.errors import (
    InsufficientPermissionsError,
    StepUpRequiredError,
    ValidationFailedError,
)
from authserve.core.key_text import new_key_text
from authserve.database.transactions import db
from tests.support.clients import Caller
from tests.support.crowd import all_at_once
from tests.support.databases import executed
from tests.support.marks import both_databases
from tests.support.rows import audit_trail, change_session, live_session_row

WEB = ClientConfiguration(
    name="Wiki", kind=ClientKind.WEB, redirect_uris=("https://wiki.example.com/callback",)
)

FILES = ClientConfiguration(
    name="Files", kind=ClientKind.PROXY, origins=("https://files.example.com",), scopes=PROXY_SCOPES
)

REQUEST = RequestInfo()

HELPER = Actor(permissions=frozenset({"clients:write", "users:read"}))
"""Not an administrator."""

SLEEPING = Actor(is_sleeping_admin=True)


def is_secret_of(client_id: str, secret: str, *, now: datetime) -> bool:
    credentials = ClientCredentials(client_id=client_id, secret=secret)
    return find_authenticated_client(credentials, now=now) is not None


def register(client_id: str, client: ClientConfiguration = WEB, actor: Actor = OPERATOR) -> None:
    register_client(client_id, client, actor=actor, request=REQUEST)


def give_secret(client_id: str, *, lasting: timedelta | None = None) -> str:
    secret, _ = add_secret(client_id, expires_in=lasting, actor=OPERATOR, request=REQUEST)
    return secret


pytestmark = pytest.mark.usefixtures("context")


@both_databases
def test_a_client_is_registered_changed_and_deleted(app: Flask) -> None:
    register("wiki")
    assert get_client("wiki").configuration == WEB
    changed = change_client("wiki", {"name": "Docs"}, actor=OPERATOR, request=REQUEST)
    assert changed.configuration == replace(WEB, name="Docs")
    change_client("wiki", {"name": "Docs"}, actor=OPERATOR, request=REQUEST)
    delete_client("wiki", actor=OPERATOR, request=REQUEST)
    assert find_client("wiki") is None
    with pytest.raises(ClientNotFoundError):
        change_client("wiki", {"name": "Docs"}, actor=OPERATOR, request=REQUEST)
    actions = ("client.created", "client.changed", "client.deleted")
    trail = [(event["action"], event["details"]) for event in audit_trail(app, *actions)]
    assert trail == [
        ("client.created", {"client_id": "wiki", "kind": "web"}),
        ("client.changed", {"client_id": "wiki", "fields": ["name"]}),
        ("client.deleted", {"client_id": "wiki"}),
    ]


@both_databases
def test_an_id_is_never_used_again() -> None:
    register("wiki")
    for _ in range(2):
        with pytest.raises(ClientIdTakenError):
            register("wiki")
        if find_client("wiki"):
            delete_client("wiki", actor=OPERATOR, request=REQUEST)


LIKE_AN_ACCOUNT = "a57db5be-06db-4d6f-a884-1b741c79fa55"


@pytest.mark.parametrize(
    "client_id", ["", "a", "Wiki", "1wiki", "wi_ki", "authserve", "a" * 49, LIKE_AN_ACCOUNT]
)
def test_it_refuses_an_id_that_could_be_mistaken(client_id: str) -> None:
    with pytest.raises(ValidationFailedError) as caught:
        register(client_id)
    assert set(caught.value.errors) == {"client_id"}
    assert find_client(client_id) is None


def test_all_faults_are_reported_together() -> None:
    with pytest.raises(ValidationFailedError) as caught:
        register("-", replace(WEB, redirect_uris=(), scopes=("phone",)))
    assert set(caught.value.errors) == {"client_id", "redirect_uris", "scopes"}


def test_clients_are_listed_by_id_in_pages() -> None:
    for client_id in ("b-app", "a-app", "c-app"):
        register(client_id)
    delete_client("c-app", actor=OPERATOR, request=REQUEST)
    assert [client.client_id for client in page_of_clients(limit=1)] == ["a-app"]
    assert [client.client_id for client in page_of_clients(limit=9, after="a-app")] == ["b-app"]


class TestPower:
    """An operator gives a client nothing that the operator lacks."""

    def test_a_permission_is_granted_by_its_holders(self) -> None:
        register("reader", replace(WEB, scopes=("openid", "users:read")), HELPER)
        with pytest.raises(InsufficientPermissionsError):
            register("writer", replace(WEB, scopes=("users:write",)), HELPER)

    @pytest.mark.parametrize("changes", [{"first_party": True}, {"scopes": ("account",)}])
    def test_what_acts_without_consent_is_for_administrators(
        self, changes: dict[str, bool]
    ) -> None:
        trusted = replace(WEB, **changes)
        with pytest.raises(InsufficientPermissionsError):
            register("app", trusted, HELPER)
        with pytest.raises(StepUpRequiredError):
            register("app", trusted, SLEEPING)
        register("app", trusted)
        for refused in ({"name": "Mine"}, {"redirect_uris": ("https://evil.example/",)}):
            with pytest.raises(InsufficientPermissionsError):
                change_client("app", refused, actor=HELPER, request=REQUEST)
        with pytest.raises(InsufficientPermissionsError):
            add_secret("app", expires_in=None, actor=HELPER, request=REQUEST)

    def test_a_powerful_client_is_neither_changed_nor_enabled_but_disabled_by_a_helper(
        self,
    ) -> None:
        register("writer", replace(WEB, scopes=("users:write",)))
        with pytest.raises(InsufficientPermissionsError):
            change_client("writer", {"scopes": ()}, actor=HELPER, request=REQUEST)
        change_client("writer", {"enabled": False}, actor=HELPER, request=REQUEST)
        assert not get_client("writer").configuration.enabled
        with pytest.raises(InsufficientPermissionsError):
            change_client("writer", {"enabled": True}, actor=HELPER, request=REQUEST)
        assert not get_client("writer").configuration.enabled


@both_databases
def test_all_sessions_of_a_client_end_with_it(app: Flask, alice: Caller, bob: Caller) -> None:
    for client_id, caller in (("wiki", alice), ("other", bob)):
        register(client_id)
        change_session(app, caller.session_id, client_id=client_id)
    before = get_client("other").tokens_valid_from
    revoke_client("other", actor=OPERATOR, request=REQUEST)
    assert before is None
    assert get_client("other").tokens_valid_from is not None
    assert live_session_row(app, bob.session_id)["revoke_reason"] == "ended_by_admin"
    assert live_session_row(app, alice.session_id)["revoked_at"] is None
    delete_client("wiki", actor=OPERATOR, request=REQUEST)
    assert live_session_row(app, alice.session_id)["revoke_reason"] == "client_deleted"


class TestSecrets:
    @both_databases
    def test_two_live_side_by_side(self) -> None:
        register("wiki")
        first, second = give_secret("wiki"), give_secret("wiki")
        with pytest.raises(TooManySecretsError):
            give_secret("wiki")
        assert is_secret_of("wiki", first, now=now())
        oldest, newest = list_secrets("wiki")
        assert (oldest.hint, newest.hint) == (first[-4:], second[-4:])
        assert oldest.last_used_at is not None
        assert newest.last_used_at is None
        delete_secret("wiki", oldest.id, actor=OPERATOR, request=REQUEST)
        assert not is_secret_of("wiki", first, now=now())
        assert is_secret_of("wiki", second, now=now())

    @both_databases
    def test_at_once_there_are_never_more(self, app: Flask) -> None:
        register("wiki")

        def give() -> bool:
            with app.app_context():
                try:
                    give_secret("wiki")
                except TooManySecretsError:
                    return False
            return True

        assert sum(all_at_once([give] * 6)) == MAX_LIVE_SECRETS

    def test_an_expired_one_is_refused_and_makes_room(self, clock: time_machine.Traveller) -> None:
        register("wiki")
        for _ in range(2):
            secret = give_secret("wiki", lasting=timedelta(minutes=1))
        clock.shift(59)
        assert is_secret_of("wiki", secret, now=now())
        clock.shift(1)
        assert not is_secret_of("wiki", secret, now=now())
        assert give_secret("wiki")
        assert len(list_secrets("wiki")) == 1

    def test_another_clients_secret_is_refused(self) -> None:
        for client_id in ("wiki", "chat"):
            register(client_id)
        secret = give_secret("wiki")
        assert not is_secret_of("chat", secret, now=now())
        (facts,) = list_secrets("wiki")
        with pytest.raises(ClientSecretNotFoundError):
            delete_secret("chat", facts.id, actor=OPERATOR, request=REQUEST)

    def test_its_use_is_written_once_a_minute(self, clock: time_machine.Traveller) -> None:
        register("wiki")
        secret, moments = give_secret("wiki"), []
        for _ in range(3):
            assert is_secret_of("wiki", secret, now=now())
            moments.append(list_secrets("wiki")[0].last_used_at)
            clock.shift(30)
        assert moments[0] == moments[1] != moments[2]

    def test_the_use_of_a_client_without_one_is_written_once_a_minute(
        self, clock: time_machine.Traveller
    ) -> None:
        register("spa", replace(WEB, kind=ClientKind.SPA))
        credentials, counts = ClientCredentials(client_id="spa", secret=None), []
        for _ in range(3):
            with executed(db.engine) as sent:
                assert find_authenticated_client(credentials, now=now()) is not None
            counts.append(sum(not text.startswith("SELECT") for text, _ in sent) > 0)
            clock.shift(30)
        assert counts == [True, False, True]

    def test_a_disabled_client_proves_nothing(self) -> None:
        register("wiki")
        secret = give_secret("wiki")
        change_client("wiki", {"enabled": False}, actor=OPERATOR, request=REQUEST)
        assert not is_secret_of("wiki", secret, now=now())

    def test_an_app_without_secrets_is_known_by_its_id_alone(self) -> None:
        register("spa", replace(WEB, kind=ClientKind.SPA))
        for client_id, secret, is_known in (
            ("spa", None, True),
            ("spa", new_key_text(PREFIX), False),
            ("other", None, False),
            ("", None, False),
        ):
            given = ClientCredentials(client_id=client_id, secret=secret)
            assert (find_authenticated_client(given, now=now()) is not None) == is_known

    def test_a_client_with_secrets_must_present_one(self) -> None:
        register("wiki")
        for secret in (None, "", "as_cs_", new_key_text(PREFIX)):
            given = ClientCredentials(client_id="wiki", secret=secret)
            assert find_authenticated_client(given, now=now()) is None

    def test_an_app_that_can_keep_none_has_none(self) -> None:
        register("spa", replace(WEB, kind=ClientKind.SPA))
        with pytest.raises(NoSecretsError):
            give_secret("spa")


@both_databases
def test_an_origin_belongs_to_one_client() -> None:
    register("files", FILES)
    with pytest.raises(ValidationFailedError):
        register("copy", FILES)
    assert find_client("copy") is None
    origins = ("https://files.example.com", "https://f.example.com")
    other = replace(FILES, origins=("https://other.example.com",))
    register("other", other)
    with pytest.raises(ValidationFailedError):
        change_client("other", {"origins": origins}, actor=OPERATOR, request=REQUEST)
    assert get_client("other").configuration == other
    change_client("files", {"origins": origins[1:]}, actor=OPERATOR, request=REQUEST)
    changed = change_client("other", {"origins": origins[:1]}, actor=OPERATOR, request=REQUEST)
    assert changed.configuration.origins == origins[:1]
    delete_client("files", actor=OPERATOR, request=REQUEST)
    assert list_origins() == ["https://files.example.com"]


def test_a_proxy_makes_no_calls() -> None:
    register("files", FILES)
    credentials = ClientCredentials(client_id="files", secret=None)
    assert find_authenticated_client(credentials, now=now()) is None
    with pytest.raises(NoSecretsError):
        give_secret("files")
