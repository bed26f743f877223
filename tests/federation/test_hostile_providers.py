"""Hostile and faulty providers: a page with a code, and no session, account or identity."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from authserve.app import create_app
from authserve.core.outbound import OutboundClient
from authserve.database.transactions import db
from authserve.federation import upstream
from authserve.federation.upstream import MAX_BYTES, UPSTREAM, Upstream
from tests.conftest import make_settings
from tests.support.browsing import Visit
from tests.support.forged_tokens import FORGERIES
from tests.support.provider_sign_in import LOOPBACK, register_server, require_nothing, set_out
from tests.support.providers import Answer, ProviderServer, provider_server

INTERNAL = "https://169.254.169.254/latest/meta-data"

Prepare = Callable[[ProviderServer], None]


@pytest.fixture(scope="module")
def site(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application that all cases share, since none of them changes it."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(sqlite_template, folder / "test.db")
    settings = make_settings(
        f"sqlite:///{folder}/test.db",
        folder,
        features=("pages", "federation"),
        outbound_hosts=LOOPBACK,
    )
    app = create_app(settings)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture(scope="module")
def servers(site: Flask) -> Iterator[tuple[ProviderServer, ProviderServer]]:
    """The provider, and another one."""
    with provider_server() as one, provider_server() as other:
        register_server(site, one)
        register_server(site, other, "other")
        yield one, other


@pytest.fixture
def server(site: Flask, servers: tuple[ProviderServer, ProviderServer]) -> Iterator[ProviderServer]:
    """The provider, as it is before a case; nothing is remembered of it."""
    UPSTREAM.fill(site, Upstream(OutboundClient(hosts=LOOPBACK)))
    one, _ = servers
    before = dict(one.answers), dict(one.claims)
    one.questions.clear()
    yield one
    one.answers, one.claims = before


@pytest.fixture
def reasons(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return what gives the reasons in the operator's log."""

    def find() -> list[str]:
        return [record.reason for record in caplog.records if hasattr(record, "reason")]

    return find


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_token_opens_nothing(
    site: Flask, server: ProviderServer, reasons: Callable[[], list[str]], name: str
) -> None:
    forge, reason = FORGERIES[name]
    server.answers["/token"] = lambda _: Answer({"access_token": "at", "id_token": forge(server)})
    visit = Visit(site)
    shown = set_out(visit, server).come_back()
    require_nothing(site, visit, shown, "provider_unavailable", 503)
    (found,) = reasons()
    assert reason in found
    assert not server.asked("/evil")


def at(path: str, answer: Answer) -> Prepare:
    """Return what changes the answer at a path."""

    def prepare(server: ProviderServer) -> None:
        server.answers[path] = lambda _: answer

    return prepare


def with_token(**members: Any) -> Prepare:
    """Return what changes the answer to a code."""

    def prepare(server: ProviderServer) -> None:
        server.answers["/token"] = lambda _: Answer(
            {"access_token": "at", "id_token": server.sign(), **members}
        )

    return prepare


def naming(**endpoints: str) -> Prepare:
    """Return what changes the discovery document."""

    def prepare(server: ProviderServer) -> None:
        document = server.metadata(**endpoints)
        server.answers["/.well-known/openid-configuration"] = lambda _: Answer(document)

    return prepare


def without_email(userinfo: dict[str, Any] | Answer) -> Prepare:
    """Return what leaves the address to userinfo."""

    def prepare(server: ProviderServer) -> None:
        server.claims.pop("email")
        answer = userinfo if isinstance(userinfo, Answer) else Answer(userinfo)
        server.answers["/userinfo"] = lambda _: answer

    return prepare


ELSEWHERE = {"Location": "https://evil.example/"}

ANSWERS: dict[str, tuple[Prepare, str]] = {
    "huge": (at("/token", Answer(b" " * (MAX_BYTES + 1))), "more than 262144 bytes"),
    "redirect": (at("/token", Answer({}, status=307, headers=ELSEWHERE)), "answered 307"),
    "error with 200": (at("/token", Answer({"error": "invalid_grant"})), "invalid_grant"),
    "error of its own": (at("/token", Answer({"error": "<b>"}, status=400)), "another error"),
    "page": (at("/token", Answer(b"<html>")), "no JSON"),
    "list": (at("/token", Answer([])), "no object"),
    "deep": (at("/token", Answer(b"[" * 100_000)), "no JSON"),
    "no ID token": (with_token(id_token=None), "no ID token"),
    "ID token as a list": (with_token(id_token=["a"]), "no ID token"),
    "keys that are none": (at("/keys", Answer({"keys": [{"kty": "oct"}]})), "key is not in"),
    "keys elsewhere": (at("/keys", Answer({}, status=302, headers=ELSEWHERE)), "answered 302"),
    "another subject at userinfo": (without_email({"sub": "1", "email": "a@b.cd"}), "subject"),
    "no subject at userinfo": (without_email({"email": "alice@example.com"}), "subject"),
    "userinfo as a list": (without_email(Answer([])), "subject"),
    "userinfo that redirects": (
        without_email(Answer({}, status=302, headers=ELSEWHERE)),
        "answered 302",
    ),
    "token endpoint inside": (naming(token_endpoint=INTERNAL), "address is not public"),
    "keys inside": (naming(jwks_uri=INTERNAL), "address is not public"),
    "token endpoint in the clear": (naming(token_endpoint="http://10.0.0.1/"), "by https only"),
    "token endpoint as a file": (naming(token_endpoint="file:///etc/passwd"), "no usable"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_faulty_answer_opens_nothing(
    site: Flask, server: ProviderServer, reasons: Callable[[], list[str]], name: str
) -> None:
    prepare, reason = ANSWERS[name]
    visit = Visit(site)
    journey = set_out(visit, server)
    # What was remembered from the way there is forgotten.
    UPSTREAM.fill(site, Upstream(OutboundClient(hosts=LOOPBACK)))
    prepare(server)
    shown = journey.come_back()
    require_nothing(site, visit, shown, "provider_unavailable", 503)
    (found,) = reasons()
    assert reason in found


def test_a_dripping_answer_takes_no_longer_than_the_limit(
    site: Flask,
    server: ProviderServer,
    reasons: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream, "TOTAL_SECS", 0.3)
    visit = Visit(site)
    journey = set_out(visit, server)
    server.answers["/token"] = lambda _: Answer(b" " * 1_000, pause_secs=0.05)
    shown = journey.come_back()
    require_nothing(site, visit, shown, "provider_unavailable", 503)
    assert reasons() == ["it took longer than 0.3 s"]
