"""The registry of providers, when operators change it at the same time."""

from collections.abc import Callable
from threading import Thread

import pytest
from flask import Flask

from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.errors import AuthserveError
from authserve.federation import secrets
from authserve.federation.configuration import new_configuration
from authserve.federation.errors import ProviderExistsError, ProviderNotFoundError
from authserve.federation.presets import Preset
from authserve.federation.registry import (
    add_provider,
    change_provider,
    delete_provider,
    find_provider,
    get_provider,
)
from authserve.federation.secrets import read_secret, rewrap_secrets
from tests.support.crowd import all_at_once, persistently
from tests.support.identity_providers import give_provider
from tests.support.marks import both_databases
from tests.support.rows import audit_trail

pytestmark = both_databases

REQUEST = RequestInfo()

ROUNDS = 5


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with providers."""
    return make_app(features=("federation",))


def outcome(app: Flask, act: Callable[[], object]) -> type[AuthserveError] | None:
    """Return the type of the error that an act ends with; None after a success."""
    with app.app_context():
        try:
            persistently(act)
        except AuthserveError as error:
            return type(error)
    return None


def add(name: str) -> None:
    configuration = new_configuration(Preset.GOOGLE, {"client_id": name, "name": name})
    add_provider("google", configuration, secret=name, actor=OPERATOR, request=REQUEST)


def rename(name: str) -> None:
    change_provider("google", {"name": name}, secret=name, actor=OPERATOR, request=REQUEST)


def switch_sign_up_off() -> None:
    change_provider("google", {"sign_up": False}, actor=OPERATOR, request=REQUEST)


def remove() -> None:
    delete_provider("google", actor=OPERATOR, request=REQUEST)


def test_of_two_providers_with_one_slug_one_is_added(app: Flask) -> None:
    for _ in range(ROUNDS):
        outcomes = all_at_once(
            [lambda: outcome(app, lambda: add("a")), lambda: outcome(app, lambda: add("b"))]
        )
        assert outcomes in ([None, ProviderExistsError], [ProviderExistsError, None])
        winner = "a" if outcomes[0] is None else "b"
        with app.app_context():
            assert get_provider("google").configuration.client_id == winner
            assert read_secret("google") == winner
            remove()
    assert len(audit_trail(app, "provider.created")) == ROUNDS


def test_a_change_is_of_one_provider(app: Flask) -> None:
    for slug in ("aaa", "google", "zzz"):
        give_provider(app, slug, name=slug)
    with app.app_context():
        rename("new")
        names = [get_provider(slug).configuration.name for slug in ("aaa", "google", "zzz")]
        ids = {get_provider(slug).configuration.client_id for slug in ("aaa", "google", "zzz")}
    assert (names, ids) == (["aaa", "new", "zzz"], {"1234.apps"})


def test_two_changes_at_once_are_both_kept(app: Flask) -> None:
    give_provider(app)
    for _ in range(ROUNDS):
        acts = [
            lambda: outcome(app, lambda: rename("new")),
            lambda: outcome(app, switch_sign_up_off),
        ]
        assert all_at_once(acts) == [None, None]
        with app.app_context():
            found = get_provider("google").configuration
            assert (found.name, found.rules.sign_up) == ("new", False)
            change_provider(
                "google", {"name": "old", "sign_up": True}, actor=OPERATOR, request=REQUEST
            )


def test_a_change_never_brings_a_deleted_provider_back(app: Flask) -> None:
    for _ in range(ROUNDS):
        give_provider(app)
        acts = [lambda: outcome(app, lambda: rename("new")), lambda: outcome(app, remove)]
        changed, removed = all_at_once(acts)
        assert (changed in (None, ProviderNotFoundError), removed) == (True, None)
        with app.app_context():
            assert find_provider("google") is None
    assert len(audit_trail(app, "provider.deleted")) == ROUNDS


def test_a_secret_that_is_replaced_during_a_rewrap_is_kept(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_provider(app)
    replacing = Thread(target=lambda: outcome(app, lambda: rename("new")))
    seal = secrets.seal_secret

    def seal_late(slug: str, secret: str) -> bytes:
        monkeypatch.setattr(secrets, "seal_secret", seal)
        replacing.start()
        # Without the row's lock the new secret would be committed meanwhile, and overwritten.
        replacing.join(0.5)
        return seal(slug, secret)

    with app.app_context():
        monkeypatch.setattr(secrets, "seal_secret", seal_late)
        assert rewrap_secrets() == (1, 0)
        replacing.join()
        assert read_secret("google") == "new"
