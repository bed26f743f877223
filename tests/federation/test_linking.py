"""Linking an identity to an account: by its signed-in owner, and at a first sign-in."""

from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import time_machine
from flask import Flask

from authserve.auth.provider_sign_in import ProvenIdentity, start_session_with_provider
from authserve.core.actor import OPERATOR, VISITOR, Actor
from authserve.core.clock import now
from authserve.core.errors import AuthserveError, SessionRevokedError, StepUpRequiredError
from authserve.core.levels import Level
from authserve.database.transactions import transaction
from authserve.federation.errors import (
    IdentityNotFoundError,
    IdentityTakenError,
    TooManyIdentitiesError,
)
from authserve.federation.identities import (
    MAX_IDENTITIES,
    ProviderIdentity,
    find_identities,
    find_owner,
)
from authserve.federation.linking import link_at_sign_in, link_own_identity
from authserve.federation.own_identities import unlink_identity
from authserve.federation.policy import LinkPolicy
from authserve.federation.registry import ProviderChanges, change_provider, get_provider
from authserve.users.accounts import delete_user, ref_of
from authserve.users.errors import UserNotFoundError
from authserve.users.lookup import get_user
from tests.factories import REQUEST
from tests.support.browsing import Visit
from tests.support.clients import Caller, register_caller
from tests.support.crowd import all_at_once
from tests.support.factors import give_recovery_codes, give_totp
from tests.support.identities import fill_identities
from tests.support.mail import open_mailbox, work
from tests.support.marks import both_databases
from tests.support.provider_sign_in import SLUG, Journey, code_of, set_out
from tests.support.providers import ProviderServer
from tests.support.rows import audit_trail, change_session, change_user

CONNECTIONS = "/account/apps"

EMAIL = "alice@example.com"

CROWD = 20

LINKS = ("identity.linked", "identity.unlinked")


@pytest.fixture
def alice(site: Flask) -> Caller:
    """An account whose address is that of the person at the provider."""
    return register_caller(site, "alice")


def begin(visit: Visit, server: ProviderServer) -> Journey:
    """Press the button that links the provider to the account of the signed-in person."""
    token = visit.open("/account/profile").form("/account/profile")["token"]
    return set_out(visit, server, purpose="link", token=token)


def issuers(site: Flask, user_id: UUID) -> list[str]:
    """Return the issuers of an account's identities."""
    with site.app_context():
        return [identity.issuer for identity in find_identities(user_id)]


class TestByItsOwner:
    """A signed-in person links an identity."""

    def test_it_opens_the_account_from_then_on(
        self, site: Flask, visit: Visit, server: ProviderServer, alice: Caller
    ) -> None:
        server.claims |= {"email": "liddell@example.org"}
        mailbox = open_mailbox(site)
        visit.sign_in()
        session_id = visit.session_id
        answer = begin(visit, server).come_back()
        assert urlsplit(answer.location).path == CONNECTIONS
        assert "The service is linked. You can sign in with it" in visit.follow(answer).text
        assert issuers(site, alice.id) == [server.issuer]
        # The person is signed in already.
        assert visit.session_id == session_id
        (linked,) = audit_trail(site, "identity.linked")
        assert linked["details"] == {"provider": SLUG}
        work(site)
        assert mailbox.to(EMAIL)[-1].subject
        other = Visit(site)
        set_out(other, server).come_back()
        assert EMAIL in other.open("/account").text

    def test_a_second_time_changes_nothing(
        self, site: Flask, visit: Visit, server: ProviderServer, alice: Caller
    ) -> None:
        visit.sign_in()
        for _ in range(2):
            assert urlsplit(begin(visit, server).come_back().location).path == CONNECTIONS
        assert issuers(site, alice.id) == [server.issuer]
        assert len(audit_trail(site, "identity.linked")) == 1

    def test_an_identity_of_another_account_is_refused(
        self, site: Flask, visit: Visit, server: ProviderServer, alice: Caller
    ) -> None:
        server.claims |= {"email": "liddell@example.org"}
        set_out(Visit(site), server).come_back()
        visit.sign_in()
        shown = begin(visit, server).come_back()
        assert (shown.status, code_of(shown)) == (409, "identity_taken")
        assert issuers(site, alice.id) == []

    def test_an_account_that_is_full_is_told_so(
        self, site: Flask, visit: Visit, server: ProviderServer, alice: Caller
    ) -> None:
        visit.sign_in()
        journey = begin(visit, server)
        fill_identities(site, alice.id)
        shown = journey.come_back()
        assert (shown.status, code_of(shown)) == (409, "too_many_identities")
        assert server.issuer not in issuers(site, alice.id)

    @pytest.mark.parametrize("name", ["another browser", "signed out", "another account"])
    def test_another_session_is_not_linked(
        self, site: Flask, visit: Visit, server: ProviderServer, alice: Caller, name: str
    ) -> None:
        """An attacker's answer, or one that a person who has left did not wait for."""
        bob = register_caller(site, "bob")
        visit.sign_in()
        journey, other = begin(visit, server), None
        if name == "another browser":
            other = Visit(site)
            other.sign_in()
        elif name == "signed out":
            visit.fill("/sign-out")
        else:
            visit.fill("/sign-out")
            visit.sign_in("bob")
        shown = journey.come_back(visit=other)
        assert (shown.status, code_of(shown)) == (400, "state_invalid")
        assert server.asked("/token") == []
        assert issuers(site, alice.id) == issuers(site, bob.id) == []

    def test_it_needs_a_recent_proof_and_the_forms_token(
        self,
        site: Flask,
        visit: Visit,
        server: ProviderServer,
        alice: Caller,
        clock: time_machine.Traveller,
    ) -> None:
        path = f"/sign-in/with/{SLUG}"
        anonymous = Visit(site).send(path, {"purpose": "link", "token": "x"})
        assert anonymous.location.startswith("/sign-in")
        visit.sign_in()
        token = visit.open("/account/profile").form("/account/profile")["token"]
        assert visit.send(path, {"purpose": "link", "token": "x"}).status == 403
        assert visit.send(path, {"purpose": "x", "token": token}).status == 422
        clock.shift(timedelta(minutes=6))
        late = visit.send(path, {"purpose": "link", "token": token})
        assert late.location.startswith("/account/confirm")

    def test_an_account_with_a_factor_needs_a_session_of_two(
        self, site: Flask, visit: Visit, server: ProviderServer, alice: Caller
    ) -> None:
        visit.sign_in()
        give_totp(site, alice.id)
        change_user(site, alice.id, mfa_enabled=False)
        token = visit.open("/account/profile").form("/account/profile")["token"]
        answer = visit.send(f"/sign-in/with/{SLUG}", {"purpose": "link", "token": token})
        assert answer.location.startswith("/account/confirm?level=aal2")

    def test_it_confirms_who_the_person_is_from_then_on(
        self, visit: Visit, server: ProviderServer, alice: Caller, clock: time_machine.Traveller
    ) -> None:
        visit.sign_in(remember="1")
        begin(visit, server).come_back()
        clock.shift(timedelta(minutes=6))
        path = "/account/sign-in-methods/totp"
        fields = visit.follow(visit.open(path)).form(f"/sign-in/with/{SLUG}")
        answer = set_out(visit, server, **fields).come_back()
        assert answer.location == path
        assert visit.open(path).status == 200
        (cookie,) = [c for c in answer.headers.getlist("Set-Cookie") if c.startswith("authserve=")]
        assert "Max-Age" in cookie

    def test_a_cancelled_one_leads_back(
        self, visit: Visit, server: ProviderServer, alice: Caller
    ) -> None:
        visit.sign_in()
        answer = begin(visit, server).come_back(error="access_denied", code=None)
        assert answer.location == CONNECTIONS


class TestMeanwhile:
    """A change since the page looked is seen under the lock of the account."""

    def test_a_session_that_has_ended(
        self, site: Flask, server: ProviderServer, alice: Caller
    ) -> None:
        identity = ProviderIdentity(issuer=server.issuer, subject="1", email=None)
        change_session(site, alice.session_id, revoked_at=now())
        with site.app_context():
            assert attempt(alice, identity) == SessionRevokedError.code
        assert issuers(site, alice.id) == []

    def test_a_first_factor(self, site: Flask, server: ProviderServer, alice: Caller) -> None:
        identity = ProviderIdentity(issuer=server.issuer, subject="1", email=None)
        give_totp(site, alice.id)
        with site.app_context():
            assert attempt(alice, identity) == StepUpRequiredError.code
        assert issuers(site, alice.id) == []

    def test_a_way_to_the_second_factor_takes_no_code_along(
        self, site: Flask, server: ProviderServer, alice: Caller, visit: Visit
    ) -> None:
        """Nor does it lead back to the callback, where the code would be sent again."""
        visit.sign_in("alice")
        journey = begin(visit, server)
        give_recovery_codes(site, alice.id)
        answer = journey.come_back()
        assert (answer.status, answer.location) == (303, "/account/confirm?level=aal2")
        assert not [name for name in visit.cookie_names() if "flow" in name]
        assert issuers(site, alice.id) == []


class TestAtAFirstSignIn:
    """`verified`: both sides have verified the address, and the operator trusts the provider."""

    @pytest.fixture
    def trusted(self, site: Flask, alice: Caller) -> Caller:
        """Alice, whose address counts."""
        with site.app_context():
            changes = ProviderChanges(link=LinkPolicy.VERIFIED, trusts_email=True)
            change_provider(SLUG, changes, actor=OPERATOR, request=REQUEST)
        change_user(site, alice.id, email_verified=True)
        return alice

    def test_it_is_linked_at_once(
        self, site: Flask, visit: Visit, server: ProviderServer, trusted: Caller
    ) -> None:
        mailbox = open_mailbox(site)
        answer = set_out(visit, server).come_back()
        assert answer.location == "/account"
        with site.app_context():
            (identity,) = find_identities(trusted.id)
        assert identity.last_used_at is not None
        assert len(audit_trail(site, "identity.linked")) == 1
        work(site)
        assert mailbox.to(EMAIL)

    def test_an_account_that_is_full_is_told_so(
        self, site: Flask, visit: Visit, server: ProviderServer, trusted: Caller
    ) -> None:
        fill_identities(site, trusted.id)
        shown = set_out(visit, server).come_back()
        assert (shown.status, code_of(shown)) == (409, "too_many_identities")
        assert visit.cookie() is None

    def test_an_account_with_a_second_factor_confirms_it(
        self, site: Flask, visit: Visit, server: ProviderServer, trusted: Caller
    ) -> None:
        """Otherwise the provider alone could add a way in, which would stay."""
        give_totp(site, trusted.id)
        shown = visit.follow(set_out(visit, server).come_back())
        assert code_of(shown) == "account_exists"
        assert issuers(site, trusted.id) == []

    @pytest.mark.parametrize(
        "change", [{"email": "liddell@example.com"}, {"email_verified": False}], ids=str
    )
    def test_an_address_that_changed_meanwhile_is_not_linked(
        self, site: Flask, server: ProviderServer, trusted: Caller, change: dict[str, object]
    ) -> None:
        change_user(site, trusted.id, **change)
        self.check_nothing_is_linked(site, server, trusted)

    def test_an_account_that_got_a_factor_meanwhile_is_not_linked(
        self, site: Flask, server: ProviderServer, trusted: Caller
    ) -> None:
        give_totp(site, trusted.id)
        self.check_nothing_is_linked(site, server, trusted)

    def check_nothing_is_linked(self, site: Flask, server: ProviderServer, owner: Caller) -> None:
        identity = ProviderIdentity(issuer=server.issuer, subject="1", email=EMAIL)
        with site.app_context(), transaction():
            provider = get_provider(SLUG)
            assert not link_at_sign_in(
                owner.id, identity, provider=provider, request=REQUEST, now=now()
            )
        assert issuers(site, owner.id) == []


class TestRaces:
    """Of concurrent requests one wins, and the others fail as if they had come later."""

    @both_databases
    def test_two_accounts_and_one_identity(self, site: Flask, server: ProviderServer) -> None:
        identity = ProviderIdentity(issuer=server.issuer, subject="1", email=None)
        callers = [register_caller(site, name) for name in ("alice", "bob")]

        def link(caller: Caller) -> str:
            with site.app_context():
                return attempt(caller, identity)

        answers = all_at_once([partial(link, callers[number % 2]) for number in range(CROWD)])
        with site.app_context():
            owner = find_owner(identity.issuer, identity.subject)
        assert owner is not None
        # Its owner's own other requests find it linked.
        assert Counter(answers) == {"linked": CROWD // 2, IdentityTakenError.code: CROWD // 2}
        assert len(audit_trail(site, "identity.linked")) == 1

    @both_databases
    def test_one_account_and_many_identities(self, site: Flask, server: ProviderServer) -> None:
        alice, bob = (register_caller(site, name) for name in ("alice", "bob"))

        def link(caller: Caller, number: int) -> str:
            identity = ProviderIdentity(issuer=server.issuer, subject=str(number), email=None)
            with site.app_context():
                return attempt(caller, identity)

        answers = all_at_once([partial(link, alice, number) for number in range(CROWD)])
        refused = TooManyIdentitiesError.code
        assert Counter(answers) == {"linked": MAX_IDENTITIES, refused: CROWD - MAX_IDENTITIES}
        assert len(issuers(site, alice.id)) == MAX_IDENTITIES
        # A full account still finds its own identities linked, and others' taken.
        assert link(alice, answers.index("linked")) == "linked"
        assert link(bob, CROWD) == "linked"
        assert link(alice, CROWD) == IdentityTakenError.code

    @both_databases
    def test_one_first_sign_in_20_times(self, site: Flask, server: ProviderServer) -> None:
        """The first one links the identity, and the others use it."""
        alice = register_caller(site, "alice")
        change_user(site, alice.id, email_verified=True)
        identity = ProviderIdentity(issuer=server.issuer, subject="1", email=EMAIL)

        def start() -> bool:
            with site.app_context():
                provider = get_provider(SLUG)

                def claim(moment: datetime) -> bool:
                    return link_at_sign_in(
                        alice.id, identity, provider=provider, request=REQUEST, now=moment
                    )

                proven = ProvenIdentity(
                    user_id=alice.id, provider=SLUG, has_two_factors=False, claim=claim
                )
                session, _ = start_session_with_provider(proven, device=None, request=REQUEST)
                return session.user_id == alice.id

        assert all(all_at_once([start] * CROWD))
        assert issuers(site, alice.id) == [server.issuer]
        assert len(audit_trail(site, "identity.linked")) == 1

    @both_databases
    def test_linking_against_unlinking(self, site: Flask, server: ProviderServer) -> None:
        alice = register_caller(site, "alice")
        identity = ProviderIdentity(issuer=server.issuer, subject="1", email=None)
        with site.app_context():
            actor = actor_of(alice)

        def link() -> str:
            with site.app_context():
                return attempt(alice, identity)

        def unlink() -> str:
            with site.app_context():
                found = [each.id for each in find_identities(alice.id)]
                for identity_id in found:
                    with suppress(IdentityNotFoundError):
                        unlink_identity(
                            actor.signed_in_user, identity_id, actor=actor, request=REQUEST
                        )
                return "unlinked"

        answers = all_at_once([link, unlink] * (CROWD // 2))
        assert set(answers) == {"linked", "unlinked"}
        events = [each["action"] for each in audit_trail(site, *LINKS)]
        # Each link but the first follows the removal of the one before.
        assert events == [LINKS[number % 2] for number in range(len(events))]
        assert len(issuers(site, alice.id)) == len(events) % 2

    @both_databases
    def test_linking_against_the_accounts_deletion(
        self, site: Flask, server: ProviderServer
    ) -> None:
        alice = register_caller(site, "alice")

        def link(number: int) -> str:
            identity = ProviderIdentity(issuer=server.issuer, subject=str(number), email=None)
            with site.app_context():
                return attempt(alice, identity)

        with site.app_context():
            user = ref_of(get_user(alice.id))

        def delete() -> str:
            with site.app_context():
                delete_user(user, actor=VISITOR, request=REQUEST)
                return "deleted"

        calls = [partial(link, number) for number in range(CROWD)]
        answers = Counter(all_at_once([*calls[:10], delete, *calls[10:]]))
        refused = {UserNotFoundError.code, TooManyIdentitiesError.code}
        assert answers.keys() <= {"linked", "deleted", *refused}
        assert issuers(site, alice.id) == []


def actor_of(caller: Caller) -> Actor:
    """Return a signed-in person as the use cases get them, in an application context."""
    user = ref_of(get_user(caller.id))
    return Actor(user=user, session_id=UUID(str(caller.session_id)), level=Level.AAL1)


def attempt(caller: Caller, identity: ProviderIdentity) -> str:
    """Link an identity, and return the outcome, in an application context."""
    try:
        link_own_identity(
            identity, provider=get_provider(SLUG), actor=actor_of(caller), request=REQUEST
        )
    except AuthserveError as error:
        return str(error.code)
    return "linked"
