"""The visitors who may register, and their addresses."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from authserve.settings.model import EmailVerification, Registration
from tests.support.clients import PASSWORD, register, register_caller
from tests.support.problems import assert_problem

MakeApp = Callable[..., Flask]


def test_closed_visitors_open_no_account_and_operators_do(make_app: MakeApp) -> None:
    open_app = make_app()
    admin = register_caller(open_app, "admin", roles=["admin"])
    admin.client = make_app(registration=Registration.CLOSED).test_client()
    problem = assert_problem(register(admin.client, "alice"), 403, "registration_closed")
    assert "invitation" in problem["detail"]
    invited = admin.post("/api/v1/users", json={"email": "alice@example.com"})
    assert invited.status_code == 201


def test_closed_reveals_nothing_about_an_address(make_app: MakeApp) -> None:
    register_caller(make_app(), "alice")
    client = make_app(
        registration=Registration.CLOSED, email_verification=EmailVerification.REQUIRED
    ).test_client()
    for name in ("alice", "bob"):
        body = {"email": f"{name}@example.com", "password": PASSWORD}
        assert_problem(client.post("/api/v1/auth/register", json=body), 403, "registration_closed")


DOMAINS = ("example.com", "xn--bcher-kva.example")


@pytest.mark.parametrize("address", ["a@Example.COM", "a@bücher.example"])
def test_listed_domains_register(make_app: MakeApp, address: str) -> None:
    client = make_app(registration_domains=DOMAINS).test_client()
    assert register(client, "alice", email=address).status_code == 201


@pytest.mark.parametrize("address", ["a@sub.example.com", "a@example.org", "a@aexample.com"])
@pytest.mark.parametrize("verification", EmailVerification)
def test_other_domains_do_not(
    make_app: MakeApp, address: str, verification: EmailVerification
) -> None:
    app = make_app(registration_domains=DOMAINS, email_verification=verification)
    body = {"email": address, "password": PASSWORD}
    answer = app.test_client().post("/api/v1/auth/register", json=body)
    problem = assert_problem(answer, 422, "validation_failed")
    assert list(problem["errors"]) == ["email"]


def test_own_changes_of_address_are_bound_and_operators_are_not(make_app: MakeApp) -> None:
    app = make_app(registration_domains=DOMAINS)
    alice, admin = register_caller(app, "alice"), register_caller(app, "admin", roles=["admin"])

    def change(address: str) -> Any:
        return alice.post("/api/v1/users/me/email", json={"new_email": address})

    problem = assert_problem(change("alice@example.org"), 422, "validation_failed")
    assert list(problem["errors"]) == ["new_email"]
    assert change("alice2@example.com").status_code == 202
    assert admin.post("/api/v1/users", json={"email": "bob@example.org"}).status_code == 201
    changed = admin.patch(f"/api/v1/users/{alice.id}", json={"email": "alice@example.org"})
    assert changed.status_code == 200
