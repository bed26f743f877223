"""Joining an identity with the account that has its address, by a sign-in in another way."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from flask import Flask

from authserve.core.actor import OPERATOR
from authserve.core.clock import now
from authserve.database.transactions import transaction
from authserve.federation.identities import ProviderIdentity, find_identities, link_identity
from authserve.federation.pending_identities import PENDING_IDENTITY_TTL, PendingIdentity
from authserve.federation.policy import LinkPolicy
from authserve.federation.registry import ProviderChanges, change_provider
from authserve.tokens.signing import LEEWAY_SECS
from tests.factories import REQUEST
from tests.support.browsing import Shown, Visit
from tests.support.clients import Caller, register_caller
from tests.support.factors import give_totp
from tests.support.identities import fill_identities
from tests.support.mail import open_mailbox, work
from tests.support.pending_identities import hold_pending_identity
from tests.support.provider_sign_in import SLUG, adjust_provider, code_of, set_out
from tests.support.providers import ProviderServer
from tests.support.rows import audit_trail, change_user

EMAIL = "alice@example.com"

EXISTS, CONFIRM = f"/sign-in/with/{SLUG}/account-exists", f"/sign-in/with/{SLUG}/confirm"


@pytest.fixture
def alice(site: Flask) -> Caller:
    """The account whose verified address the person at the provider has."""
    caller = register_caller(site, "alice")
    change_user(site, caller.id, email_verified=True)
    return caller


def issuers(site: Flask, user_id: UUID) -> list[str]:
    """Return the issuers of an account's identities."""
    with site.app_context():
        return [identity.issuer for identity in find_identities(user_id)]


def come(visit: Visit, server: ProviderServer, **fields: str) -> Shown:
    """Come back from the provider, to the page that says that there is an account."""
    answer = set_out(visit, server, **fields).come_back()
    assert answer.location.startswith(EXISTS), answer.location
    return visit.follow(answer)


def link_in(shown: Shown, text: str) -> str:
    """Return the address of a link in a page's panel, by its words."""
    main = shown.tree.find(".//main")
    assert main is not None
    (link,) = [each for each in main.iter("a") if text in " ".join(each.itertext())]
    return link.attrib["href"]


def sign_in(visit: Visit, shown: Shown, name: str = "alice") -> Shown:
    """Sign in with the password, and follow to the page that asks whether to link."""
    return visit.sign_in_from(visit.open(link_in(shown, "Sign in")), name)


def test_its_owner_signs_in_and_confirms(
    site: Flask, visit: Visit, server: ProviderServer, alice: Caller
) -> None:
    mailbox = open_mailbox(site)
    shown = come(visit, server)
    assert (code_of(shown), EMAIL in shown.text) == ("account_exists", True)
    asked = sign_in(visit, shown)
    for word in ("Example Works", EMAIL):
        assert word in asked.text
    assert issuers(site, alice.id) == []
    done = visit.give(asked)
    assert "The service is linked" in done.text
    assert issuers(site, alice.id) == [server.issuer]
    assert audit_trail(site, "identity.linked")[0]["details"] == {"provider": SLUG}
    assert [name for name in visit.cookie_names() if "flow" in name] == []
    work(site)
    assert mailbox.to(EMAIL)
    assert set_out(Visit(site), server).come_back().location == "/account"


def test_the_first_target_is_reached_in_the_end(
    visit: Visit, server: ProviderServer, alice: Caller
) -> None:
    token = visit.open(visit.open("/account/sessions").location).form("/sign-in")["continue"]
    asked = sign_in(visit, come(visit, server, **{"continue": token}))
    assert visit.give(asked).title.startswith("Sessions")


def test_a_person_who_is_signed_in_confirms_at_once(
    visit: Visit, server: ProviderServer, alice: Caller
) -> None:
    visit.sign_in()
    shown = come(visit, server)
    asked = visit.follow(visit.open(link_in(shown, "Sign in")))
    assert "The service is linked" in visit.give(asked).text


def test_no_other_account_gets_it(
    site: Flask, visit: Visit, server: ProviderServer, alice: Caller
) -> None:
    bob = register_caller(site, "bob")
    change_user(site, bob.id, email_verified=True)
    asked = sign_in(visit, come(visit, server), "bob")
    assert "you are signed in to another one" in asked.text
    refused = press(visit)
    assert (refused.status, refused.alert) == (
        422,
        "This is not the account with that address. Nothing was changed.",
    )
    assert issuers(site, alice.id) == issuers(site, bob.id) == []
    # The owner of the address goes on from there.
    form = visit.open(link_in(asked, "Use another account"))
    assert "The service is linked" in visit.give(visit.sign_in_from(form)).text
    assert issuers(site, alice.id) == [server.issuer]


def press(visit: Visit) -> Shown:
    """Send the form of the second page, whether or not it shows one."""
    (name,) = [each for each in visit.cookie_names() if "flow" in each]
    token = visit.open("/account/profile").form("/account/profile")["token"]
    return visit.send(f"{CONFIRM}?pending={name.rpartition('flow-')[2]}", {"token": token})


@pytest.mark.parametrize("change", [{"email": "liddell@example.com"}, {"email_verified": False}])
def test_the_address_must_still_be_the_accounts_own(
    site: Flask,
    visit: Visit,
    server: ProviderServer,
    alice: Caller,
    change: dict[str, object],
) -> None:
    sign_in(visit, come(visit, server))
    change_user(site, alice.id, **change)
    assert press(visit).status == 422
    assert issuers(site, alice.id) == []


@pytest.mark.parametrize(
    ("rules", "status", "code"),
    [
        ({"link": LinkPolicy.NEVER}, 409, "account_exists"),
        ({"allowed_domains": frozenset({"example.org"})}, 403, "domain_not_allowed"),
    ],
    ids=["never", "another domain"],
)
def test_the_rules_of_the_confirmation_count(
    site: Flask,
    visit: Visit,
    server: ProviderServer,
    alice: Caller,
    rules: dict[str, Any],
    status: int,
    code: str,
) -> None:
    asked = sign_in(visit, come(visit, server))
    adjust_provider(site, **rules)
    refused = visit.give(asked)
    assert (refused.status, code_of(refused)) == (status, code)
    assert issuers(site, alice.id) == []
    (event,) = audit_trail(site, "identity.sign_in_refused")
    assert event["details"] == {"reason": code, "provider": SLUG}
    assert event["actor_audit_id"] is not None


def test_a_provider_that_is_disabled_meanwhile_links_nothing(
    site: Flask, visit: Visit, server: ProviderServer, alice: Caller
) -> None:
    asked = sign_in(visit, come(visit, server))
    adjust_provider(site, enabled=False)
    assert visit.give(asked).status == 404
    assert issuers(site, alice.id) == []


def test_an_identity_that_is_linked_elsewhere_meanwhile_is_refused(
    site: Flask, visit: Visit, server: ProviderServer, alice: Caller
) -> None:
    asked = sign_in(visit, come(visit, server))
    bob = register_caller(site, "bob")
    identity = ProviderIdentity(issuer=server.issuer, subject=str(server.claims["sub"]), email=None)
    with site.app_context(), transaction():
        link_identity(bob.id, identity, now=now())
    refused = visit.give(asked)
    assert refused.status == 422
    assert "linked to another account here" in refused.alert
    assert issuers(site, alice.id) == []


def test_an_account_that_is_full_is_told_so(
    site: Flask, visit: Visit, server: ProviderServer, alice: Caller
) -> None:
    asked = sign_in(visit, come(visit, server))
    fill_identities(site, alice.id)
    refused = visit.give(asked)
    assert refused.status == 422
    assert refused.alert.startswith("An account can be linked with ten services.")
    assert server.issuer not in issuers(site, alice.id)


def test_another_browser_cannot_complete_it(
    site: Flask, visit: Visit, server: ProviderServer, alice: Caller
) -> None:
    """A link that a stranger sends shows nothing, since the identity is in their own browser."""
    shown = come(visit, server)
    other = Visit(site)
    other.sign_in()
    lost = other.follow(other.open(link_in(shown, "Sign in")))
    assert (lost.status, code_of(lost)) == (400, "state_invalid")


def test_an_identity_for_a_new_account_is_no_question_to_an_owner(
    site: Flask, visit: Visit, server: ProviderServer, alice: Caller
) -> None:
    identity = ProviderIdentity(issuer=server.issuer, subject="1", email=None)
    pending = hold_pending_identity(visit, PendingIdentity(provider=SLUG, identity=identity))
    visit.sign_in()
    for path in (EXISTS, CONFIRM):
        assert code_of(visit.open(f"{path}?pending={pending}")) == "state_invalid"
    known = PendingIdentity(provider=SLUG, identity=identity, account_id=alice.id, address=EMAIL)
    hold_pending_identity(visit, known)
    address = visit.open(f"/sign-in/with/{SLUG}/address?pending={pending}")
    assert code_of(address) == "state_invalid"
    assert "Link them" in visit.open(f"{CONFIRM}?pending={pending}").text


def test_it_is_refused_once_its_slug_is_another_issuers(
    visit: Visit, server: ProviderServer, alice: Caller
) -> None:
    former = ProviderIdentity(issuer="https://former.example.com", subject="1", email=None)
    known = PendingIdentity(provider=SLUG, identity=former, account_id=alice.id, address=EMAIL)
    pending = hold_pending_identity(visit, known)
    visit.sign_in()
    for path in (EXISTS, CONFIRM):
        assert code_of(visit.open(f"{path}?pending={pending}")) == "state_invalid"


def test_it_ends_after_half_an_hour(
    visit: Visit, server: ProviderServer, alice: Caller, clock: time_machine.Traveller
) -> None:
    shown = come(visit, server)
    clock.shift(PENDING_IDENTITY_TTL + timedelta(seconds=LEEWAY_SECS))
    late = sign_in(visit, shown)
    assert (late.status, code_of(late)) == (400, "state_invalid")


def test_it_needs_a_recent_proof_of_both_factors(
    site: Flask,
    visit: Visit,
    server: ProviderServer,
    alice: Caller,
    clock: time_machine.Traveller,
) -> None:
    asked = sign_in(visit, come(visit, server))
    clock.shift(timedelta(minutes=6))
    assert visit.give(asked).title.startswith("Confirm it is you")
    assert issuers(site, alice.id) == []
    give_totp(site, alice.id)
    change_user(site, alice.id, mfa_enabled=False)
    late = visit.give(asked)
    assert late.title.startswith("Confirm it is you")
    assert issuers(site, alice.id) == []


class TestReclaiming:
    """An account whose address no one has verified is never joined as it is."""

    @pytest.fixture
    def squatter(self, site: Flask) -> Caller:
        """A stranger who has registered the address."""
        return register_caller(site, "alice")

    def test_the_page_leads_to_the_mailbox(
        self, site: Flask, visit: Visit, server: ProviderServer, squatter: Caller
    ) -> None:
        mailbox = open_mailbox(site)
        shown = come(visit, server)
        assert "no one has ever verified it" in shown.text
        visit.give(visit.open(link_in(shown, "Choose a password by mail")), email=EMAIL)
        work(site)
        new = "another horse, another staple"
        link = mailbox.to(EMAIL)[-1].token
        visit.fill("/reset-password", link_token=link, new_password=new)
        # The reset has verified the address, and the stranger has lost the account.
        asked = visit.follow(visit.open(link_in(come(visit, server), "Sign in")))
        asked = visit.sign_in_from(asked, password=new)
        assert "The service is linked" in visit.give(asked).text
        assert issuers(site, squatter.id) == [server.issuer]

    def test_a_sign_in_with_the_strangers_password_links_nothing(
        self, site: Flask, visit: Visit, server: ProviderServer, squatter: Caller
    ) -> None:
        come(visit, server)
        visit.sign_in()
        assert press(visit).status == 422
        assert issuers(site, squatter.id) == []


def test_never_is_never(site: Flask, visit: Visit, server: ProviderServer, alice: Caller) -> None:
    with site.app_context():
        changes = ProviderChanges(link=LinkPolicy.NEVER)
        change_provider(SLUG, changes, actor=OPERATOR, request=REQUEST)
    shown = set_out(visit, server).come_back()
    assert (shown.status, code_of(shown)) == (409, "account_exists")
    assert visit.cookie_names() == []
