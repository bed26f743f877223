"""docs/metrics.md and docs/alerts.yml name the metrics that exist, and no others."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from flask import Flask

import config
from authserve.clients.kinds import ClientKind
from authserve.core.actor import OPERATOR, VISITOR, RequestInfo
from authserve.core.breakers import BREAKERS
from authserve.core.errors import AuthserveError
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.federation.answer_faults import FAULT_OBSERVER, AnswerFault
from authserve.federation.upstream import UPSTREAM, ProviderUnavailableError
from tests.architecture.test_wiring import all_subclasses
from tests.support.clients import register_caller
from tests.support.metrics import METRICS_TOKEN, Scrape, scrape
from tests.support.oauth_clients import give_client

PAGE = (config.ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
ALERTS = yaml.safe_load((config.ROOT / "docs" / "alerts.yml").read_text(encoding="utf-8"))
RULES: list[dict[str, Any]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]

ROW = re.compile(r"^\| `(authserve_\w+)` \| (\w+) \| (.+?) \| .+ \|$", re.MULTILINE)
SELECTOR = re.compile(r"\b(authserve_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!=|!~|=)"([^"]*)"')


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(metrics_token=METRICS_TOKEN, features=("pages", "oidc", "federation"))


@pytest.fixture
def found(app: Flask) -> Scrape:
    """A scrape in which every metric has a series."""
    alice = register_caller(app, "alice")
    alice.get("/nowhere")
    get_machine_token(app)
    with app.app_context(), transaction():
        emit(AuditAction.AUDIT_VERIFIED, actor=OPERATOR, request=RequestInfo())
        refusal = {"provider": "google", "reason": "account_exists"}
        emit(
            AuditAction.IDENTITY_SIGN_IN_REFUSED,
            actor=VISITOR,
            request=RequestInfo(),
            details=refusal,
        )
        FAULT_OBSERVER.get()("google", AnswerFault.FORM)
    # Its address is not public, so that nothing is sent.
    with pytest.raises(ProviderUnavailableError):
        UPSTREAM.of(app).begin("https://127.0.0.1").discover()
    return scrape(alice.client)


def get_machine_token(app: Flask) -> None:
    """Let a machine get a token."""
    resources = ("https://api.example.com",)
    machine = give_client(
        app, kind=ClientKind.MACHINE, redirect_uris=(), scopes=("a:b",), resources=resources
    )
    form = {"grant_type": "client_credentials", "client_id": "wiki"}
    form |= {"client_secret": machine.secret or ""}
    assert app.test_client().post("/oauth/token", data=form).status_code == 200


def label_values(found: Scrape, name: str) -> dict[str, set[str]]:
    """The labels of a series' name, with the values that are there."""
    values: dict[str, set[str]] = {}
    for labels in found.series(name):
        for label, value in labels:
            values.setdefault(label, set()).add(value)
    return values


def test_the_page_has_every_metric_with_type_and_labels(found: Scrape) -> None:
    rows = ROW.findall(PAGE)
    told = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    there = {}
    for family in found.families.values():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        there[name] = (family.type, labels)
    assert told == there


def test_the_page_names_the_values_of_labels(found: Scrape, app: Flask) -> None:
    with app.app_context():
        breakers = {breaker.name for breaker in BREAKERS.get()}
    named = set(re.findall(r"`([a-z][\w.-]*)`", PAGE))
    for name, label in (
        ("authserve_refreshes_total", "outcome"),
        ("authserve_oauth_code_redemptions_total", "outcome"),
        ("authserve_outbox_messages", "state"),
        ("authserve_outbox_finished_last_hour", "state"),
        ("authserve_breaker_workers", "state"),
        ("authserve_scrape_errors", "source"),
    ):
        assert label_values(found, name)[label] <= named
    assert set(AnswerFault) <= named
    # SQLite has none of its own.
    assert breakers | {"database"} <= named


def known_values(app: Flask, found: Scrape, name: str, label: str) -> set[str]:
    """Return the possible values of a label, seen or not."""
    if label == "route":
        return {rule.rule for rule in app.url_map.iter_rules()}
    if label == "code":
        errors = all_subclasses(AuthserveError)
        return {error.code for error in errors if hasattr(error, "code")}
    if label == "method":
        return {"GET", "POST"}
    if label == "status":
        return {"503", "5.."}
    return label_values(found, name)[label]


def test_the_alerts_ask_for_what_there_is(app: Flask, found: Scrape) -> None:
    selectors = [pair for rule in RULES for pair in SELECTOR.findall(rule["expr"])]
    assert len(selectors) > len(RULES)
    for name, matchers in selectors:
        labels = label_values(found, name)
        assert found.series(name), name
        for label, operator, value in MATCHER.findall(matchers):
            assert label in labels, (name, label)
            values = value.split("|") if "~" in operator else [value]
            assert set(values) <= known_values(app, found, name, label)


def test_every_alert_is_complete() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"].endswith(".")
        for pair in ("()", "{}", "[]"):
            assert rule["expr"].count(pair[0]) == rule["expr"].count(pair[1])
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            # An aggregation keeps only the labels that it names.
            by = re.search(r"\bby \(([^)]*)\)", rule["expr"])
            assert by is None or label in by[1].split(", ")


def test_it_explains_how_to_scrape() -> None:
    (example,) = re.findall(r"```yaml\n(.+?)```", PAGE, re.DOTALL)
    (job,) = yaml.safe_load(example)["scrape_configs"]
    assert "credentials_file" in job["authorization"]
    assert any(f'job="{job["job_name"]}"' in rule["expr"] for rule in RULES)
