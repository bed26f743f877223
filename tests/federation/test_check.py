"""`flask providers check`: each fault of a provider, told before a person meets it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.core.findings import Level
from authserve.core.outbound import OutboundClient
from authserve.core.outbound_hosts import OutboundHosts
from authserve.federation.check import Subject, examine_provider, find_discovery_fault
from authserve.federation.configuration import new_configuration
from authserve.federation.policy import LinkPolicy
from authserve.federation.presets import Preset
from authserve.federation.registry import Provider, add_provider
from authserve.federation.upstream import Upstream
from tests.support.providers import CLIENT_ID, SECRET, Answer, ProviderServer, provider_server

LOOPBACK = OutboundHosts(networks=(ip_network("127.0.0.0/8"),))

REDIRECT_URI = "https://auth.example.com/sign-in/with/work/callback"


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with provider_server() as running:
        # Credentials are compared before the code, as every provider does.
        check = running.answers["/token"]
        refused = Answer({"error": "invalid_grant"}, status=400)
        running.answers["/token"] = lambda it: (
            found if (found := check(it)).status == 401 else refused
        )
        yield running


def subject_of(server: ProviderServer, **values: Any) -> Subject:
    preset = values.pop("preset", Preset.OIDC)
    given = {"issuer": server.issuer, "client_id": CLIENT_ID, **values}
    return Subject(
        provider=Provider("work", new_configuration(preset, given), now(), now()),  # type: ignore[arg-type]
        secret=SECRET,
        redirect_uri=REDIRECT_URI,
        hosts=LOOPBACK,
        now=now(),
    )


def upstream() -> Upstream:
    return Upstream(OutboundClient(hosts=LOOPBACK))


def examine(subject: Subject) -> dict[str, tuple[Level, str]]:
    """Return what is found by the names of the checks, without the warning of an http issuer."""
    found = {
        each.check: (each.level, each.message) for each in examine_provider(subject, upstream())
    }
    level, _ = found.pop("issuer")
    assert level is Level.WARNING
    return found


def faults(subject: Subject) -> dict[str, tuple[Level, str]]:
    return {name: it for name, it in examine(subject).items() if it[0] is not Level.OK}


def test_a_good_provider_has_no_fault_and_sees_no_person(server: ProviderServer) -> None:
    found = examine(subject_of(server))
    assert {level for level, _ in found.values()} == {Level.OK}
    assert list(found) == ["discovery", "clock", "endpoints", "keys", "credentials", "redirect URI"]
    assert REDIRECT_URI in found["redirect URI"][1]
    (question,) = server.asked("/token")
    assert question.fields["redirect_uri"] == REDIRECT_URI


@pytest.mark.parametrize(
    ("changes", "check", "level", "words"),
    [
        ({"issuer": "https://other.example"}, "discovery", "failure", "https://other.example"),
        ({"token_endpoint": "no url"}, "discovery", "failure", "token_endpoint"),
        ({"jwks_uri": "http://id.example/keys"}, "endpoints", "failure", "jwks_uri"),
        ({"response_types_supported": ["id_token"]}, "response type", "failure", "code"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE", "warning", "S256"),
        (
            {"token_endpoint_auth_methods_supported": ["private_key_jwt"]},
            "client authentication",
            "failure",
            "secret",
        ),
        ({"id_token_signing_alg_values_supported": ["HS256"]}, "keys", "failure", "RS256"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_faulty_document_is_told_in_words(
    server: ProviderServer, changes: dict[str, Any], check: str, level: str, words: str
) -> None:
    server.answers["/.well-known/openid-configuration"] = lambda _: Answer(
        server.metadata(**changes)
    )
    found = faults(subject_of(server))
    assert (found[check][0], words in found[check][1]) == (level, True)


@pytest.mark.parametrize(
    ("path", "answer", "check", "words"),
    [
        ("/.well-known/openid-configuration", Answer({}, status=404), "discovery", "answered 404"),
        ("/.well-known/openid-configuration", Answer(b"<html>"), "discovery", "no JSON"),
        ("/keys", Answer({"keys": []}), "keys", "no key"),
        ("/keys", Answer({}, status=500), "keys", "answered 500"),
        ("/token", Answer({"error": "invalid_client"}, status=401), "credentials", "secret"),
        ("/token", Answer({"error": "unauthorized_client"}, status=401), "credentials", "secret"),
        ("/token", Answer({"error": "redirect_uri_mismatch"}), "credentials", REDIRECT_URI),
        ("/token", Answer({"error": "invalid_request"}, status=400), "credentials", "whether"),
        ("/token", Answer({"access_token": "at"}), "credentials", "never issued"),
        ("/token", Answer({}, status=503), "credentials", "answered 503"),
    ],
    ids=str,
)
def test_a_wrong_answer_is_told_in_words(
    server: ProviderServer, path: str, answer: Answer, check: str, words: str
) -> None:
    server.answers[path] = lambda _: answer
    found = faults(subject_of(server))
    assert list(found) == [check]
    assert words in found[check][1]


@pytest.mark.parametrize(
    ("seconds", "is_told"), [(-70, True), (-50, False), (50, False), (70, True)]
)
def test_a_clock_that_is_a_minute_off_is_told(
    server: ProviderServer, seconds: int, is_told: bool
) -> None:
    subject = subject_of(server)
    other = replace(subject, now=subject.now - timedelta(seconds=seconds))
    assert ("clock" in faults(other)) is is_told
    fault = find_discovery_fault(other.provider, upstream(), now=other.now)
    assert (fault is not None) is is_told


def test_a_secret_that_no_key_decrypts_is_told(server: ProviderServer) -> None:
    found = faults(replace(subject_of(server), secret=None))
    assert "SECRET_KEY_FALLBACKS" in found["credentials"][1]
    assert server.asked("/token") == []


def test_values_without_effect_are_told(server: ProviderServer) -> None:
    found = faults(subject_of(server, link=LinkPolicy.VERIFIED, enabled=False))
    assert {name: level for name, (level, _) in found.items()} == {
        "state": Level.WARNING,
        "link": Level.WARNING,
    }


def test_github_is_reached_and_its_credentials_are_tried(server: ProviderServer) -> None:
    server.answers["/api/v3"] = lambda _: Answer({})
    error = {"error": "bad_verification_code"}
    server.answers["/login/oauth/access_token"] = lambda _: Answer(error)
    subject = subject_of(server, preset=Preset.GITHUB)
    assert faults(subject) == {}
    error["error"] = "incorrect_client_credentials"
    assert list(faults(subject)) == ["credentials"]
    server.answers["/api/v3"] = lambda _: Answer({}, status=502)
    assert list(faults(subject)) == ["API"]
    assert find_discovery_fault(subject.provider, upstream(), now=subject.now) is not None


def test_the_command_prints_every_finding_and_fails_with_a_fault(
    make_app: Callable[..., Flask], server: ProviderServer
) -> None:
    app = make_app(features=("federation",), outbound_hosts=LOOPBACK)
    configuration = new_configuration(
        Preset.OIDC, {"issuer": server.issuer, "client_id": CLIENT_ID}
    )
    with app.app_context():
        add_provider("work", configuration, secret=SECRET, actor=OPERATOR, request=RequestInfo())
    runner: FlaskCliRunner = app.test_cli_runner()
    printed = runner.invoke(args=["providers", "check", "work"])
    assert printed.exit_code == 0, printed.output
    assert "ok       credentials: " in printed.stdout
    assert SECRET not in printed.output
    server.answers["/keys"] = lambda _: Answer({"keys": []})
    as_json = runner.invoke(args=["providers", "check", "work", "--json"])
    assert as_json.exit_code == 1
    document = json.loads(as_json.stdout)
    failed = [it["check"] for it in document["findings"] if it["level"] == "failure"]
    assert (document["provider"], failed) == ("work", ["keys"])
    assert runner.invoke(args=["providers", "check", "nothing"]).exit_code == 1
