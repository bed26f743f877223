"""What holds for every page of a sign-in by a provider, found in the application's routes."""

from uuid import UUID

import pytest
from flask import Flask

from authserve.database.transactions import db
from authserve.federation.identities import ProviderIdentity
from authserve.federation.pending_identities import PendingIdentity
from authserve.http.get_effects import has_effect_on_get
from tests.support.browsing import OWN_FORM, Visit
from tests.support.clients import Caller, register_caller
from tests.support.databases import executed
from tests.support.pending_identities import hold_pending_identity
from tests.support.provider_sign_in import SLUG, count_rows, set_out
from tests.support.providers import ProviderServer
from tests.support.rows import change_user


@pytest.fixture
def alice(site: Flask, visit: Visit) -> Caller:
    """The owner of an account with the address, in whose browser the provider's answer waits."""
    caller = register_caller(site, "alice")
    change_user(site, caller.id, email_verified=True)
    visit.sign_in()
    return caller


def pending_identity_of(server: ProviderServer, account_id: UUID | None) -> PendingIdentity:
    identity = ProviderIdentity(issuer=server.issuer, subject="1", email=None)
    address = "alice@example.com" if account_id is not None else None
    return PendingIdentity(provider=SLUG, identity=identity, account_id=account_id, address=address)


def paths_of(app: Flask, method: str) -> set[str]:
    """Return the paths that answer a method, but for those that GET alone may change."""
    found = {
        rule.rule.replace("<slug>", SLUG)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/sign-in/with/") and method in (rule.methods or ())
        if not has_effect_on_get(app.view_functions[rule.endpoint])
    }
    assert len(found) >= 3
    return found


@pytest.mark.parametrize(
    "headers",
    [
        {**OWN_FORM, "Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {},
    ],
    ids=["foreign", "null", "null across sites", "none"],
)
def test_a_foreign_form_changes_nothing(
    site: Flask, visit: Visit, server: ProviderServer, alice: Caller, headers: dict[str, str]
) -> None:
    before = count_rows(site)
    token = visit.open("/account/profile").form("/account/profile")["token"]
    fields = {"token": token, "purpose": "link", "email": "other@example.com"}
    for account_id in (alice.id, None):
        pending = hold_pending_identity(visit, pending_identity_of(server, account_id))
        for path in paths_of(site, "POST"):
            refused = visit.send(f"{path}?pending={pending}", fields, headers=headers)
            assert refused.status == 403, path
    assert count_rows(site) == before


def test_a_get_sets_no_cookie_and_writes_nothing(
    site: Flask, visit: Visit, server: ProviderServer, alice: Caller
) -> None:
    state = set_out(visit, server).asked["state"]
    with site.app_context():
        engine = db.engine
    shown = []
    for account_id in (alice.id, None):
        pending = hold_pending_identity(visit, pending_identity_of(server, account_id))
        for path in sorted(paths_of(site, "GET")):
            with executed(engine) as sent:
                answer = visit.open(f"{path}?pending={pending}&state={state}")
            assert "Set-Cookie" not in answer.headers, path
            assert [text for text, _ in sent if not text.startswith("SELECT")] == [], path
            shown.append(answer.status)
    # Each page is shown once at least; those for the other kind are refused.
    assert sorted(shown) == [200] * 5 + [400] * 3
