"""Mails about second factors, in each of their states, and mails with codes."""

from pathlib import Path

import pytest

from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.core.ids import new_id
from authserve.mail.mailer import Mailer
from authserve.mail.notices import describe_request
from authserve.mail.policy import CODE_KINDS, SAMPLE_VALUES, MailKind, Values
from tests.conftest import make_settings
from tests.support.mail import Letter, Mailbox

CHOICES: list[tuple[MailKind, Values, str]] = [
    (MailKind.FACTOR_ADDED, {"factor": "passkey"}, 'A passkey "Phone" was added'),
    (MailKind.FACTOR_ADDED, {"factor_name": ""}, "A passkey was added"),
    (MailKind.FACTOR_ADDED, {"factor": "totp", "factor_name": ""}, "An authenticator app was"),
    (MailKind.FACTOR_REMOVED, {"factor": "totp", "factor_name": ""}, "The authenticator app was"),
    (MailKind.MFA_CHANGED, {"enabled": 1}, "asks for a second factor at every sign-in"),
    (MailKind.MFA_CHANGED, {"enabled": 0}, "one step opens it"),
    (MailKind.MFA_RESET, {"state": "requested"}, "On 2026-11-28 09:57 UTC, its"),
    (MailKind.MFA_RESET, {"state": "done"}, "every session has ended"),
    (MailKind.MFA_RESET, {"state": "cancelled"}, "stay as they are"),
    (MailKind.RECOVERY_CODE_USED, {"left": 9}, "9 recovery codes are left."),
    (MailKind.RECOVERY_CODE_USED, {"left": 3}, "3 recovery codes are left: make new ones"),
    (MailKind.RECOVERY_CODE_USED, {"left": 1}, "One recovery code is left"),
    (MailKind.RECOVERY_CODE_USED, {"left": 0}, "No recovery code is left"),
    (MailKind.SECOND_FACTOR_FAILING, {"state": "blocked"}, "for some minutes"),
    (MailKind.SECOND_FACTOR_FAILING, {"state": "switched_off"}, "until you set a new password"),
    (MailKind.SECOND_FACTOR_FAILING, {"state": "switched_off_there"}, "where this happened, on a"),
    (MailKind.SIGN_IN_CODE, {"browser": "", "ip": ""}, "That was by an app, on 2026-11-27"),
    (MailKind.SIGN_IN_CODE_REFUSED, {"reason": "unverified"}, "confirms the address"),
    (MailKind.SIGN_IN_CODE_REFUSED, {"reason": "second_factor"}, "a mailed code cannot replace"),
]

FACTOR_KINDS = [
    MailKind.FACTOR_ADDED,
    MailKind.FACTOR_REMOVED,
    MailKind.MFA_CHANGED,
    MailKind.MFA_RESET,
    MailKind.RECOVERY_CODE_USED,
    MailKind.RECOVERY_CODES_RENEWED,
    MailKind.SECOND_FACTOR_FAILING,
    MailKind.PASSKEY_FLAGGED,
]


def build(folder: Path, kind: MailKind, **values: str | int) -> Letter:
    box = Mailbox()
    mailer = Mailer(make_settings("sqlite://", folder, brand_name="Example Cloud"), box)
    sample = {**SAMPLE_VALUES.get(kind, {}), **values}
    mailer.send(kind, to="alice@example.com", message_id=new_id(), values=sample)
    (letter,) = box.letters
    return letter


@pytest.mark.parametrize(("kind", "values", "words"), CHOICES)
def test_each_state_has_its_words(
    tmp_path: Path, kind: MailKind, values: Values, words: str
) -> None:
    letter = build(tmp_path, kind, **values)
    assert words in letter.text
    assert words in letter.html
    assert "\r\n\r\n\r\n" not in letter.text


@pytest.mark.parametrize("kind", [*sorted(CODE_KINDS), *FACTOR_KINDS])
def test_each_names_the_people_to_ask(tmp_path: Path, kind: MailKind) -> None:
    assert "the people who run Example Cloud" in build(tmp_path, kind).text


@pytest.mark.parametrize("kind", sorted(CODE_KINDS))
def test_mails_with_codes_name_the_request(tmp_path: Path, kind: MailKind) -> None:
    letter = build(tmp_path, kind)
    request = "in Firefox, from the address 203.0.113.7, on 2026-11-27 09:57 UTC"
    assert request in letter.text
    assert request in letter.html


@pytest.mark.parametrize("kind", [MailKind.SIGN_IN_CODE, MailKind.ENROLLMENT_CODE])
def test_a_code_is_in_the_body_alone(tmp_path: Path, kind: MailKind) -> None:
    """A subject would show it on a locked screen; spaces in it would be copied."""
    letter = build(tmp_path, kind)
    assert "\r\n    01234567\r\n" in letter.text
    assert ">01234567</td>" in letter.html
    assert "01234567" not in letter.subject
    assert "within 10 minutes" in letter.text
    assert "No one of Example Cloud will ever ask you for this code." in letter.text


def test_a_request_is_described_without_the_clients_own_words() -> None:
    request = RequestInfo(ip="2001:db8::7", user_agent="http://evil.example Firefox/145.0")
    assert describe_request(request, now())["browser"] == "Firefox"
    described = describe_request(RequestInfo(user_agent="http://evil.example"), now())
    assert (described["browser"], described["ip"]) == ("", "")
