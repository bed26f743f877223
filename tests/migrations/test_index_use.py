"""Every index serves a statement that the service sends, on both databases.

`test_query_plans.py` and its namesakes test how good the plans of the lists and checks are.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, text

from authserve.apikeys.listing import find_keys
from authserve.audit.own_events import find_own_events
from authserve.audit.read import EventFilters, find_events
from authserve.audit.retention import prune_events
from authserve.auth.seen_devices import purge_forgotten_devices, recognize_device
from authserve.clients.client_secrets import list_secrets
from authserve.clients.origins import claim_origins
from authserve.core.actor import OPERATOR, VISITOR, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.events import AuditAction, DomainEvent, Outcome
from authserve.core.ids import new_id
from authserve.database.statements import Base
from authserve.database.transactions import db, read_all, transaction
from authserve.federation.identities import find_identities
from authserve.mfa.challenges import purge_spent_challenges
from authserve.mfa.email_codes import CodePurpose, end_codes, ensure_code, purge_dead_codes
from authserve.mfa.models import EmailCode
from authserve.mfa.own_passkeys import find_passkeys
from authserve.mfa.pending import purge_dead_pending
from authserve.mfa.reset import perform_due_resets, request_reset
from authserve.mfa.totp_set_up import purge_dead_set_ups
from authserve.oidc.models import AuthorizationCode  # noqa: F401 - so that its table is there
from authserve.outbox.delivery import claim, is_newest_of_topic
from authserve.outbox.enqueue import enqueue
from authserve.outbox.inspect import count_finished_messages, find_messages_to
from authserve.ratelimit.throttle import purge_dead_counters
from authserve.rbac.assignment import holders_of
from authserve.sessions.listing import find_all_sessions
from authserve.sessions.policy import RevokeReason
from authserve.sessions.revoke import end_online_sessions, end_sessions_of_client
from authserve.users.accounts import activate, deactivate
from authserve.users.credentials import get_credentials
from authserve.users.lists import UserFilters, search_users
from authserve.users.models import ReleasedUsername, User
from authserve.users.released_usernames import (
    find_held_usernames,
    purge_released_usernames,
    require_may_rename,
)
from authserve.users.search import find_by_beginning
from authserve.verification.models import OneTimeToken
from authserve.verification.policy import Purpose
from authserve.verification.requests import request_by_address
from authserve.verification.tokens import find_links_of, purge_dead_tokens
from tests.factories import make_session, make_user
from tests.support.databases import executed
from tests.support.marks import both_databases

UNUSED = {
    # For statements of the release before; a later migration drops them.
    "ix_users_name_key",
    "ix_users_is_active_id",
    # For the foreign key alone, when a user is deleted.
    "ix_authorization_codes_user_id",
}
"""Indexes that serve no statement of this release."""

ROWS = 1_000


def fill() -> None:
    """Write users, each with a link, a message and a former name; let PostgreSQL count them."""
    ids, moment = [UUID(int=number) for number in range(1, ROWS + 1)], now()
    emails = {each: f"user{each.int}@example.com" for each in ids}
    with transaction() as session:
        times = {"created_at": moment, "updated_at": moment}
        users = [{"id": i, "audit_id": i, "email": emails[i], **times} for i in ids]
        session.execute(insert(User), users)
        link = {"purpose": Purpose.VERIFY_EMAIL, "requested_at": moment, "expires_at": moment}
        links = [{"id": i, "user_id": i, "email": emails[i], **link} for i in ids]
        session.execute(insert(OneTimeToken), links)
        names = [{"digest": i.bytes, "user_id": i, "released_at": moment} for i in ids]
        session.execute(insert(ReleasedUsername), names)
        # Live ones, or the planner would take the index of their ends instead of the addresses'.
        later = moment + timedelta(days=1)
        code = {"purpose": CodePurpose.ENROLL, "requested_at": moment, "expires_at": later}
        codes = [
            {"id": i, "handle_digest": i.bytes, "user_id": i, "email": emails[i], **code}
            for i in ids
        ]
        session.execute(insert(EmailCode), codes)
        for each in ids:
            enqueue("letter", {}, topic=emails[each], user_id=each)
        if db.engine.dialect.name == "postgresql":
            session.execute(text("ANALYZE"))


def follow_new_device(user: UserRef) -> None:
    """Sign in from a second device."""
    other = RequestInfo(ip="203.0.113.1", user_agent="other/1.0")
    with transaction():
        recognize_device(
            get_credentials(user.id),
            is_known_device=False,
            sends_mail=True,
            request=other,
            now=now(),
        )


def write_email_code(user: UserRef) -> None:
    """Write the row of a mailed code, after a count of the live ones of its address."""
    with transaction():
        assert ensure_code(
            new_id(),
            CodePurpose.ENROLL,
            handle=bytes(32),
            user_id=user.id,
            email="alice@example.com",
            requested_at=now(),
        )


def end_email_codes(user: UserRef) -> None:
    """End all mailed codes of a user."""
    with transaction():
        end_codes(EmailCode.user_id == user.id)


def give_up_origins() -> None:
    """Delete the origins of a client."""
    with transaction():
        claim_origins("files", ())


def list_users(**filters: Any) -> Callable[[UserRef], object]:
    """Return a use case that lists users."""
    return lambda _: search_users(UserFilters(**filters), limit=50)


def list_events(**filters: Any) -> Callable[[UserRef], object]:
    """Return a use case that lists events."""
    return lambda _: find_events(EventFilters(**filters), limit=50)


def deliver_newest_of_topic(_: UserRef) -> None:
    """Claim a message, and look for a newer one of its topic."""
    message = claim(["letter"])
    assert message is not None
    assert is_newest_of_topic(message)


def deactivate_again(user: UserRef) -> None:
    """Deactivate a user and activate them again."""
    deactivate(user.id, actor=VISITOR, request=RequestInfo())
    activate(user.id, actor=VISITOR, request=RequestInfo())


LONG_AGO = now() - timedelta(days=3_650)


def reset_factors(user: UserRef) -> None:
    """Reset the second factors of an account."""
    request_reset(user.id, actor=OPERATOR, request=RequestInfo())


def end_sessions_of_app(_: UserRef) -> None:
    """End every session that an app holds."""
    with transaction():
        end_sessions_of_client("wiki", RevokeReason.CLIENT_DELETED, now=now())


def end_sessions_below(user: UserRef) -> None:
    """End what hangs under a browser's session, as its end does."""
    details = {"session_id": str(new_id()), "reason": RevokeReason.LOGOUT}
    event = DomainEvent(
        action=AuditAction.SESSION_REVOKED,
        outcome=Outcome.SUCCESS,
        actor=VISITOR,
        request=RequestInfo(),
        subject=user,
        details=details,
    )
    with transaction():
        end_online_sessions(event)


USES: dict[str, Callable[[UserRef], object]] = {
    "ix_api_keys_user_id_id": lambda user: find_keys(user.id),
    "ix_audit_batches_pruned_at_newest_at": lambda _: list(prune_events()),
    "ix_audit_events_action_id": list_events(action=AuditAction.USER_DELETED),
    "ix_audit_events_actor_audit_id_id": lambda user: find_own_events(user, limit=50),
    "ix_audit_events_correlation_id_id": list_events(correlation_id="x"),
    "ix_audit_events_occurred_at": list_events(before=LONG_AGO),
    "ix_audit_events_subject_audit_id_id": lambda user: find_own_events(user, limit=50),
    "ix_client_origins_client_id": lambda _: give_up_origins(),
    "ix_client_secrets_client_id": lambda _: list_secrets("wiki"),
    "ix_email_codes_email": write_email_code,
    "ix_email_codes_expires_at": lambda _: list(purge_dead_codes()),
    "ix_email_codes_user_id": end_email_codes,
    "ix_identities_user_id_id": lambda user: find_identities(user.id),
    "ix_one_time_tokens_email": lambda _: request_by_address(Purpose.VERIFY_EMAIL, "a@b.example"),
    "ix_one_time_tokens_expires_at": lambda _: list(purge_dead_tokens()),
    "ix_one_time_tokens_user_id": lambda user: find_links_of(user.id, limit=50),
    "ix_outbox_messages_due": lambda _: claim(["letter"]),
    "ix_outbox_messages_state_created_at": lambda _: count_finished_messages(since=now()),
    "ix_outbox_messages_topic_id": deliver_newest_of_topic,
    "ix_outbox_messages_user_id_id": lambda user: find_messages_to(user.id, limit=50),
    "ix_passkeys_user_id_id": lambda user: find_passkeys(user.id, limit=50),
    "ix_pending_sign_ins_expires_at": lambda _: list(purge_dead_pending()),
    "ix_pending_sign_ins_user_id": deactivate_again,
    "ix_rate_counters_expires_at": lambda _: list(purge_dead_counters()),
    "ix_released_usernames_digest": lambda _: find_held_usernames({"x": None}),
    "ix_released_usernames_released_at": lambda _: list(purge_released_usernames()),
    "ix_released_usernames_user_id": lambda user: require_may_rename(user.id),
    "ix_seen_devices_last_seen_at": lambda _: list(purge_forgotten_devices()),
    "ix_seen_devices_user_id": follow_new_device,
    "ix_sessions_client_id_user_id_created_at": end_sessions_of_app,
    "ix_sessions_parent_id": end_sessions_below,
    "ix_sessions_user_id_created_at": lambda user: find_all_sessions(user.id, limit=50),
    "ix_spent_challenges_expires_at": lambda _: list(purge_spent_challenges()),
    "ix_totp_factors_expires_at": lambda _: list(purge_dead_set_ups()),
    "ix_totp_factors_user_id": reset_factors,
    "ix_user_roles_role_name_user_id": lambda _: read_all(holders_of("admin")),
    "ix_users_created_at_id": list_users(),
    "ix_users_email_domain": list_users(domain="nowhere.example"),
    "ix_users_is_active_created_at_id": list_users(is_active=False),
    "ix_users_mfa_enabled_created_at_id": list_users(mfa_enabled=True),
    "ix_users_mfa_reset_at": lambda _: list(perform_due_resets()),
    "ix_users_name_key_id": lambda _: find_by_beginning("x", UserFilters(), limit=50),
    "ix_users_updated_at_id": list_users(updated_after=now()),
}
"""For each index a use case with a statement that the index serves."""


def test_every_index_has_a_use() -> None:
    """A unique index is a promise too, and needs no other use."""
    indexes = {
        str(index.name)
        for table in Base.metadata.tables.values()
        for index in table.indexes
        if not index.unique
    }
    assert indexes == USES.keys() | UNUSED


@both_databases
def test_every_index_serves_its_use(context: None, subtests: pytest.Subtests) -> None:
    fill()
    user = make_user("alice")
    make_session(user)
    for name, use in USES.items():
        with subtests.test(name):
            with executed(db.engine) as sent:
                use(user)
            plans = [plan_of(sql, values) for sql, values in sent if is_planned(sql)]
            is_used = any(re.search(rf"\b{name}\b", plan) for plan in plans)
            assert is_used, "\n\n".join(plans)


def is_planned(sql: str) -> bool:
    """Return True for a statement with a plan."""
    return sql.startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH"))


def plan_of(sql: str, values: Any) -> str:
    """Return a statement with its plan; PostgreSQL reads whole tables only if it has to."""
    is_sqlite = db.engine.dialect.name == "sqlite"
    with db.engine.connect() as connection:
        if is_sqlite:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
            return "\n".join([sql, *(row[3] for row in rows)])
        connection.execute(text("SET enable_seqscan = off"))
        rows = connection.exec_driver_sql(f"EXPLAIN {sql}", values)
        return "\n".join([sql, *(row[0] for row in rows)])
