"""Identities that wait for their person in a browser, and the pages that ask about them."""

from collections.abc import Iterator

from flask import Flask

from authserve.core.clock import now
from authserve.federation.identities import ProviderIdentity
from authserve.federation.pending_identities import PendingIdentity, write_pending_identity
from tests.support.browsing import Shown, Visit
from tests.support.identities import ensure_provider
from tests.support.people import make_user
from tests.support.rows import change_user


def hold_pending_identity(visit: Visit, pending_identity: PendingIdentity) -> str:
    """Give a browser an identity that waits for its person, and return the name of its flow."""
    flow_id, moment = "abcd-_12", now()
    with visit.client.application.app_context():
        token = write_pending_identity(pending_identity, now=moment)
    value = f"{int(moment.timestamp())}.0.{token}."
    visit.client.set_cookie(f"authserve-flow-{flow_id}", value)
    return flow_id


def show_pending_identities(app: Flask) -> Iterator[tuple[str, Shown]]:
    """Yield the pages that ask a person whom a provider knows which account is theirs."""
    issuer, path = "https://asking.example.com", "/sign-in/with/asking"
    ensure_provider(app, "asking", name="<b>", issuer=issuer)
    identity, visit = ProviderIdentity(issuer=issuer, subject="<b>", email=None), Visit(app)
    pending = hold_pending_identity(visit, PendingIdentity(provider="asking", identity=identity))
    yield "an address to give", visit.open(f"{path}/address?pending={pending}")
    yield "a faulty address", visit.send(f"{path}/address?pending={pending}", {"email": "<b>"})
    for name, is_verified in (("eva", True), ("uwe", False)):
        with app.app_context():
            owner = make_user(name, email_verified=is_verified)
        address = f"{name}@example.com"
        pending_identity = PendingIdentity(
            provider="asking", identity=identity, account_id=owner.id, address=address
        )
        hold_pending_identity(visit, pending_identity)
        yield f"an account of {name}", visit.open(f"{path}/account-exists?pending={pending}")
        if name == "eva":
            visit.sign_in(name)
            yield "an account to link", visit.open(f"{path}/confirm?pending={pending}")
    # Uwe's identity in Eva's session.
    yield "another account", visit.open(f"{path}/confirm?pending={pending}")
    token = visit.open("/account/profile").form("/account/profile")["token"]
    refused = visit.send(f"{path}/confirm?pending={pending}", {"token": token})
    yield "another account refused", refused
    uwe = Visit(app)
    hold_pending_identity(uwe, pending_identity)
    change_user(app, owner.id, email_verified=True)
    uwe.sign_in("uwe")
    change_user(app, owner.id, email_verified=False)
    yield "an unverified account", uwe.open(f"{path}/confirm?pending={pending}")
