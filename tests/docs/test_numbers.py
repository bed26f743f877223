"""The numbers that pages promise are those of the code, written out once more.

Tests of an effect mostly use the code's own constant, so they hold at any number.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from authserve.admin import personal_data
from authserve.apikeys import policy as apikeys
from authserve.audit import checks as audit_checks
from authserve.audit import new_sign_ins, seal
from authserve.audit import worker as audit_worker
from authserve.auth import browser_sessions, seen_devices
from authserve.clients import failures, kinds, refused_redirects, spa_origins
from authserve.database import circuit, engine, sqlite, watchdog
from authserve.federation import id_tokens, identities, pending_identities, state, upstream
from authserve.health import provider_checks
from authserve.http import json_body
from authserve.keys import policy as keys
from authserve.mail import mailer, smtp
from authserve.mail import policy as mail
from authserve.mfa import (
    challenges,
    email_codes,
    own_passkeys,
    pending,
    throttle,
    totp,
    totp_set_up,
)
from authserve.oidc import backchannel, codes, logout_tokens, redeem
from authserve.oidc import tokens as oidc_tokens
from authserve.passwords import breached
from authserve.ratelimit import policy as limits
from authserve.ratelimit import storage, throttle_keys
from authserve.serving import buffering
from authserve.sessions import policy as sessions
from authserve.sessions import revoke as session_ends
from authserve.settings import branding, parsers
from authserve.tokens import device
from authserve.users import credentials, released_usernames
from authserve.web import browser_session, continuation, flows, languages

DOCS = Path(__file__).parents[2] / "docs"

DAY, HOUR, MINUTE, SECOND = (
    timedelta(**{unit: 1}) for unit in ("days", "hours", "minutes", "seconds")
)

PROXY = kinds.ClientKind.PROXY

PROMISES: list[tuple[str, str, Any, Any]] = [
    ("errors", "The body is over 64 KiB", json_body.MAX_BODY_BYTES, 65_536),
    ("security-design", "64 KiB, 32 levels", json_body.MAX_DEPTH, 32),
    ("errors", "The account has ten passkeys", own_passkeys.MAX_PASSKEYS, 10),
    ("errors", "The account has ten identities", identities.MAX_IDENTITIES, 10),
    ("errors", "more than ten minutes ago", state.STATE_TTL, 10 * MINUTE),
    (
        "sign-in-by-others",
        "within half an hour",
        pending_identities.PENDING_IDENTITY_TTL,
        30 * MINUTE,
    ),
    ("factors", "Options are good for five minutes", challenges.CHALLENGE_TTL, 5 * MINUTE),
    ("tokens", "15 to set a factor up", totp_set_up.SET_UP_LIFETIME, 15 * MINUTE),
    ("tokens", "180 days", device.DEVICE_TOKEN_TTL, 180 * DAY),
    ("mail", "good once, for 10 minutes", email_codes.CODE_LIFETIME, 10 * MINUTE),
    ("mail", "A mail with a code has eight digits", email_codes.EMAIL_CODE_DIGITS, 8),
    ("mail", "within 90 days", seen_devices.DEVICE_MEMORY, 90 * DAY),
    ("mail", "at most one such mail a day", seen_devices.MAIL_INTERVAL, DAY),
    ("mail", "at most 40 characters", mail.MAX_NAME_LENGTH, 40),
    ("mail", "five outages in a row", mailer.BREAKER_FAILURES, 5),
    ("mail", "the worker pauses for 30 seconds", mailer.BREAKER_RESET_SECS, 30),
    ("security-design", "connect 5 s, all 10 s", smtp.TOTAL_TIMEOUT_SECS, 10),
    ("security-design", "after 3 failures no attempt for 30 s", breached.BREAKER_FAILURES, 3),
    ("passwords", "up to an hour, 32 in each worker", breached.MAX_RANGES, 32),
    ("passwords", "Ranges are kept for up to an hour", breached.RANGE_LIFETIME_SECS, 3_600),
    ("security-design", "that app is not called for 60 s", backchannel.BREAKER_RESET_SECS, 60),
    ("security-design", "after 3 calls in a row without", backchannel.BREAKER_FAILURES, 3),
    ("limits", "After three failures in a row", upstream.BREAKER_FAILURES, 3),
    ("limits", "asked by one person in 30 seconds", upstream.BREAKER_RESET_SECS, 30),
    ("limits", "may take 5 seconds", upstream.TOTAL_SECS, 5),
    ("limits", "each answer may have 256 KiB", upstream.MAX_BYTES, 262_144),
    ("limits", "After two failures in a row", storage.REDIS_FAILURES, 2),
    ("limits", "does not ask Redis for five seconds", storage.REDIS_RESET_SECS, 5),
    ("limits", "at most one mail a minute", limits.EMAIL_CODE_MAILS_A_MINUTE.amount, 1),
    ("limits", "five an hour to an address", limits.EMAIL_CODE_MAILS_AN_HOUR.amount, 5),
    ("limits", "from the 31st in a minute on", limits.UNKNOWN_API_KEYS.amount, 30),
    ("limits", "`/oauth/resume` | 60 in 1 min", limits.AUTHORIZE.amount, 60),
    ("limits", "`/oauth/logout` | 30 in 1 min", limits.LOGOUT.amount, 30),
    ("limits", "clients that have none | 120 in 1 min", limits.PUBLIC_TOKENS.amount, 120),
    ("limits", "`/oauth/introspect` | 30 in 1 min", limits.CLIENT_FAILURES.amount, 30),
    ("limits", "`/oauth/introspect` | 10 in 1 min", limits.FAILURES_OF_CLIENT.amount, 10),
    ("limits", "`/oauth/userinfo` | 300 in 1 min", limits.REFUSED_TOKENS.amount, 300),
    ("limits", "`forward-auth`) | 300 in 1 min", limits.REFUSED_COOKIES.amount, 300),
    ("limits", "with/{slug}` | 20 in 1 min", limits.PROVIDER_STARTS.amount, 20),
    ("limits", "with/{slug}/callback` | 60 in 1 min", limits.PROVIDER_ANSWERS.amount, 60),
    ("security-design", "after 3 failed connects", circuit.BREAKER_FAILURES, 3),
    ("security-design", "requests do not try for 2 s", circuit.BREAKER_RESET_SECS, 2),
    ("security-design", "connect 3 s", engine.CONNECT_TIMEOUT_SECS, 3),
    ("security-design", "wait for a place 2 s", engine.POOL_TIMEOUT_SECS, 2),
    ("security-design", "statement 5 s", engine.STATEMENT_TIMEOUT_MS, 5_000),
    ("security-design", "cut at 5.5", watchdog.STATEMENT_LIMIT_SECS, 5.5),
    ("security-design", "lock 2 s", engine.LOCK_TIMEOUT_MS, 2_000),
    ("operating", "after 1 s at most for the worker's other writers", sqlite.QUEUE_SECS, 1),
    ("security-design", "10 s for a request to arrive", buffering.ARRIVAL_SECS, 10),
    (
        "operating",
        "name in mails and pages, at most 40 characters",
        parsers.MAX_BRAND_LENGTH,
        40,
    ),
    ("operating", "at most 64 KiB, shown on pages", branding.MAX_LOGO_BYTES, 65_536),
    ("operating", "start a block of 30 seconds", limits.BLOCKS[0], 30 * SECOND),
    ("operating", "up to 15 minutes", limits.BLOCKS[-1], 15 * MINUTE),
    ("operating", "Five wrong passwords", limits.BY_IDENTIFIER, limits.ThrottleRule(5, 5 * MINUTE)),
    ("operating", "Ten wrong passwords", limits.BY_ADDRESS, limits.ThrottleRule(10, MINUTE)),
    ("operating", "A hundred wrong passwords in a row", credentials.MAX_FAILED_SIGN_INS, 100),
    ("operating", "A hundred wrong second factors", credentials.MAX_FAILED_SECOND_FACTORS, 100),
    ("operating", "for an hour, with a counter of its own", throttle_keys.KNOWN_NETWORK_TTL, HOUR),
    ("operating", "A failure is written once a minute", failures.WRITE_INTERVAL, MINUTE),
    ("operating", "rotated after 90 days", keys.ROTATION_PERIOD, 90 * DAY),
    ("resource-server", "at least five minutes", keys.JWKS_MAX_AGE, 5 * MINUTE),
    ("tokens", "an hour at most", keys.MAX_APP_TOKEN_TTL, HOUR),
    ("tokens", "60 seconds", codes.CODE_TTL, MINUTE),
    ("security-design", "50 live sessions", sessions.MAX_SESSIONS_PER_USER, 50),
    ("security-design", "besides 20 of each app", sessions.MAX_SESSIONS_PER_APP, 20),
    ("operating", "at most a day, if the person", sessions.UNREMEMBERED_TTL, DAY),
    ("machines", "A user has at most 50", apikeys.MAX_LIVE_KEYS, 50),
    ("machines", "A key lives 90 days", apikeys.DEFAULT_LIFETIME, 90 * DAY),
    ("machines", "to a year", apikeys.MAX_LIFETIME, 365 * DAY),
    ("machines", "from a minute", apikeys.MIN_LIFETIME, MINUTE),
    ("limits", "The sixth is refused with 429", released_usernames.MAX_RENAMES_A_DAY, 5),
    ("audit", "every night, from 02:00 UTC on", audit_worker.NIGHT_HOUR, 2),
    ("operating", "the first 20 enabled providers", provider_checks.MAX_CALLED, 20),
    ("asvs", "Within 10 seconds a second use is refused", redeem.REPLAY_GRACE, 10 * SECOND),
    ("security-design", "of the sign-in | a day after they expire", codes.KEPT, DAY),
    ("tokens", "`signing_alg: RS256` | 10 minutes", oidc_tokens.ID_TOKEN_TTL, 10 * MINUTE),
    ("tokens", "| 10 minutes (`access_token_ttl`", kinds.ACCESS_TOKEN_TTL, 10 * MINUTE),
    ("asvs", "live for two minutes", logout_tokens.LOGOUT_TOKEN_TTL, 2 * MINUTE),
    ("security-design", "64 KiB an answer | all 5 s", backchannel.LIMITS.max_bytes, 65_536),
    ("security-design", "(random numbers) | a day after", challenges.RETENTION, DAY),
    ("errors", "or had five wrong attempts", pending.MAX_ATTEMPTS, 5),
    ("tokens", "5 minutes, 15 to set", pending.LIFETIMES[pending.Purpose.VERIFY], 5 * MINUTE),
    ("tokens", "to set a factor up", pending.LIFETIMES[pending.Purpose.ENROLL], 15 * MINUTE),
    ("operating", "gets a mail, at most one a day", throttle.MAIL_INTERVAL, DAY),
    ("factors", "that changes every 30 seconds", totp.STEP, 30 * SECOND),
    ("security-design", "| sessions | an hour after their end", session_ends.PURGE_DELAY, HOUR),
    ("tokens", "Clocks of two machines may differ by 30", sessions.CLOCK_TOLERANCE, 30 * SECOND),
    ("limits", "1 written in 1 min", refused_redirects.WRITE_INTERVAL, MINUTE),
    ("limits", "in 1 min, 5 kept", refused_redirects.MAX_KEPT, 5),
    ("audit", "one event an hour for each client", failures.AUDIT_INTERVAL, HOUR),
    ("operating", "reads these origins every 30 seconds", spa_origins.CACHE_SECS, 30),
    ("operating", "they differ by more than a minute", id_tokens.LEEWAY_SECS, 60),
    ("limits", "1 in 1 min | provider, in the memory", upstream.REFETCH_SECS, 60),
    ("pages", "up to three device tokens", browser_session.MAX_DEVICES, 3),
    ("pages", "at most four with 5,000 bytes", flows.MAX_FLOWS, 4),
    ("pages", "with 5,000 bytes together", flows.MAX_BYTES, 5_000),
    ("pages", "15 minutes, 30 for a pending identity", flows.FLOW_TTL, 15 * MINUTE),
    ("pages", "both set for a year", languages.COOKIE_TTL, 365 * DAY),
    ("pages", "in a signed token for a day", continuation.CONTINUE_TTL, DAY),
    ("pages", "ten more seconds", browser_sessions.ROTATION_GRACE, 10 * SECOND),
    ("pages", "of the last 30 days", new_sign_ins.QUESTION_AGE, 30 * DAY),
    ("audit", "seals new events every minute", audit_worker.SEAL_SECS, 60),
    ("audit", "into batches of up to 500", seal.SEAL_SLICE, 500),
    ("audit", "over an hour earlier", audit_checks.LATENESS, HOUR),
    ("proxies", "`refresh_idle_ttl` (12 hours)", kinds.LIFETIMES[PROXY].idle, 12 * HOUR),
    ("security-design", "statements of 500 events", personal_data.SLICE_ROWS, 500),
    ("proxies", "`refresh_ttl` (14 days)", kinds.LIFETIMES[PROXY].absolute, 14 * DAY),
]
"""A page, words of it that hold a number, the number in the code, and the number itself."""


@pytest.mark.parametrize(
    ("page", "words", "found", "promised"), PROMISES, ids=[words for _, words, _, _ in PROMISES]
)
def test_the_code_has_the_number_of_the_page(
    page: str, words: str, found: Any, promised: Any
) -> None:
    assert words in (DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert found == promised
